"""A power cut after every call of a prune: what is kept is there and whole. And what has several entries, struck while it is removed."""

import os
import shutil
import sys
import time

import pytest
import support
from crash.harness import Case
from crash.power import Disk
from crash.promise import breaches
from runmaker import Made, age

from ckptrun import names

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
