"""A backup and a restore, killed at system calls and with system calls failing: nothing kept is lost, nothing half done looks whole.

Each time the same command is given again, and must end with a whole one.
"""

import os
import shutil
import subprocess
import sys

import pytest
import support
from crash.harness import Case
from runmaker import Made

from ckptrun import names
from ckptrun.backup import copying, local, restoring
from ckptrun.checkpoints import scan, verify

SCRIPT = os.path.join(os.path.dirname(__file__), "backup_script.py")
STEP = "step-00000007"
FILES = {"state.pt": b"state" * 1000, "sub/more": b"m" * 10, "empty": b""}


def argv(*args):
    return lambda root: [sys.executable, SCRIPT, *args, "--root", os.path.join(root, "runs")]


BACKUP = argv("backup", "--copy", "--jobs", "1", "digits")
LINKED = argv("backup", "--jobs", "1", "digits")
RESTORE = argv("restore", "--jobs", "1", "digits")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run with one checkpoint, made once and copied for each kill."""
    root = tmp_path_factory.mktemp("world")
    made = Made(os.path.join(root, "runs"))
    with made.attempt() as attempt:
        attempt.save(7, FILES)
    return root


def prepared(world, *, backed_up):
    def prepare(root):
        shutil.copytree(os.path.join(world, "runs"), os.path.join(root, "runs"), symlinks=True)
        if backed_up:
            subprocess.run(BACKUP(root), check=True, capture_output=True, env=support.clean_env())
            shutil.rmtree(os.path.join(root, "runs", "digits", names.CHECKPOINTS, STEP))

    return prepare


def breaches(root):
    """What does not hold of the run's checkpoint and of its backup."""
    run = os.path.join(root, "runs", "digits")
    for item in scan.scan_run(os.path.join(run, names.CHECKPOINTS), os.path.join(run, names.ATTEMPTS)):
        if (state := verify.deep(item)) != (names.COMPLETE, ""):
            yield f"{item.path} looks like a checkpoint and is {state}"
    place = local.LocalPlace(os.path.join(run, names.BACKUP))
    found = restoring.newest(place)
    for part in found[1].files if found else ():
        if copying.digest_of(os.path.join(place.base, found[0], part.path)) != part.xxh3_128:
            yield f"the backup looks whole, and {part.path} is not"


def is_there(root, what):
    run = os.path.join(root, "runs", "digits")
    if what == "backup":
        return restoring.newest(local.LocalPlace(os.path.join(run, names.BACKUP))) is not None
    return bool(scan.scan_run(os.path.join(run, names.CHECKPOINTS), os.path.join(run, names.ATTEMPTS)))


def struck(case, command, place, calls, errors, made):
    """Every breach when `calls` are struck; `made` is what the command makes, `kept` what was there before."""
    kept = "checkpoint" if made == "backup" else "backup"
    for call in calls:
        for how in ("KILL", *errors(call)):
            run = case.killed(place, call) if how == "KILL" else case.failed(place, call, how)
            with run as ran:
                assert ran.fired, f"not reached: {call}"
                where = f"{how} at {call}"
                yield from (f"{where}: {breach}" for breach in breaches(ran.root))
                if not is_there(ran.root, kept):
                    yield f"{where}: the {kept} is lost"
                if ran.code == 0 and not is_there(ran.root, made):
                    yield f"{where}: it said that all is well"
                again = support.run(command(ran.root), cwd=ran.root)
                if again.returncode or not is_there(ran.root, made):
                    yield f"{where}: again: {again.stderr}"
                yield from (f"{where}: again: {breach}" for breach in breaches(ran.root))


CASES = {"backup": BACKUP, "link": LINKED, "restore": RESTORE}


def found(world, name, tmp_path, calls, errors):
    command = CASES[name]
    case = Case(prepared(world, backed_up=name == "restore"), command)
    made = "checkpoint" if name == "restore" else "backup"
    return list(struck(case, command, tmp_path, calls(case.calls(tmp_path)), errors, made))


@pytest.mark.parametrize("name", CASES)
def test_killed_at_a_few_calls(world, name, tmp_path):
    def some(calls):
        assert len(calls) > 12
        return calls[2::9]

    assert not (wrong := found(world, name, tmp_path, some, lambda _: ())), "\n".join(wrong)


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_a_full_disk_at_a_few_calls(world, name, tmp_path):
    assert not (wrong := found(world, name, tmp_path, lambda calls: calls[4::13], lambda _: ("ENOSPC",))), "\n".join(wrong)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CASES)
def test_killed_and_failing_at_every_call(world, name, tmp_path):
    wrong = found(world, name, tmp_path, lambda calls: calls, lambda _: ("ENOSPC", "EIO"))
    assert not wrong, "\n".join(wrong)
