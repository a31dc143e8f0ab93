"""Pins: durable, one file each, moved with what they pin, and a damaged one still pins."""

from __future__ import annotations

import os
import threading

import pytest
import support

from ckptrun import errors
from ckptrun.runs import paths, pins


@pytest.fixture
def run(tmp_path):
    found = paths.run_paths(str(tmp_path / "runs"), "digits")
    paths.create(found)
    for step in (1, 2):
        os.mkdir(os.path.join(found.checkpoints, f"step-{step:08d}"))
    return found


def at(run, step):
    return os.path.join(run.checkpoints, f"step-{step:08d}")


def pinned(run):
    return sorted(pins.pinned(pins.boards(run.checkpoints, run), [at(run, step) for step in (1, 2)]))


def test_a_pin_is_told_and_taken_away(run):
    boards = pins.boards(run.checkpoints, run)
    made = pins.pin(boards, at(run, 1), by="ana@login1", now=0.0, reason="in the paper")
    assert made.path == "checkpoints/step-00000001"
    assert pins.read(boards, at(run, 1)) == made
    assert pinned(run) == [at(run, 1)]
    assert pins.unpin(boards, at(run, 1))
    assert not pins.unpin(boards, at(run, 1))
    assert pinned(run) == []
    assert pins.read(boards, at(run, 1)) is None


def test_a_run_that_is_moved_keeps_its_pins(run, tmp_path):
    pins.pin(pins.boards(run.checkpoints, run), at(run, 2), by="ana", now=0.0)
    os.rename(run.dir, tmp_path / "moved")
    moved = paths.RunPaths(dir=str(tmp_path / "moved"))
    assert pinned(moved) == [at(moved, 2)]


def test_other_directories_have_theirs_beside_them_by_whatever_way_they_are_named(tmp_path):
    support.write_files(tmp_path, {"out/a_1.pt": "", "out/a_2.pt": ""})
    os.symlink(tmp_path / "out", tmp_path / "link")
    pins.pin(pins.boards(str(tmp_path / "link")), str(tmp_path / "link" / "a_1.pt"), by="ana", now=0.0)
    assert sorted(os.listdir(tmp_path / "out")) == ["a_1.pt", "a_2.pt"]
    candidates = [str(tmp_path / "out" / f"a_{n}.pt") for n in (1, 2)]
    assert pins.pinned(pins.boards(str(tmp_path / "out")), candidates) == {candidates[0]}


def test_two_pin_at_once(run):
    def many(step):
        for number in range(20):
            pins.pin(pins.boards(run.checkpoints, run), at(run, step), by=f"{step}", now=number)

    both = [threading.Thread(target=many, args=(step,)) for step in (1, 2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert pinned(run) == [at(run, 1), at(run, 2)]
    assert len(os.listdir(run.pins)) == 2


@pytest.mark.parametrize("body", ["", "{", '{"format": 9}', "\\0" * 30])
def test_a_pin_that_cannot_be_understood_is_a_pin(run, body):
    boards = pins.boards(run.checkpoints, run)
    pins.pin(boards, at(run, 1), by="ana", now=0.0)
    with open(boards[0].file(at(run, 1)), "w") as file:
        file.write(body)
    assert pinned(run) == [at(run, 1)]
    with pytest.raises(errors.IoFailure):
        pins.read(boards, at(run, 1))
    assert pins.unpin(boards, at(run, 1))


def test_names_of_all_kinds(tmp_path, weird_path):
    for name in ("é" * 100, "a b", "\udcff", "x.json"):
        path = os.path.join(weird_path, "d", name)
        os.makedirs(path)
        pins.pin(pins.boards(os.path.dirname(path)), path, by="ana", now=0.0)
        assert pins.pinned(pins.boards(os.path.dirname(path)), [path]) == {path}


def test_a_full_disk_leaves_no_pin_and_is_said(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(errors.IoFailure, match="no space left"):
        pins.pin(pins.boards(run.checkpoints, run), at(run, 1), by="ana", now=0.0)
    monkeypatch.undo()
    assert pinned(run) == []
