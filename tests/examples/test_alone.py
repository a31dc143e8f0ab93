"""The examples without ckptrun around them: they learn what they should, twice the same, and the client works on its own."""

from __future__ import annotations

import os
import re
import signal
import sys

import numpy as np
import pytest
import support

DIGITS = os.path.join(support.EXAMPLES, "digits.py")
PLAIN = os.path.join(support.EXAMPLES, "digits_plain.py")
TORCH = os.path.join(support.EXAMPLES, "digits_torch.py")


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (DIGITS, ["--steps", "800"]),
        (PLAIN, ["--steps", "800", "--out", "s.npz"]),
        (TORCH, ["--steps", "400", "--hidden", "16"]),
    ],
)
def test_it_reads_more_than_95_of_100_digits(script, options, tmp_path):
    done = support.run([sys.executable, script, *options], cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(re.search(r"^accuracy (.*)$", done.stdout, re.MULTILINE)[1]) > 0.95


def test_the_plain_script_goes_on_from_its_file(tmp_path):
    """Half, then the rest: the same file as in one go."""
    few = ["--hidden", "16", "--out"]
    for options in (
        ["once.npz", "--steps", "200"],
        ["twice.npz", "--steps", "90"],
        ["twice.npz", "--steps", "200", "--resume", "twice.npz"],
    ):
        done = support.run([sys.executable, PLAIN, *few, *options], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "once.npz").read_bytes() == (tmp_path / "twice.npz").read_bytes()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_without_ckptrun_a_signal_saves_and_the_next_start_goes_on(signum, weird_path, tmp_path):
    small = [sys.executable, DIGITS, "--hidden", "16", "--steps", "150", "--log-every", "1"]
    assert support.run(small, cwd=tmp_path).returncode == 0
    slow = [*small, "--step-seconds", "0.02"]
    with support.Started(slow, cwd=weird_path) as it:
        it.wait_for(r"^step 40 of 150")
        it.signal(signum)
        assert it.finish() == 0, it.text
    saved = int(re.findall(r"^saved step (\d+)$", it.text, re.MULTILINE)[-1])
    done = support.run(slow, cwd=weird_path)
    assert done.returncode == 0, done.stderr
    assert f"continuing after step {saved}\n" in done.stdout
    with np.load(weird_path / "output" / "final.npz") as ours, np.load(tmp_path / "output" / "final.npz") as theirs:
        assert {name: ours[name].tobytes() for name in ours} == {name: theirs[name].tobytes() for name in theirs}
