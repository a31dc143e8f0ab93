"""A whole `ckptrun train`, start, two saves and ending, killed at every system call and with every one of them failing.

Each time: the newest acknowledged checkpoint is there and whole, the same command started again goes on from it (or from a newer one)
to the end, and no error is silent.
"""

import os
import re
import shutil
import sys
import tempfile

import pytest
import support
from crash.harness import ERRORS, Case
from crash.moments import KILL, MANY, is_below
from crash.moments import breaches as breaches_at
from crash.promise import breaches

SCRIPT = """\
import os, sys
import ckptrun
run = ckptrun.attach()
start = run.resume_step + 1 if run.resume_from else 0
os.write(1, f"start {start}\\n".encode())
for step in range(start, 4):
    if run.should_save(step, total=4):
        with run.checkpoint(step) as folder:
            (folder / "state.txt").write_text(str(step))
        os.write(1, f"ack step-{step:08d}\\n".encode())  # at once, or the log is written in as many pieces as it comes in
    if step == 1 and not run.resume_from:
        sys.exit(9)  # the first attempt ends here: what it saved is what must never be lost
run.done()
"""
TRAIN = ("train", "--run", "r", "--every", "1", "script.py")
FIRST = "step-00000001"
# Tidying up may fail in silence: nothing depends on it, and the next start tidies up again.
MAY_BE_SILENT = ("unlink", "unlinkat", "rmdir", "utimensat", "symlink", "flock")
SAID = re.compile("No space left|Input/output error|quota|warning|error", re.IGNORECASE)


def prepare(root):
    support.write_files(root, {"script.py": SCRIPT})
    first = support.run_ckptrun(*TRAIN, cwd=root, env={"TMPDIR": root})
    assert first.returncode == 9, first.stderr


@pytest.fixture
def case():
    return Case(prepare, lambda _: support.ckptrun_argv(*TRAIN), lambda root: {"TMPDIR": root}, mark="")


@pytest.fixture
def place():
    """A short path: a socket is made below it."""
    path = tempfile.mkdtemp(prefix="cks-", dir="/tmp")
    yield path
    shutil.rmtree(path)


def judge(ran, call, how):
    """Every breach of the promise when `call` was struck: by a kill, or by this error."""
    yield from judged(ran)
    if how != KILL and ran.code == 0 and not SAID.search(ran.stderr) and not excused(ran, call, how):
        yield "it was silent"


def excused(ran, call, error):
    """Whether nothing has to be said: nothing was changed by what was struck, or it was done in another way.

    How often ckptrun reads /proc varies, so that a number may strike another call than in the undisturbed run.
    """
    hit = [line for line in ran.trace if "(INJECTED)" in line]
    writes = [
        line
        for line in hit
        if ran.root in line and "/proc/" not in line and re.search("O_CREAT|O_WRONLY|O_RDWR|^[0-9]+ +(?!openat)", line)
    ]
    other_way = "EEXIST" in call.text or "/ckptrun-" in call.text  # it is there already; another directory is taken
    return not writes or call.name in MAY_BE_SILENT or other_way or (error == "EIO" and call.name == "openat")  # tried again


def judged(ran):
    """What does not hold after the struck run, and after the same command was started again."""
    acks = [FIRST, *re.findall(r"^ack (step-\d{8})$", ran.stdout, re.MULTILINE)]  # a line may be torn by the kill
    run_dir = os.path.join(ran.root, "runs", "r")
    yield from breaches(run_dir, acks)
    again = support.run_ckptrun(*TRAIN, cwd=ran.root, env={"TMPDIR": ran.root})
    if again.returncode:
        yield f"started again it ends with {again.returncode}: {again.stderr}"
        return
    newest = int(max(acks)[-8:])
    started = re.search(r"^start (\d+)$", again.stdout, re.MULTILINE)
    if started and int(started[1]) <= newest:
        yield f"started again it went on from {int(started[1]) - 1}, not from {newest}"
    if not started and "is complete" not in again.stderr:
        yield f"started again it did nothing: {again.stderr}"
    yield from breaches(run_dir, [*acks, "step-00000003"])


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(5, marks=pytest.mark.timeout(300)),
        pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
    ],
)
def test_killed_and_failing_at_random_moments(case, place, count):
    found = breaches_at(
        case, place, judge, hows=lambda call: (KILL, ERRORS[call.number % 3]), count=count, only=is_below, least=0.7
    )
    assert not found, "\n".join(found)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_killed_and_failing_at_every_call(case, place):
    found = breaches_at(case, place, judge, hows=lambda _: (KILL, *ERRORS), count=sys.maxsize, only=is_below, least=0.7)
    assert not found, "\n".join(found)
