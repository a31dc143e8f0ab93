import os
import time

import pytest
from runmaker import Made, me, rewrite_holder

from ckptrun import names
from ckptrun.report import attending, overview
from ckptrun.runs import control


def look(run):
    return overview.look(run.paths, me(), time.time())


@pytest.fixture
def run(tmp_path):
    return Made(tmp_path / "runs")


def test_a_run_without_an_attempt(run):
    seen = look(run)
    assert (seen.state, seen.attempts, seen.attempt, seen.step, seen.last_save, seen.troubles) == (
        "new",
        0,
        None,
        None,
        None,
        [],
    )


def test_running_then_ended(run):
    with run.attempt(why="SIGTERM", last_step=7) as attempt:
        attempt.save(5)
        progress = control.Progress(attempt=1, state="running", step=6, total=100, steps_per_second=2.0, started=time.time())
        control.write_progress(run.paths, progress)
        seen = look(run)
        assert (seen.state, seen.attempt, seen.outcome, seen.step, seen.total) == ("running", 1, "", 6, 100)
        assert (seen.left, seen.newest.step, overview.reason(seen)) == (46.5, 5, "")
        assert seen.next_save[0] == pytest.approx(progress.started + 600)
        assert seen.heard < 60
    seen = look(run)
    assert (seen.state, seen.attempt, seen.outcome, overview.reason(seen)) == ("ended", 1, "preempted", "SIGTERM")
    assert (seen.holder, seen.speed, seen.left) == (None, None, None)


ELSEWHERE = {"host": "node9", "boot_id": "another"}


@pytest.mark.parametrize(
    ("changed", "state", "reason"),
    [
        ({}, "running", ""),
        ({**ELSEWHERE, "beaten": 5}, "running", ""),
        ({**ELSEWHERE, "beaten": 3600}, "silent", "not heard of for 1h 0"),
        ({**ELSEWHERE, "heartbeat": "0" * 20}, "silent", "never heard of"),
        ({"pid": 2**22 + 1}, "ended", "ended without a word"),
        ({"boot_id": "before"}, "ended", "ended without a word"),
        ({"state": "released"}, "ended", "ended without a word"),
    ],
)
def test_what_a_holder_tells(run, changed, state, reason):
    with run.attempt(outcome=""):
        rewrite_holder(run, **changed)
        seen = look(run)
        assert (seen.state, seen.outcome) == (state, "")
        assert overview.reason(seen).startswith(reason)
        assert overview.held(run.paths, me()) == (state != "ended")


@pytest.mark.parametrize(
    "name", ["lease.json", "run.yaml", "control/progress.json", "control/stopped.json", "attempts/0001/attempt.json"]
)
def test_what_is_damaged_is_said_and_changes_nothing_else(run, name):
    with run.attempt() as attempt:
        attempt.save(5)
    with open(os.path.join(run.paths.dir, name), "w") as file:
        file.write("{")
    seen = look(run)
    assert (seen.state, seen.newest.step) == ("ended", 5)
    if name == "control/stopped.json":
        assert seen.stopped is not None  # a mark that cannot be understood is a mark
    else:
        assert len(seen.troubles) == 1
        assert os.path.basename(name) in seen.troubles[0]


def test_progress_of_an_earlier_attempt_is_not_this_one_s(run):
    with run.attempt():
        control.write_progress(run.paths, control.Progress(attempt=1, step=6))
    with run.attempt():
        assert look(run).progress is None


# --- standing by -------------------------------------------------------------------------------------------------------
def watch(run, monotonic=time.monotonic):
    return attending.Watch(run.paths, me(), monotonic)


@pytest.mark.parametrize(
    ("outcome", "stopped", "comes_back"),
    [
        (names.COMPLETED, False, False),
        (names.FAILED, False, False),
        (names.KILLED, False, False),
        (names.PREEMPTED, False, True),
        (names.TIMED_OUT, False, True),
        (names.PREEMPTED, True, False),
        (names.STOPPED_BY_USER, True, False),
        ("", False, True),
    ],
)
def test_whether_another_attempt_is_to_be_expected(run, outcome, stopped, comes_back):
    with run.attempt(outcome=outcome):
        assert watch(run).look().comes_back
    if stopped:
        control.mark_stopped(run.paths, by="ana", now=0.0)
    seen = watch(run).look()
    assert (seen.number, seen.outcome, seen.comes_back) == (1, outcome, comes_back)


def test_an_attempt_is_over_when_it_says_so(run):
    with run.attempt():
        assert not watch(run).over(1)
    assert watch(run).over(1)


def test_an_attempt_is_over_when_there_is_a_later_one(run):
    with run.attempt(outcome=""):
        pass
    with run.attempt():
        assert watch(run).over(1)
        assert not watch(run).over(2)


def test_an_attempt_that_nobody_holds_is_over_after_a_moment(run):
    with run.attempt(outcome=""):
        pass
    times = iter([0.0, 1.0, 3.5])
    seen = watch(run, lambda: next(times))
    assert [seen.over(1), seen.over(1), seen.over(1)] == [False, False, True]
