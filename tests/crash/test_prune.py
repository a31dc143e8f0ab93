"""A prune, killed at every system call and with every one of them failing, and a power cut after every one.

Each time: what is kept is there and whole, nothing half-deleted bears a checkpoint's name, no error is silent, and the same prune again
removes what goes and empties the trash.
"""

import os
import re
import shutil
import sys
import time

import layouts_trees as trees
import pytest
import support
from crash.harness import ERRORS, Case
from crash.power import Disk
from crash.promise import breaches
from runmaker import Made, age

from ckptrun import names
from ckptrun.layouts import pointers

PRUNE = ("prune", "r", "--keep-last", "1", "--yes", "--wait")
KEPT = ["step-00000010", "step-00000040"]  # the best and the newest
GOES = ["step-00000020", "step-00000030"]
GROUP = ("a_1.index", "a_1.data", "a_1.optim")
REMOVE = """\
import os, sys
from ckptrun.checkpoints import remove, trash
from ckptrun.model import Checkpoint

here = os.path.join(sys.argv[1], "out")
item = Checkpoint(name="a_1", path=f"{here}/a_1.index", directory=here, layout="tf", entries=tuple(sys.argv[2:]))
os.access("/ckptrun: the imports are done", os.F_OK)
where = remove.place(here, "")
done = remove.move(remove.units([item], []), lambda _: where, lambda: None)
left = done.left + trash.empty(where)
sys.exit("; ".join(left) or 0)
"""


def run_dir(root):
    return os.path.join(root, "runs", "r")


def prepare(root):
    made = Made(os.path.join(root, "runs"), "r")
    with made.attempt() as attempt:
        for step in (10, 20, 30, 40):
            attempt.save(step, {"model.pt": b"m" * 100, "sub": b"s"}, loss=step)
    age(made.paths)


@pytest.fixture
def case():
    return Case(prepare, lambda _: support.ckptrun_argv(*PRUNE), mark="")


def struck(case, place, calls, errors):
    """Every breach of the promise when `calls` are struck."""
    for call in calls:
        with case.killed(place, call) as ran:
            yield from (f"killed at {call}: {breach}" for breach in judged(ran))
        for error in errors(call):
            with case.failed(place, call, error) as ran:
                yield from (f"{error} at {call}: {breach}" for breach in judged(ran))
                if ran.silent and not _harmless(call):
                    yield f"{error} at {call}: it was silent"


def _harmless(call):
    """What need not be done: the trash is made where it is not there, the lock's file is there."""
    return "EEXIST" in call.text or call.name == "flock" or names.LEASE_LOCK in call.text


def judged(ran):
    yield from breaches(run_dir(ran.root), KEPT)
    again = support.run_ckptrun(*PRUNE, cwd=ran.root)
    if again.returncode:
        yield f"the same again ends with {again.returncode}: {again.stderr}"
    yield from breaches(run_dir(ran.root), KEPT)
    checkpoints = os.path.join(run_dir(ran.root), names.CHECKPOINTS)
    yield from (f"{name} is still there" for name in GOES if os.path.lexists(os.path.join(checkpoints, name)))
    trash = os.path.join(run_dir(ran.root), names.TRASH)
    yield from (f"{name} is left in the trash" for name in os.listdir(trash))


def test_killed_and_failing_at_every_sixth_call(case, tmp_path):
    calls = case.calls(tmp_path)
    assert len(calls) > 15
    found = list(struck(case, tmp_path, calls[1::6], lambda call: [ERRORS[call.number % 3]]))
    assert not found, "\n".join(found)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_and_failing_at_every_call(case, tmp_path):
    found = list(struck(case, tmp_path, case.calls(tmp_path), lambda _: ERRORS))
    assert not found, "\n".join(found)


def test_a_power_cut_after_every_call(case, tmp_path):
    with case.baseline(tmp_path) as ran:
        trace, root = ran.trace, ran.root
    os.mkdir(root)
    prepare(root)
    disk = Disk(root)
    shutil.rmtree(root)
    cuts = 0
    for number, line in enumerate(disk.replay(trace)):
        home = os.path.join(tmp_path, f"cut-{number}")
        os.mkdir(home)
        for world in (disk.forgotten(home), disk.names_first(home)):
            found = breaches(run_dir(world), KEPT)
            assert not found, f"power cut after {line[:120]}: {found}"
        shutil.rmtree(home)
        cuts += 1
    assert cuts > 15
    there = disk.top.names["runs"].names["r"].names[names.CHECKPOINTS].names
    assert not set(GOES) & set(there), "the model did not see it"


# --- of several entries ------------------------------------------------------------------------------------------------
def _group(root):
    for name in GROUP:
        support.write_files(root, {f"out/{name}": name})
        os.utime(os.path.join(root, "out", name), (time.time() - 999,) * 2)
    support.write_files(root, {"remove.py": REMOVE, "out/a_2.index": "the next"})


def test_a_group_is_there_with_all_its_entries_or_without_its_first(tmp_path):
    case = Case(_group, lambda root: [sys.executable, "remove.py", root, *GROUP])
    calls = case.calls(tmp_path)
    assert len(calls) > 12
    for call in calls[::2]:
        with case.failed(tmp_path, call, "EIO") if call.number % 2 else case.killed(tmp_path, call) as ran:
            there = set(os.listdir(os.path.join(ran.root, "out")))
            assert "a_2.index" in there
            assert GROUP[0] not in there or set(GROUP) <= there, f"{call}: {there}"
            again = support.run([sys.executable, "remove.py", ran.root, *GROUP], cwd=ran.root)
            assert (again.returncode, os.listdir(os.path.join(ran.root, "out"))) == (0, ["a_2.index"]), call


# --- with a pointer of its framework -----------------------------------------------------------------------------------
TENSORFLOW = ("prune", "./out", "--keep-last", "1", "--yes", "--wait")


def _tensorflow(root):
    trees.plant(os.path.join(root, "out"), trees.recorded()["tf_checkpointmanager_keep3"])


def test_a_pointer_names_what_is_there_wherever_it_stops(tmp_path):
    case = Case(_tensorflow, lambda _: support.ckptrun_argv(*TENSORFLOW), mark="")
    calls = case.calls(tmp_path)
    assert any("checkpoint" in call.text and call.name.startswith("rename") for call in calls)
    for call in calls[::2]:
        with case.failed(tmp_path, call, "EIO") if call.number % 2 else case.killed(tmp_path, call) as ran:
            _holds(ran.root, call)
            again = support.run_ckptrun(*TENSORFLOW, cwd=ran.root)
            assert again.returncode == 0, (call, again.stderr)
            _holds(ran.root, call)
            (home,) = {os.path.dirname(path) for path in _below(ran.root) if path.endswith(".index")}
            assert [name for name in os.listdir(home) if name.endswith(".index")] == ["ckpt-700.index"], call


def _holds(root, call):
    """The pointer names a checkpoint that is there, and so does each line of its list unless it was left for the next prune."""
    (path,) = [each for each in _below(root) if os.path.basename(each) == "checkpoint"]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    named = pointers.read("tf", text)
    there = os.listdir(os.path.dirname(path))
    assert {f"{named}.index", f"{named}.data-00000-of-00001"} <= {*there}, f"{call}: {there}"
    listed = set(re.findall(r"ckpt-\d+", text))
    assert listed <= {name.split(".")[0] for name in there}, f"{call}: lists {listed}, there is {there}"


def _below(root):
    return [os.path.join(where, name) for where, _, files in os.walk(os.path.join(root, "out")) for name in files]
