"""The history: whole lines, durable, only by the holder; anything may have happened to the end of the file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import support

from ckptrun import errors
from ckptrun.runs import documents, ledger

WHEN = 1_800_000_000.25


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.jsonl")


def free():
    """Of a guard: go on."""


def book(path, guard=free, attempt=3):
    return ledger.Ledger(path, guard, lambda: WHEN, attempt)


def lost():
    raise errors.LeaseLost("lost")


def test_it_begins_with_its_format_and_every_line_says_when_what_and_in_which_attempt(path):
    one = book(path)
    one.append("checkpoint", step=20, name="step-00000020")
    one.append_many([("request", {"id": "r1"}), ("answered", {"id": "r1", "ok": True})])
    one.close()
    one.append("ended", seconds=1.5, loss=float("nan"))
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert lines[0] == {"time": "2027-01-15T08:00:00.250Z", "event": "ledger", "attempt": 3, "format": 1, "version": "0.1.0"}
    assert lines[1:] == ledger.read(path)[1:]
    assert [line["event"] for line in lines] == ["ledger", "checkpoint", "request", "answered", "ended"]
    assert lines[4] == {"time": "2027-01-15T08:00:00.250Z", "event": "ended", "attempt": 3, "seconds": 1.5, "loss": None}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_ledger_that_is_not_there_is_empty(path):
    assert ledger.read(path) == []


def test_whoever_lost_the_lease_writes_nothing(path):
    with pytest.raises(errors.LeaseLost):
        book(path, lost).append("late")
    assert not os.path.exists(path)
    book(path).append("first")
    before = Path(path).read_text()
    with pytest.raises(errors.LeaseLost):
        book(path, lost).append_many([("a", {}), ("b", {})])
    assert Path(path).read_text() == before


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_closed_before_the_next(path, cut):
    book(path).append("whole")
    book(path).append("torn", text="ä" * 30)
    os.truncate(path, os.path.getsize(path) - cut)
    book(path, attempt=4).append("after")
    entries = ledger.read(path)
    middle = [] if cut == 1 else [ledger.UNREADABLE]  # without its newline only, the line is whole
    assert [entry["event"] for entry in entries] == ["ledger", "whole", *(middle or ["torn"]), "after"]
    assert entries[-1]["attempt"] == 4
    if middle:
        assert entries[2]["line"] == 3
        assert entries[2]["text"].startswith('{"time":"2027')


def test_a_torn_header_is_written_again(path):
    with open(path, "w") as file:
        file.write('{"time":"2027-01-15T0')
    book(path).append("first")
    assert [entry["event"] for entry in ledger.read(path)] == ["unreadable", "ledger", "first"]
    book(path).append("second")
    assert ledger.read(path)[-1]["event"] == "second"


NOISE = [
    b"",
    b"\n\n",
    b"{}\n",
    b"[1]\n",
    b"null\n",
    b'{"event": 3}\n',
    b"\xff\xfe\x00\n",
    b"[" * 100_000 + b"\n",
    b"\0" * 5000,
    b"x" * 3_000_000,
]


@pytest.mark.parametrize("noise", NOISE, ids=range(len(NOISE)))
def test_noise_is_told_line_by_line_and_nothing_after_it_is_lost(path, noise):
    with open(path, "wb") as file:
        file.write(noise)
    book(path).append("after")
    entries = ledger.read(path)
    assert entries[-1]["event"] == "after"
    assert {entry["event"] for entry in entries[:-1]} <= {"unreadable", "ledger"}
    assert all(len(entry.get("text", "")) <= 1000 for entry in entries)


def test_a_later_format_is_refused_by_readers_and_writers(path):
    with open(path, "w") as file:
        file.write('{"event": "ledger", "format": 2}\n{"event": "new"}\n')
    for touch in (lambda: ledger.read(path), lambda: book(path).append("x")):
        with pytest.raises(documents.Unreadable, match=r"was written by a later version of ckptrun \(format 2;") as caught:
            touch()
        assert caught.value.exit_code == 74


@pytest.mark.parametrize("thing", ["directory", "fifo", "link"])
def test_something_else_in_its_place_is_refused(path, thing):
    {"directory": os.mkdir, "fifo": os.mkfifo, "link": lambda where: os.symlink("/dev/null", where)}[thing](path)
    with pytest.raises(errors.IoFailure):
        book(path).append("x")
    if thing != "fifo":
        with pytest.raises(errors.IoFailure):
            ledger.read(path)


def test_undecodable_text_is_escaped(path):
    book(path).append("file", name="not\udcfftext", nested=[{"\udcfe": "x"}])
    entry = ledger.read(path)[-1]
    assert (entry["name"], entry["nested"]) == ("not\\xfftext", [{"\\xfe": "x"}])


def test_a_full_disk_tears_the_line_which_is_closed_later(small_disk):
    disk = small_disk(16)
    path = str(disk / "ledger.jsonl")
    one = book(path)
    events = [("grow", {"text": "x" * 700})] * 10
    one.append_many(events)
    with pytest.raises(errors.IoFailure, match="no space left on the disk"):
        one.append_many([*events, *events])
    whole = len(ledger.read(path))
    assert ledger.read(path)[-1]["event"] == "unreadable"
    subprocess.run(["mount", "-o", "remount,size=64k", str(disk)], check=True)
    one.append("after")
    entries = ledger.read(path)
    assert [entry["event"] for entry in entries][whole - 1 :] == ["unreadable", "after"]


WRITER = """
import sys
from ckptrun.runs import ledger
book = ledger.Ledger(sys.argv[1], lambda: None, lambda: 0.0, int(sys.argv[2]))
for n in range(200):
    book.append("line", n=n, text="x" * 300)
"""


def test_lines_of_two_writers_are_never_mixed(path):
    """Where a lease is lost, a predecessor may write one last line: it must not tear its successor's."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(n)], env=support.clean_env()) for n in (1, 2, 3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    lines = [entry for entry in ledger.read(path) if entry["event"] != "ledger"]
    assert {(line["attempt"], line["n"]) for line in lines} == {(a, n) for a in (1, 2, 3) for n in range(200)}
    assert len(lines) == 600


def test_every_append_is_synced_before_it_returns_and_many_cost_one(path, strace, tmp_path):
    script = (
        "import sys\nfrom ckptrun.runs import ledger\nbook = ledger.Ledger(sys.argv[1], lambda: None, lambda: 0.0)\n"
        "book.append('a')\nbook.append_many([('b', {}), ('c', {})])\n"
    )
    trace = tmp_path / "trace"
    command = [strace, "-o", str(trace), "-e", "trace=fsync,write", sys.executable, "-c", script, path]
    subprocess.run(command, check=True, env=support.clean_env())
    calls = [line.split("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    assert calls == ["fsync", "write", "fsync", "write", "fsync"]  # first the name of the new file
    assert len(ledger.read(path)) == 4
