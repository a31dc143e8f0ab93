"""Leases between real processes: races, kills, suspended holders, hosts on which locks do not hold."""

from __future__ import annotations

import os
import signal

import msgspec
import psutil
import pytest
import support

from ckptrun.model import Holder
from ckptrun.runs import lease, ledger, paths

ELSEWHERE = {"host": "node7", "boot_id": "another-boot", "hasten": 1000}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def dodge_the_lock(root):
    """What a filesystem does whose locks do not reach other hosts: the other host's lock is on another inode."""
    os.unlink(root / "digits" / "lease.lock")


def test_of_twenty_starts_at_once_exactly_one_wins(root, puppets):
    racers = [puppets(root) for _ in range(20)]
    for racer in racers:
        racer.say("create")
    assert {racer.hear() for racer in racers} == {"None"}
    for _ in range(4):
        for racer in racers:
            racer.say("acquire")
        answers = [racer.hear() for racer in racers]
        winners = [racer for racer, answer in zip(racers, answers, strict=True) if not answer.startswith("error")]
        assert len(winners) == 1, answers
        assert sum(answer.startswith("error 69 run digits is being started by somebody else") for answer in answers) == 19
        winners[0]("begin")
        assert winners[0]("held") == "True"
        assert winners[0]("release") == "None"
    assert paths.attempts(paths.run_paths(str(root), "digits")) == list(range(1, 5))


def test_without_locks_the_attempts_number_lets_exactly_one_win(root, puppets):
    racers = [puppets(root, nolock=True) for _ in range(12)]
    racers[0]("create")
    for _ in range(5):
        for racer in racers:
            racer.say("acquire")
        answers = [racer.hear() for racer in racers]
        ahead = [racer for racer, answer in zip(racers, answers, strict=True) if not answer.startswith("error")]
        assert ahead
        for racer in ahead:
            racer.say("begin")
        begun = [racer for racer in ahead if not racer.hear().startswith("error 69")]
        for racer in begun:
            racer.say("held")
        holders = [racer for racer, answer in [(racer, racer.hear()) for racer in begun] if answer == "True"]
        assert len(holders) == 1
        assert [racer("append late").split()[:2] for racer in begun if racer not in holders] == [["error", "69"]] * (
            len(begun) - 1
        )
        holders[0]("release")
    assert not [name for name in os.listdir(root / "digits") if name.startswith("lease.lock.")]


def test_the_second_start_is_told_who_holds_the_run(root, puppets):
    first, second = puppets(root, job={"platform": "slurm", "job": "77"}), puppets(root)
    first("create")
    first("acquire")
    first("begin")
    answer = second("acquire")
    assert answer.startswith(
        f"error 69 run digits is held by {os.uname().nodename} (pid {first.pid}, slurm job 77, attempt 1) since 20"
    )
    assert f"ckptrun stop digits --root {root}" in answer
    assert second.told == []


def test_a_killed_holder_is_followed_at_once(root, puppets):
    first, second = puppets(root), puppets(root)
    first("create")
    first("acquire")
    first("begin")
    first.kill()
    assert second("acquire") == "its process is gone"
    assert second("begin") == "2"
    assert second.told == []


def test_a_killed_holder_that_nobody_buried_is_dead(root, puppets):
    first, second = puppets(root), puppets(root, nolock=True)
    first("create")
    first("acquire")
    first("begin")
    os.kill(first.pid, signal.SIGKILL)
    support.wait_until(lambda: psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE)
    assert second("acquire") == "its process is gone"


def test_a_holder_on_a_machine_that_was_rebooted_is_dead(root, puppets):
    first, second = puppets(root, boot_id="the-boot-before"), puppets(root)
    first("create")
    first("acquire")
    first("begin")
    first.kill()
    assert second("acquire") == f"{os.uname().nodename} was rebooted"
    assert second.told == []


def test_a_silent_holder_on_another_host_is_watched_for_ninety_seconds(root, puppets):
    first, second = puppets(root), puppets(root, **ELSEWHERE)
    first("create")
    first("acquire")
    first("begin")
    first.kill()
    assert second("acquire") == "no heartbeat for 1m 30s"
    assert len(second.told) == 1
    assert "watching its heartbeat for 1m 30s before taking over" in second.told[0]
    assert second("begin") == "2"


def test_a_holder_on_another_host_that_beats_is_alive(root, puppets):
    first, second = puppets(root), puppets(root, host="node7", boot_id="another-boot", hasten=20)
    first("create")
    first("acquire")
    first("begin")
    dodge_the_lock(root)
    second.say("acquire")
    assert second._line().startswith("told run digits is held by")
    assert first("beat") == "(True, '')"
    assert second.hear().startswith(f"error 69 run digits is held by {os.uname().nodename} (pid {first.pid}, attempt 1)")
    assert first("held") == "True"


def test_a_process_that_lives_and_beats_keeps_its_run_where_locks_lie(root, puppets):
    first, second = puppets(root), puppets(root, hasten=20)
    first("create")
    first("acquire")
    first("begin")
    dodge_the_lock(root)
    second.say("acquire")
    assert second._line().startswith("told ")
    first("beat")
    assert second.hear().startswith("error 69 ")


def test_a_job_that_is_over_is_not_waited_for_and_one_that_runs_is_not_outlived(root, puppets):
    first = puppets(root)
    first("create")
    first("acquire")
    first("begin")
    first.kill()
    running = puppets(root, **ELSEWHERE, over=False)
    assert running("acquire").startswith("error 69 ")
    over = puppets(root, **ELSEWHERE, over=True)
    assert over("acquire") == "its job  is over"
    assert running.told == over.told == []


def test_a_suspended_holder_wakes_to_find_the_run_lost_and_writes_nothing_more(root, puppets):
    run = paths.run_paths(str(root), "digits")
    first, second = puppets(root), puppets(root, **ELSEWHERE)
    first("create")
    first("acquire")
    first("begin")
    first("append before")
    first.process.send_signal(signal.SIGSTOP)
    dodge_the_lock(root)
    assert second("acquire") == "no heartbeat for 1m 30s"
    assert second("begin") == "2"
    second("append after")
    seen = {name: (root / "digits" / name).read_bytes() for name in ("lease.json", "ledger.jsonl")}
    first.process.send_signal(signal.SIGCONT)
    assert first("append late").startswith("error 69 run digits was taken over by node7 (pid")
    assert first("beat") == "(False, '')"
    assert first("release") == "None"
    assert {name: (root / "digits" / name).read_bytes() for name in seen} == seen
    assert second("held") == "True"
    assert [entry["event"] for entry in ledger.read(run.ledger)] == ["ledger", "before", "after"]


def test_a_beat_that_comes_late_never_touches_the_successors_file(root, puppets):
    """The look and the write of a beat are two steps: the holder may sleep between them."""
    first, second = puppets(root), puppets(root, **ELSEWHERE)
    first("create")
    first("acquire")
    first("begin")
    opened = {fd for fd in os.listdir(f"/proc/{first.pid}/fd") if "lease.json" in os.readlink(f"/proc/{first.pid}/fd/{fd}")}
    assert len(opened) == 1
    own = os.stat(f"/proc/{first.pid}/fd/{opened.pop()}").st_ino
    dodge_the_lock(root)
    second("acquire")
    second("begin")
    assert os.stat(root / "digits" / "lease.json").st_ino != own


def test_a_late_release_by_a_predecessor_is_put_right_by_the_higher_number(root, puppets):
    run = paths.run_paths(str(root), "digits")
    holder = puppets(root)
    holder("create")
    holder("acquire")
    holder("begin")
    mine = lease.read_holder(run)
    (root / "digits" / "lease.json").write_bytes(
        msgspec.json.encode(Holder(host="node7", pid=1, boot_id="x", attempt=0, attempt_id="older", state="released"))
    )
    assert holder("beat") == "(True, '')"
    after = lease.read_holder(run)
    assert (after.attempt_id, after.state) == (mine.attempt_id, "held")


def test_a_lease_json_that_was_taken_away_is_a_lease_lost(root, puppets):
    holder = puppets(root)
    holder("create")
    holder("acquire")
    holder("begin")
    os.unlink(root / "digits" / "lease.json")
    assert holder("beat") == "(False, '')"


def test_the_run_of_an_ordinary_user_in_a_root_that_is_not_theirs(anybody, as_root, puppets):
    puppet = puppets(anybody, uid=65534)
    answer = puppet("create")
    assert answer.startswith(f"error 73 cannot create {anybody}/digits: Permission denied")
    os.chmod(anybody, 0o777)
    assert puppet("all") == "new"
    modes = {
        name: oct(os.stat(f"{anybody}/digits/{name}").st_mode & 0o7777)
        for name in ("", "control", "ledger.jsonl", "lease.lock")
    }
    assert modes == {"": "0o755", "control": "0o700", "ledger.jsonl": "0o600", "lease.lock": "0o600"}
    other = puppets(anybody, uid=12345)
    assert other("acquire").startswith(f"error 73 cannot create {anybody}/digits/lease.lock: Permission denied")


def test_a_root_that_is_read_only(tmp_path, small_disk, puppets, as_root):
    import subprocess

    disk = small_disk(1000)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert puppets(disk)("create").startswith(f"error 73 cannot create {disk}/digits: Read-only file system")


def test_a_root_on_a_full_disk(tmp_path, small_disk, puppets):
    disk = small_disk(64)
    puppet = puppets(disk)
    puppet("create")
    puppet("acquire")
    with open(disk / "filler", "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    answer = puppet("begin")
    assert answer.startswith("error 74 no space left on the disk: ")
    assert "0 B of 65.5 kB free" in answer
    os.unlink(disk / "filler")
    assert puppet("begin") == "2"
    assert puppet("append one") == "None"


def test_setgid_directories_and_umasks(tmp_path, puppets):
    root = tmp_path / "shared"
    root.mkdir()
    os.chmod(root, 0o2775)
    assert puppets(root, umask=0o002)("all") == "new"
    assert puppets(root, name="private", umask=0o077)("all") == "new"
    modes = {name: oct(os.stat(root / name).st_mode & 0o7777) for name in ("digits", "digits/control", "digits/lease.json")}
    assert modes == {"digits": "0o2755", "digits/control": "0o2700", "digits/lease.json": "0o600"}
    assert oct(os.stat(root / "private").st_mode & 0o7777) == "0o2700"


def test_a_root_with_a_weird_name(weird_path, puppets):
    assert puppets(weird_path)("all") == "new"
    second = puppets(weird_path)
    assert second("all") == "released"
    assert paths.attempts(paths.run_paths(str(weird_path), "digits")) == [1, 2]


def test_a_root_whose_name_is_not_text(tmp_path, puppets):
    root = os.path.join(os.fsencode(tmp_path), b"not\xfftext")
    os.mkdir(root)
    assert puppets(os.fsdecode(root))("all") == "new"
