"""A run's directory as the first released format wrote it: a failed and a preempted attempt, three checkpoints. Kept for ever.

The files under data/format1 are never changed. A new format gets a directory of its own beside it.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest
import support

from ckptrun import names, units
from ckptrun.checkpoints import scan
from ckptrun.runs import control, lease, ledger, paths, records

DATA = os.path.join(os.path.dirname(__file__), "data", "format1")


@pytest.fixture
def old(tmp_path):
    """A copy, as a move to another machine would leave it."""
    shutil.copytree(DATA, tmp_path / "old", symlinks=True)
    return paths.run_paths(str(tmp_path / "old" / "runs"), "counting")


def test_its_records_are_read(old):
    run = records.read_run(old)
    assert (run.run, run.command[1:], run.settings["every"].value) == ("counting", ["train.py"], "3")
    assert run.settings["every"].source == "option --every"
    attempts = [records.read_attempt(old.attempt(number)) for number in paths.attempts(old)]
    assert [(a.outcome, a.child_exit, a.exit_code, a.resumed_step) for a in attempts] == [
        ("failed", 3, 3, None),
        ("preempted", 0, 75, 3),
    ]
    assert units.from_rfc3339(attempts[1].started) < units.from_rfc3339(attempts[1].ended)


def test_its_lease_is_free_and_its_ledger_whole(old):
    holder = lease.read_holder(old)
    assert (holder.state, holder.attempt, holder.host) == ("released", 2, "node1")
    events = [entry["event"] for entry in ledger.read(old.ledger)]
    assert events[0] == "ledger"
    assert events.count("attempt_started") == events.count("attempt_ended") == 2
    assert "unreadable" not in events
    assert (control.stopped(old), control.in_force(old)) == (None, None)


def test_its_checkpoints_are_whole(old):
    found = scan.scan_run(old.checkpoints, old.attempts)
    assert [(item.name, item.step, item.state) for item in found] == [
        (f"step-0000000{step}", step, names.COMPLETE) for step in (3, 6, 8)
    ]
    assert found[-1].request == "2-1"


def test_it_is_listed_and_goes_on_where_it_was(old):
    where = os.path.dirname(os.path.dirname(old.dir))
    listed = support.run_ckptrun("ls", "--json", "counting", cwd=where)
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["series"][0]["latest"] == "step-00000008"
    # The interpreter has another path here than where the run began, hence --changed.
    done = support.run_ckptrun("train", "--run", "counting", "--every", "3", "--changed", "train.py", cwd=where)
    assert done.returncode == 0, done.stderr
    assert "going on after step 8" in done.stderr
    with open(os.path.join(old.attempt(3).output, "sum.txt")) as file:
        assert file.read() == "66\n"
