"""A branch that is killed, or fails, at any call: the new run is there whole or not at all, and the parent is as it was."""

from __future__ import annotations

import os
import sys

import pytest
from crash.harness import Case
from runmaker import Made

from ckptrun import names
from ckptrun.checkpoints import scan, verify
from ckptrun.runs import branches, paths, records

BRANCHER = """
import os, sys
from ckptrun import errors
from ckptrun.report import refs
from ckptrun.runs import paths
from ckptrun.session import branching
root = sys.argv[1]
item = refs.checkpoint("a@10", root=root, cwd=root)
runs = [paths.run_paths(root, name) for name in ("a", "b")]
asked = branching.Asked(parent=runs[0], checkpoint=item, run=runs[1], sets=("every=5",), cwd=root, by="a test")
os.access("/ckptrun: the imports are done", os.F_OK)
try:
    branching.branch(asked, 0.0)
except errors.CkptrunError as error:
    sys.exit(f"{error.exit_code} {error.message}")
"""


def prepare(root):
    with Made(root, "a").attempt() as attempt:
        attempt.save(10, {"one.bin": b"1" * 1000, "sub.bin": b"2"})


def whole(root, name):
    run = paths.run_paths(root, name)
    found = scan.scan_run(run.checkpoints, run.attempts)
    assert [(item.step, verify.deep(item)[0]) for item in found] == [(10, names.COMPLETE)]
    return records.read_run(run)


def brancher():
    return Case(prepare, lambda root: [sys.executable, "-c", BRANCHER, root])


def test_struck_at_each_change_of_names(tmp_path):
    """Killed before each rename and link, and each of them failing; all other calls are among the long tests."""
    calls = brancher().calls(tmp_path, ("rename", "link"))
    assert len(calls) >= 4
    for call in calls:
        strike(tmp_path, call)


@pytest.mark.long
def test_struck_at_any_call(tmp_path):
    calls = brancher().calls(tmp_path)
    assert {call.name for call in calls} >= {"mkdir", "openat", "write", "fsync", "rename"}
    for call in calls:
        strike(tmp_path, call)


def strike(place, call):
    with brancher().killed(place, call) as struck:
        assert struck.fired
        check(struck.root, call)
    with brancher().failed(place, call, "ENOSPC") as struck:
        assert struck.fired
        made = check(struck.root, call)
        assert made or not struck.silent, call
        assert made or struck.code == 1, call


def check(root, call):
    """The parent is whole; the new run is there whole, and protected, or not there: True where it is."""
    assert whole(root, "a").parent == "", call
    runs = [run.name for run in paths.all_runs(root)]
    if runs == ["a"]:
        assert branches.of(paths.run_paths(root, "a")) == [], call
        return False
    assert runs == ["a", "b"], call
    record = whole(root, "b")
    assert (record.parent, record.overrides) == ("a@step-00000010", {"every": "5"}), call
    assert list(branches.in_use(paths.run_paths(root, "a"))) == [os.path.join(root, "a/checkpoints/step-00000010")], call
    return True
