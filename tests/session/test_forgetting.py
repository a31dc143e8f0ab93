"""Seals and marks of what is gone go after it, and only those."""

import os

import pytest
import support

from ckptrun import names
from ckptrun.checkpoints import seals
from ckptrun.runs import beside, pins
from ckptrun.session import forgetting

NOW = 1_800_000_000.0


def seal(path):
    """A seal of the checkpoint at `path`; its file."""
    board = beside.place(beside.boards(os.path.dirname(path), names.SEALS), NOW)
    made = seals.Seal(path=board.relative(path), layout="x", created="2026-01-01T00:00:00Z", version="1", files=[])
    with open(board.file(path), "wb") as file:
        file.write(seals.encode(made))
    return board.file(path)


def mark(path):
    boards = beside.boards(os.path.dirname(path), names.THINNED)
    pins.pin(boards, path, by="ana", now=NOW)
    return boards[0].file(path)


@pytest.fixture
def out(weird_path):
    support.write_files(weird_path, {"out/a_1.pt": "1", "out/a_2.pt": "2", "else/a_1.pt": "1"})
    return os.fspath(weird_path / "out")


@pytest.mark.parametrize("make", [seal, mark])
def test_what_is_there_keeps_its_own(out, make):
    files = [make(os.path.join(out, name)) for name in ("a_1.pt", "a_2.pt")]
    assert forgetting.forget([out], [], NOW) == []
    assert all(map(os.path.exists, files))


@pytest.mark.parametrize("make", [seal, mark])
def test_what_is_gone_loses_it(out, make):
    kept, gone = (make(os.path.join(out, name)) for name in ("a_1.pt", "a_2.pt"))
    os.unlink(os.path.join(out, "a_2.pt"))
    assert forgetting.forget([out], [os.path.join(out, "a_1.pt")], NOW) == []
    assert (os.path.exists(kept), os.path.exists(gone)) == (True, False)


@pytest.mark.parametrize(
    ("name", "stays"), [("a_7.index", True), ("a_7-data", True), ("a_7", True), ("a_70.index", False), ("b_7.index", False)]
)
def test_a_checkpoint_may_be_called_by_what_its_files_begin_with(out, name, stays):
    file = seal(os.path.join(out, "a_7"))
    support.write_files(out, {name: "1"})
    assert forgetting.forget([out], [], NOW) == []
    assert os.path.exists(file) == stays


def test_what_is_known_to_stay_is_not_looked_for(out):
    file = seal(os.path.join(out, "a_3.pt"))
    assert forgetting.forget([out], [os.path.join(out, "a_3.pt")], NOW) == []
    assert os.path.exists(file)


def test_other_directories_are_left_alone(out):
    """Their seals may lie in the same place; one that is not mounted just now must find them again."""
    elsewhere = os.path.join(os.path.dirname(out), "else")
    files = [seal(os.path.join(elsewhere, name)) for name in ("a_1.pt", "a_2.pt")]
    assert forgetting.forget([out], [], NOW) == []
    assert all(map(os.path.exists, files))


@pytest.mark.parametrize("text", [b"", b"{", b'{"path": 1}', b'{"path": "../../out/a_9.pt"}', b'{"path": "out/a_9.pt"}'])
def test_what_says_nothing_of_its_own_checkpoint_stays(out, text):
    file = seal(os.path.join(out, "a_2.pt"))
    with open(file, "wb") as opened:
        opened.write(text)
    os.unlink(os.path.join(out, "a_2.pt"))
    assert forgetting.forget([out], [], NOW) == []
    assert os.path.exists(file)


def test_what_was_left_half_written_goes_too(out):
    file = seal(os.path.join(out, "a_1.pt"))
    left = os.path.join(os.path.dirname(file), ".tmp-a_1.pt.json-0123456789ab")
    support.write_files(os.path.dirname(file), {os.path.basename(left): "half"})
    os.utime(left, (NOW - 7200, NOW - 7200))
    assert forgetting.forget([out], [], NOW) == []
    assert (os.path.exists(file), os.path.exists(left)) == (True, False)


def test_what_cannot_be_removed_is_said(out, monkeypatch):
    seal(os.path.join(out, "a_2.pt"))
    os.unlink(os.path.join(out, "a_2.pt"))

    def failing(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "unlink", failing)
    (line,) = forgetting.forget([out], [], NOW)
    assert "still tells of what is gone" in line
