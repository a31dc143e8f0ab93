"""What a running attempt and everybody else tell each other."""

from __future__ import annotations

import os
import threading
import time

import msgspec
import pytest

from ckptrun import errors
from ckptrun.model import Holder, Request
from ckptrun.platforms import base
from ckptrun.runs import control, documents, durable, paths

ME = base.identity()
NOW = 1_800_000_000.0


def request(**fields):
    known = {
        "id": "r1",
        "attempt": 3,
        "action": "save",
        "reason": "ckptrun save by ana@login1",
        "created": NOW,
        "by": "ana@login1:7",
    }
    return Request(**{**known, **fields})


def test_the_request_in_force_is_shown_and_taken_back(run):
    assert control.in_force(run) is None
    control.publish(run, request(deadline=NOW + 90))
    assert control.in_force(run) == request(deadline=NOW + 90)
    control.publish(run, request(action="save_and_stop"))
    assert control.in_force(run).action == "save_and_stop"
    control.publish(run, None)
    control.publish(run, None)
    assert control.in_force(run) is None


def test_progress_is_read_as_it_was_written(run):
    assert control.read_progress(run) is None
    progress = control.Progress(attempt=3, state="running", step=5, total=10, epoch=0.5, notes=["a"], updated=NOW)
    control.write_progress(run, progress)
    assert control.read_progress(run) == progress


def test_the_mark_of_a_stop_stays_until_it_is_cleared(run):
    assert control.stopped(run) is None
    control.mark_stopped(run, by="ana@login1", now=NOW, attempt=3, reason="maintenance")
    assert control.stopped(run).sentence() == "stopped by ana@login1 at 2027-01-15T08:00:00.000Z in attempt 3: maintenance"
    assert control.clear_stopped(run) is True
    assert control.clear_stopped(run) is False
    assert control.stopped(run) is None


@pytest.mark.parametrize("body", [b"", b"{", b'{"format": 2}', b'{"format": 1}'])
def test_a_mark_that_cannot_be_understood_is_still_a_mark(run, body):
    with open(run.stopped, "wb") as file:
        file.write(body)
    assert control.stopped(run).by == "unknown"
    assert control.stopped(run).sentence().startswith("stopped by unknown: ")


def test_what_an_earlier_attempt_left_is_forgotten_at_the_next_start(run):
    control.publish(run, request())
    control.write_progress(run, control.Progress(attempt=3))
    control.answer(run, control.Answer(id="r1", ok=True))
    control.mark_stopped(run, by="ana", now=NOW)
    control.post(run, request(id="r2", attempt=4))
    for place in (run.dir, run.control, run.inbox):
        with open(os.path.join(place, ".tmp-torn"), "w"):
            pass
    control.reset(run)
    assert (control.in_force(run), control.read_progress(run), control.read_answer(run, "r1")) == (None, None, None)
    assert control.stopped(run)
    assert [item.id for item in control.take_inbox(run, 4)] == ["r2"]
    assert not [name for place in (run.dir, run.control, run.inbox) for name in os.listdir(place) if name.startswith(".")]
    control.reset(run)


def test_a_request_is_answered(run):
    control.post(run, request())
    taken = control.take_inbox(run, 3)
    assert taken == [request()]

    def save_and_answer():
        control.answer(run, control.Answer(id="r1", ok=True, text="saved", checkpoint="step-00000020"))

    saver = threading.Timer(0.05, save_and_answer)
    saver.start()
    answer = control.wait_answer(run, "r1", timeout=30, monotonic=time.monotonic, sleep=time.sleep, gone=lambda: False)
    saver.join()
    assert (answer.ok, answer.checkpoint) == (True, "step-00000020")


def test_waiting_ends_with_patience_and_with_the_attempt(run, make_time):
    time = make_time()
    wait = {"timeout": 5, "monotonic": time.clock, "sleep": time.sleep}
    assert control.wait_answer(run, "r1", **wait, gone=lambda: False) is None
    assert sum(time.slept) == pytest.approx(5, abs=0.2)
    assert control.wait_answer(run, "r1", **{**wait, "timeout": None}, gone=lambda: True) is None


def test_an_answer_that_was_the_last_thing_it_wrote_is_heard(run, make_time):
    time = make_time()

    def gone():
        control.answer(run, control.Answer(id="r1", ok=False, text="it ended"))
        return True

    assert control.wait_answer(run, "r1", timeout=None, monotonic=time.clock, sleep=time.sleep, gone=gone).text == "it ended"


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "", ".", "a/b", "a\0"])
def test_an_id_that_would_leave_its_directory_is_refused(run, name):
    for act in (
        lambda: control.answer(run, control.Answer(id=name, ok=True)),
        lambda: control.read_answer(run, name),
        lambda: control.post(run, request(id=name)),
    ):
        with pytest.raises(errors.UsageError):
            act()


def holder(**fields):
    known = {
        "host": ME.host,
        "pid": ME.pid,
        "boot_id": ME.boot_id,
        "start_ticks": ME.start_ticks,
        "pid_ns": ME.pid_ns,
        "attempt": 3,
    }
    return Holder(**{**known, **fields})


BEAT = f"{int((NOW - 20) * 1e9):020d}"
STALE = f"{int((NOW - 100) * 1e9):020d}"


@pytest.mark.parametrize(
    ("found", "runs"),
    [
        (holder(), True),
        (holder(state="released"), False),
        (holder(start_ticks=1), False),
        (holder(boot_id="before"), False),
        (holder(host="node7", boot_id="other", heartbeat=BEAT), True),
        (holder(host="node7", boot_id="other", heartbeat=STALE), False),
        (holder(host="node7", boot_id="other"), False),
        (holder(host="node7", boot_id="other", heartbeat="what is this"), False),
    ],
)
def test_whether_somebody_runs_it_is_seen_without_touching_the_lock(run, found, runs):
    durable.replace(run.lease_json, documents.encode(found))
    assert control.running(run, ME, now=NOW) == (found if runs else None)
    assert not os.path.exists(run.lease_lock)


def test_nobody_runs_what_was_never_started(run, tmp_path):
    assert control.running(run, ME, now=NOW) is None
    assert control.running(paths.run_paths(str(tmp_path), "missing"), ME, now=NOW) is None


def test_who_runs_it_cannot_be_told_from_a_damaged_lease(run):
    with open(run.lease_json, "w") as file:
        file.write("{")
    with pytest.raises(documents.Unreadable):
        control.running(run, ME, now=NOW)


def test_a_control_directory_that_is_full_is_said(small_disk):
    disk = small_disk(64)
    run = paths.run_paths(str(disk), "digits")
    paths.create(run)
    with open(disk / "filler", "wb") as file:
        file.write(b"x" * (disk.stat().st_blksize and 32768))
        file.flush()
    with pytest.raises(errors.IoFailure, match="no space left"):
        control.write_progress(run, control.Progress(attempt=1, notes=["x" * 60_000]))
    assert control.read_progress(run) is None


def test_a_request_that_is_too_long_is_refused_before_it_is_sent(run):
    with pytest.raises(errors.UsageError, match="where 4096 are read"):
        control.post(run, request(reason="x" * 5000))
    assert os.listdir(run.inbox) == []


def test_odd_text_in_a_request_arrives_as_text(run):
    control.post(run, request(reason='by "ana"\n\x1b[31m ä 目 \udcff'))
    assert control.take_inbox(run, 3)[0].reason == 'by "ana"\n\x1b[31m ä 目 \\xff'


def test_records_of_control_pass_over_what_a_later_version_added(run):
    tree = {**msgspec.to_builtins(request()), "mood": "fine"}
    durable.replace(run.request, documents.encode(tree))
    assert control.in_force(run) == request()
