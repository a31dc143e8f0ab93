"""Who may ask, and what: everything that can be dropped into an inbox."""

from __future__ import annotations

import os

import msgspec
import pytest

from ckptrun.model import Request
from ckptrun.runs import inbox, paths

NOW = 1_800_000_000.0


def request(**fields):
    return Request(**{"id": "r1", "attempt": 3, "action": "save", "created": NOW, **fields})


def take(run, attempt=3):
    notes = []
    return [item.id for item in inbox.take(run, attempt, notes.append)], notes


def drop(run, body, name="00000-x.json"):
    path = os.path.join(run.inbox, name)
    with open(path, "wb") as file:
        file.write(body if isinstance(body, bytes) else msgspec.json.encode(body))
    return path


def test_requests_are_handed_out_once_and_in_the_order_in_which_they_were_made(run):
    for number, action in ((2, "save_and_stop"), (1, "save"), (3, "stop_now")):
        inbox.post(run, request(id=f"r{number}", action=action, created=NOW + number))
    assert take(run) == (["r1", "r2", "r3"], [])
    assert take(run) == ([], [])
    assert os.listdir(run.inbox) == []


def test_a_request_for_another_attempt_is_dropped_and_told(run):
    inbox.post(run, request(attempt=2))
    assert take(run) == ([], ["request r1 was for attempt 2 and came too late for it"])
    assert take(run) == ([], [])


def test_what_is_still_being_written_is_left_alone(run):
    drop(run, b'{"id"', ".tmp-00000-x.json-0123")
    assert take(run) == ([], [])
    assert os.listdir(run.inbox) == [".tmp-00000-x.json-0123"]


BODIES = {
    "not JSON": (b"save please", "it cannot be understood (JSON is malformed"),
    "empty": (b"", "it cannot be understood"),
    "deep": (b"[" * 4000, "it cannot be understood"),
    "not text": (b'{"id": "\xff"}', "it cannot be understood"),
    "not a request": (b'{"id": "r1"}', "it cannot be understood"),
    "large": (request(reason="x" * 5000), "it is larger than 4096 bytes"),
    "another verb": (request(action="rm -rf"), "it asks for 'rm -rf', not for save, save_and_stop, stop_now"),
    "a long verb": (request(action="x" * 1000 + "\x1b"), f"it asks for '{'x' * 40}', not for"),
    "a later format": (request(format=2), "its format is 2, ours is 1"),
    "an id that is a path": (request(id="../../run.yaml"), "'../../run.yaml' is not an id"),
    "a deadline that is none": (b'{"id":"r1","attempt":3,"action":"save","deadline":NaN}', "it cannot be understood"),
    "an endless deadline": (b'{"id":"r1","attempt":3,"action":"save","deadline":1e999}', "it cannot be understood"),
}


@pytest.mark.parametrize("case", BODIES)
def test_what_is_no_request_is_set_aside_with_its_reason(run, case):
    body, why = BODIES[case]
    drop(run, body)
    taken, notes = take(run)
    assert taken == []
    assert notes[0].startswith(f"request 00000-x.json was refused: {why}")
    assert notes[0].isprintable()
    assert len(notes) == 1
    assert os.listdir(run.inbox) == []
    assert os.listdir(run.refused) == ["00000-x.json"]
    assert take(run) == ([], [])


@pytest.mark.parametrize("thing", ["link", "dangling link", "second name", "fifo", "directory", "socket"])
def test_only_a_regular_file_with_one_name_is_read(run, tmp_path, thing, monkeypatch):
    path, good = os.path.join(run.inbox, "00000-x.json"), tmp_path / "good"
    good.write_bytes(msgspec.json.encode(request()))
    {
        "link": lambda: os.symlink(good, path),
        "dangling link": lambda: os.symlink("nowhere", path),
        "second name": lambda: os.link(good, path),
        "fifo": lambda: os.mkfifo(path),
        "directory": lambda: os.mkdir(path),
        "socket": lambda: os.mknod(path, 0o140600),
    }[thing]()
    taken, notes = take(run)
    assert taken == []
    assert "it has 2 names" in notes[0] if thing == "second name" else "it is not a regular file" in notes[0]
    assert os.path.lexists(os.path.join(run.refused, "00000-x.json"))
    assert good.exists()


def test_a_name_that_speaks_to_the_terminal_is_told_in_plain_letters(run):
    drop(run, b"{", "x\x1b[31m\n\udcff.json")
    assert take(run)[1][0].startswith("request x\\x1b[31m\\n\\xff.json was refused: ")


@pytest.mark.parametrize("place", ["dir", "control", "inbox"])
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_an_inbox_that_others_may_reach_into_is_not_read(run, place, mode):
    inbox.post(run, request())
    where = getattr(run, place)
    os.chmod(where, mode)
    assert take(run) == ([], [f"requests are refused: {where} is writable by others (mode 0{mode:o}; chmod go-w)"])
    os.chmod(where, 0o700)
    assert take(run) == (["r1"], [])


@pytest.mark.parametrize("place", ["control", "inbox"])
def test_a_link_on_the_way_is_not_followed(run, tmp_path, place):
    inbox.post(run, request())
    where = getattr(run, place)
    os.rename(where, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", where)
    assert take(run) == ([], [f"requests are refused: {where} is not a directory"])


def test_an_inbox_that_is_gone_is_told_and_stops_nothing(run):
    os.rmdir(run.inbox)
    assert take(run) == ([], [f"cannot read or write {run.inbox}: No such file or directory"])


def test_only_the_owner_and_root_are_believed(anybody, as_root, puppets):
    """The holder is an ordinary user; the files in its inbox are of that user, of root, and of a third."""
    os.chmod(anybody, 0o777)
    holder = puppets(anybody, uid=65534)
    holder("create")
    run = paths.run_paths(anybody, "digits")
    for number, owner in enumerate((65534, 0, 12345)):
        path = drop(run, request(id=f"r{owner}", attempt=1), f"{number}.json")
        os.chown(path, owner, owner)
        os.chmod(path, 0o644)
    told = holder("take_inbox")
    assert told.startswith("(['r65534', 'r0'], ['request 2.json was refused: it belongs to another user (uid 12345)'")


def test_root_does_not_believe_an_ordinary_user(run, as_root):
    path = drop(run, request())
    os.chown(path, 65534, 65534)
    assert take(run)[1] == ["request 00000-x.json was refused: it belongs to another user (uid 65534)"]
    os.chown(run.dir, 65534, 65534)
    assert take(run)[1] == [f"requests are refused: {run.dir} belongs to another user (uid 65534)"]


def test_another_user_cannot_ask(anybody, as_root, puppets):
    os.chmod(anybody, 0o777)
    puppets(anybody, uid=65534)("create")
    other = puppets(anybody, uid=12345)
    assert "Permission denied" in other("post r1 1")


def test_a_flood_is_worked_off(run):
    for number in range(500):
        drop(run, request(id=f"r{number}"), f"{number:04d}.json")
    assert take(run)[0] == [f"r{number}" for number in range(500)]


def test_what_is_asked_from_another_process_arrives_whole(run, puppets):
    asker = puppets(os.path.dirname(run.dir))
    seen = []
    for number in range(50):
        asker.say(f"post r{number} 3")
        seen += take(run)[0]
        asker.hear()
    seen += take(run)[0]
    assert seen == [f"r{number}" for number in range(50)]


def test_errors_are_not_raised_while_training(run, monkeypatch):
    inbox.post(run, request())

    def unlink(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "unlink", unlink)
    taken, notes = take(run)
    assert taken == []
    assert "Input/output error" in notes[0]
    monkeypatch.undo()
    assert take(run)[0] == ["r1"]
