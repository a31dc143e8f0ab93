"""Who is dead: a table of holders as they may be found, with a clock that only sleeping moves."""

from __future__ import annotations

import os
import subprocess

import msgspec
import pytest

from ckptrun import errors
from ckptrun.model import Holder
from ckptrun.platforms import base
from ckptrun.runs import control, documents, durable, lease, paths

ME = base.identity()
STAMP = "01800000000000000000"


def holder(**fields):
    known = {"host": ME.host, "pid": 2**22 + 1, "boot_id": ME.boot_id, "start_ticks": 5, "pid_ns": ME.pid_ns}
    return Holder(
        **{**known, "attempt": 3, "attempt_id": "theirs", "since": "2026-11-20T18:11:47.000Z", "heartbeat": STAMP, **fields}
    )


def write(run, found):
    durable.replace(run.lease_json, documents.encode(found))


ELSEWHERE = {"host": "node7", "boot_id": "other"}
CASES = {
    # what lease.json says, what the scheduler says, what is concluded, after how many seconds
    "released": (holder(state="released"), None, "released", 0),
    "released elsewhere": (holder(state="released", **ELSEWHERE), False, "released", 0),
    "its pid is gone": (holder(), None, "its process is gone", 0),
    "its pid is another process": (holder(pid=os.getpid(), start_ticks=ME.start_ticks + 1), None, "its process is gone", 0),
    "its pid is impossible": (holder(pid=0), None, "its process is gone", 0),
    "its pid is absurd": (holder(pid=2**70), None, "its process is gone", 0),
    "our host before a boot": (holder(boot_id="before"), False, f"{ME.host} was rebooted", 0),
    "another container": (holder(pid_ns="pid:[1]"), None, "no heartbeat for 30 s", 30),
    "its process is there": (holder(pid=os.getpid(), start_ticks=ME.start_ticks), None, "no heartbeat for 1m 30s", 90),
    "another host, nobody knows": (holder(**ELSEWHERE), None, "no heartbeat for 1m 30s", 90),
    "another host, its job is over": (holder(**ELSEWHERE, job="77"), True, "its job 77 is over", 0),
    "no boot id here": (holder(boot_id=""), None, "no heartbeat for 1m 30s", 90),
    "a heartbeat that is a year old": (holder(**ELSEWHERE, heartbeat="0" * 20), None, "no heartbeat for 1m 30s", 90),
    "a heartbeat of tomorrow": (holder(**ELSEWHERE, heartbeat="9" * 20), None, "no heartbeat for 1m 30s", 90),
}


@pytest.mark.parametrize("case", CASES)
def test_the_dead_are_followed_after_the_time_that_it_takes_to_be_sure(run, hold, case, make_time):
    found, over, why, seconds = CASES[case]
    write(run, found)
    time, told = make_time(), []
    got = hold(run, time=time, over=over, tell=told.append)
    assert (got.previous_ended, sum(time.slept)) == (why, seconds)
    assert got.previous == found
    assert got.next_attempt() == 4
    assert len(told) == (1 if seconds else 0)


def test_a_job_that_runs_is_believed_without_waiting(run, hold):
    write(run, holder(**ELSEWHERE, job="77", platform="slurm"))
    with pytest.raises(errors.Leased) as caught:
        hold(run, over=False)
    assert caught.value.exit_code == 69
    wanted = "run digits is held by node7 (pid 4194305, slurm job 77, attempt 3) since 2026-11-20T18:11:47.000Z"
    assert caught.value.message == wanted


def test_the_scheduler_is_not_asked_about_our_own_machine(run, hold):
    write(run, holder(boot_id="before", job="77"))
    assert hold(run, over=False).previous_ended == f"{ME.host} was rebooted"


def test_a_heartbeat_in_the_ninetieth_second_is_life(run, hold, make_time):
    first = holder(**ELSEWHERE)
    write(run, first)

    def beat():
        if sum(time.slept) >= 90:
            write(run, msgspec.structs.replace(first, heartbeat=STAMP[:-1] + "1"))

    time = make_time(beat)
    with pytest.raises(errors.Leased, match="is held by node7"):
        hold(run, time=time)
    assert sum(time.slept) == 90


def test_a_holder_that_lets_go_while_it_is_watched_is_followed_at_once(run, hold, make_time):
    write(run, holder(**ELSEWHERE))
    time = make_time(lambda: write(run, holder(**ELSEWHERE, state="released")))
    assert hold(run, time=time).previous_ended == "released"
    assert time.slept == [5.0]


def test_a_lease_that_is_removed_while_it_is_watched_is_free(run, hold, make_time):
    write(run, holder(**ELSEWHERE))
    time = make_time(lambda: os.path.exists(run.lease_json) and os.unlink(run.lease_json))
    assert hold(run, time=time).previous_ended == "released"


BODIES = {
    "torn": (documents.encode(holder())[:50], "is damaged"),
    "empty": (b"", "is empty"),
    "zeros": (b"\0" * 300, "is empty"),
    "noise": (bytes(range(256)), "is damaged"),
    "deep": (b"[" * 60_000, "is damaged"),
    "not a holder": (b'{"format": 1}', "is damaged"),
    "another type": (b'{"format": 1, "host": 3, "pid": 1, "boot_id": ""}', "is damaged"),
    "no format": (b'{"host": "h", "pid": 1, "boot_id": ""}', "does not say which format it is"),
    "later": (b'{"format": 2, "who": "somebody"}', "was written by a later version of ckptrun (format 2;"),
    "large": (b" " * 70_000, "is far too large"),
}


@pytest.mark.parametrize("case", BODIES)
def test_what_cannot_be_understood_is_unknown_and_never_dead(run, hold, case):
    body, why = BODIES[case]
    with open(run.lease_json, "wb") as file:
        file.write(body)
    with pytest.raises(errors.Leased) as caught:
        hold(run)
    assert f"nobody can tell who holds it: {run.lease_json} {why}" in caught.value.message
    assert caught.value.hint == (
        "use the newer ckptrun for this run"
        if case == "later"
        else f"if you are sure that nothing is running this run anywhere, move {run.lease_json} away"
    )
    with open(run.lease_json, "rb") as file:
        assert file.read() == body


@pytest.mark.parametrize("thing", ["fifo", "directory", "link", "dangling link", "device"])
def test_things_that_are_not_files_are_unknown_too_and_block_nobody(run, hold, tmp_path, thing):
    path, good = run.lease_json, tmp_path / "good.json"
    good.write_bytes(documents.encode(holder(state="released")))
    make = {
        "fifo": lambda: os.mkfifo(path),
        "directory": lambda: os.mkdir(path),
        "link": lambda: os.symlink(good, path),
        "dangling link": lambda: os.symlink("nowhere", path),
        "device": lambda: os.mknod(path, 0o20666, os.makedev(1, 3)),
    }
    if thing == "device" and os.geteuid():
        pytest.skip("only root makes devices")
    make[thing]()
    with pytest.raises(errors.Leased, match="nobody can tell who holds it"):
        hold(run)
    os.rename(path, tmp_path / "away")
    assert hold(run).previous is None


def test_fields_of_a_later_version_in_the_same_format_are_passed_over(run, hold):
    write(run, {**msgspec.to_builtins(holder(state="released")), "mood": "fine"})
    assert hold(run).previous_ended == "released"


def test_the_refused_are_told_what_the_holder_does(run, hold, puppets):
    write(run, holder(**ELSEWHERE))
    control.write_progress(run, control.Progress(attempt=3, state="running", step=40, total=200))
    with pytest.raises(errors.Leased, match=r"since 2026-11-20T18:11:47.000Z: running, step 40 of 200$"):
        hold(run, over=False)
    control.write_progress(run, control.Progress(attempt=2, state="running", step=40))
    with pytest.raises(errors.Leased, match=r"since 2026-11-20T18:11:47.000Z$"):
        hold(run, over=False)


def test_a_number_is_never_used_twice_even_when_its_directory_was_removed(run, hold):
    write(run, holder(attempt=7))
    paths.new_attempt(run, 2)
    got = hold(run)
    assert got.next_attempt() == 8
    got.take(8, "ours")
    assert got.next_attempt() == 9


def test_alive_says_what_can_be_known_here(run):
    process = subprocess.Popen(["sleep", "1000"])
    assert lease.alive(run, holder(pid=process.pid, start_ticks=0), ME) is True
    assert lease.alive(run, holder(pid=1, start_ticks=0), ME) is True
    process.kill()
    process.wait()
    assert lease.alive(run, holder(pid=process.pid, start_ticks=0), ME) is False
    assert lease.alive(run, holder(**ELSEWHERE), ME) is None
    assert lease.alive(run, holder(boot_id="before"), ME) is False
    assert lease.alive(run, holder(pid_ns="pid:[1]"), ME) is None


def test_the_lease_is_a_file_that_one_can_read_and_its_heartbeat_only_grows(run, hold, make_time):
    time = make_time()
    got = hold(run, time=time)
    paths.new_attempt(run, 1)
    got.take(1, "ours")
    seen = [lease.read_holder(run).heartbeat]
    for step in (10, -3600, 0, 10):  # the clock may be set back
        time.now += step
        assert got.beat()
        seen.append(lease.read_holder(run).heartbeat)
    assert seen == sorted(set(seen))
    assert {len(text) for text in seen} == {20}
    with open(run.lease_json) as file:
        assert file.read().startswith('{\n  "format": 1,\n  "host": "')
    got.release()
    assert lease.read_holder(run).state == "released"


def test_a_heartbeat_that_cannot_be_written_is_trouble_and_not_a_loss(run, hold):
    got = hold(run)
    paths.new_attempt(run, 1)
    got.take(1, "ours")
    read_only = os.open(run.lease_json, os.O_RDONLY)
    os.dup2(read_only, got._fd)
    assert got.beat() is True
    assert got.trouble == f"cannot read or write {run.lease_json}: Bad file descriptor"
    os.close(read_only)
    os.close(got._fd)
    got._fd = os.open(run.lease_json, os.O_RDWR)
    assert got.beat() is True
    assert got.trouble == ""


def test_before_it_is_numbered_a_lease_is_held_while_nothing_changed(run, hold):
    write(run, holder(state="released"))
    got = hold(run)
    assert got.held()
    write(run, holder(attempt_id="somebody else's"))
    assert not got.held()
    with pytest.raises(errors.LeaseLost) as caught:
        got.require()
    assert caught.value.exit_code == 69


def test_a_higher_number_takes_the_run_even_before_it_is_written(run, hold):
    got = hold(run)
    paths.new_attempt(run, 1)
    got.take(1, "ours")
    paths.new_attempt(run, 2)
    assert not got.beat()
    with pytest.raises(errors.LeaseLost):
        got.take(1, "again")


def test_sleeping_machines_are_noticed_by_two_clocks(monkeypatch):
    mark = lease.awake_mark()
    assert lease.slept(mark) == pytest.approx(0, abs=0.1)
    assert lease.slept(mark - 3600) == pytest.approx(3600, abs=0.1)
