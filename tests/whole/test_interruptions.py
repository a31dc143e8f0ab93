"""The main promise, on the examples: interrupted at random steps again and again, the last weights are the same, bit for bit.

Every example is interrupted by SIGTERM, by SIGUSR1 and by SIGKILL of the whole tree, in an order and at steps drawn from a seed that
is printed; TEST_SEED=… repeats it as far as a machine repeats anything.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
import zipfile
from typing import NamedTuple

import numpy as np
import pytest
import support

INTERRUPTIONS = 21
STEPS = "360"
QUICK = ["--steps", STEPS, "--hidden", "16", "--log-every", "1"]
SMALL = [*QUICK, "--step-seconds", "0.02"]  # the same steps, with time to be interrupted between them
AGAIN = 75


class Example(NamedTuple):
    options: list[str]  # of ckptrun train
    command: list[str]  # under ckptrun
    alone: list[str]  # undisturbed, without ckptrun
    final: str  # what holds the last weights, in the last attempt's output
    final_alone: str  # and where the command runs alone
    saves_on_request: bool = True
    in_place: bool = False  # it rewrites one file: what is saved is what can be loaded, not what was said


def script(name):
    return os.path.join(support.EXAMPLES, name)


EXAMPLES = {
    "digits": Example(
        options=["--every", "7"],
        command=[script("digits.py"), *SMALL],
        alone=[sys.executable, script("digits.py"), *QUICK],
        final="final.npz",
        final_alone="output/final.npz",
    ),
    "digits_torch": Example(
        options=["--every", "7"],
        command=[script("digits_torch.py"), *SMALL],
        alone=[sys.executable, script("digits_torch.py"), *QUICK],
        final="final.pt",
        final_alone="output/final.pt",
    ),
    "digits_plain": Example(
        options=["--grace", "0.2s", "--on-resume", "--resume {resume_from}"],
        command=[script("digits_plain.py"), *SMALL, "--save-every", "7", "--out", "{output_dir}/state.npz"],
        alone=[sys.executable, script("digits_plain.py"), *QUICK, "--out", "state.npz"],
        final="state.npz",
        final_alone="state.npz",
        saves_on_request=False,
        in_place=True,
    ),
    "collatz": Example(
        options=[],
        command=["--", "bash", script("collatz.sh"), STEPS, "10"],
        alone=["bash", script("collatz.sh"), STEPS, "10"],
        final="result.txt",
        final_alone="result.txt",
    ),
}


@pytest.fixture
def rng():
    seed = int(os.environ.get("TEST_SEED") or time.time_ns() % 1_000_000)
    print(f"TEST_SEED={seed}")
    return random.Random(seed)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_last_weights_are_the_same_after_many_interruptions(name, rng, weird_path, tmp_path_factory):
    example = EXAMPLES[name]
    alone = tmp_path_factory.mktemp("alone")
    undisturbed = support.run(example.alone, cwd=alone, timeout=120)
    assert undisturbed.returncode == 0, undisturbed.stdout + undisturbed.stderr

    command = ["train", "--run", "it", *example.options, *example.command]
    kinds = [("TERM", "USR1", "KILL")[n % 3] for n in range(INTERRUPTIONS)]
    rng.shuffle(kinds)
    saved = None
    for kind in kinds:
        saved = interrupt(command, weird_path, kind, rng, saved, example)
    last = support.run_ckptrun(*command, cwd=weird_path)
    assert last.returncode == 0, last.stdout + last.stderr
    check_continued(last.stdout, saved)

    attempts = sorted((weird_path / "runs" / "it" / "attempts").iterdir())
    assert len(attempts) == INTERRUPTIONS + 1
    same(attempts[-1] / "output" / example.final, alone / example.final_alone)


def interrupt(command, cwd, kind, rng, saved, example):
    """Start, interrupt at a random step, look at the exit code; the last step known to be saved."""
    with support.start_ckptrun(*command, cwd=cwd) as it:
        first = int(it.wait_for(rf"^step (\d+) of {STEPS}")[1])
        if more := rng.randrange(12):
            it.wait_for(rf"^step {first + more} of")
        if kind == "KILL":
            it.kill_tree()
        else:
            it.signal(getattr(signal, f"SIG{kind}"))
            assert it.finish() == AGAIN, it.text
        said = it.text
    check_continued(said, saved)
    print(f"{kind} at step {first + more}: {last_step(said, 'saved step')} saved, {last_step(said, 'step')} done")
    if kind != "KILL" and example.saves_on_request:
        assert last_step(said, "saved step") == last_step(said, "step"), said
    newest = newest_whole(cwd / "runs" / "it" / "attempts") if example.in_place else last_step(said, "saved step")
    return saved if newest is None else newest


def newest_whole(attempts):
    """The step of the newest file that can be loaded; one that was being rewritten cannot, and what was in it is lost."""
    steps = []
    for path in attempts.glob("*/output/state.npz"):
        try:
            with open(path, "rb") as file, np.load(file) as state:  # numpy would leave a torn one open
                steps.append(int(state["step"]))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            print(f"torn: {path.parent.parent.name}")
    return max(steps, default=None)


def check_continued(said, saved):
    """It went on from what was saved last, or from something later that nobody had time to speak of."""
    if saved is not None:
        went_on = last_step(said, "continuing after step")
        assert went_on is not None, said
        assert went_on >= saved, f"step {saved} was saved\n{said}"


def last_step(said, what):
    found = re.findall(rf"^{what} (\d+)", said, re.MULTILINE)
    return int(found[-1]) if found else None


def same(path, other):
    """Equal to the last bit, array by array."""
    if path.suffix == ".txt":
        assert path.read_bytes() == other.read_bytes()
    elif path.suffix == ".npz":
        with np.load(path) as ours, np.load(other) as theirs:
            assert sorted(ours) == sorted(theirs)
            assert [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()] == []
    else:
        import torch

        ours, theirs = torch.load(path, weights_only=True), torch.load(other, weights_only=True)
        assert sorted(ours) == sorted(theirs)
        assert [name for name in ours if ours[name].numpy().tobytes() != theirs[name].numpy().tobytes()] == []
