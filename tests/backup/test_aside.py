"""Versions of a file that is rewritten in place: whole ones only, the newest few, and gone on from when the file itself is torn."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from backup.conftest import contents
from support import run_ckptrun

from ckptrun import names
from ckptrun.backup import aside, copying
from ckptrun.model import Checkpoint
from ckptrun.policy import copies, resume
from ckptrun.runs import holder


@pytest.fixture
def saving(world):
    """A run that is held; a function that saves the next version and copies it aside."""
    with world.made.attempt() as attempt:
        path = os.path.join(attempt.where.output, "state.npz")

        def save(number, keep=2, where=path):
            np.savez(where, weights=np.full(1000, number))
            os.utime(where, ns=(10**18 + number * 10**9, 10**18 + number * 10**9))
            return copy(where, keep)

        def copy(where=path, keep=2):
            source = os.path.relpath(where, world.run.dir)
            held = holder.read_holder(world.run).attempt_id
            return aside.set_aside(aside.Job(run=world.run.dir, attempt=1, attempt_id=held, source=source, keep=keep))

        save.path, save.copy, save.run = path, copy, world.run
        yield save


def kept(run):
    return sorted(name for name in contents(run.attempts) if f"/{names.COPIES}/" in name and name.endswith(".npz"))


def newest(world):
    return resume.decide(world.items()).chosen


def test_the_last_few_versions_are_kept(world, saving):
    for number in range(1, 5):
        assert saving(number).copy == f"attempts/0001/copies/{number:04d}/state.npz"
    assert kept(saving.run) == ["0001/copies/0003/state.npz", "0001/copies/0004/state.npz"]
    assert newest(world).path == saving.path  # the file itself, while it is whole


def test_a_torn_file_costs_one_save(world, saving):
    for number in (1, 2, 3):
        saving(number)
    with open(saving.path, "r+b") as file:
        file.truncate(2000)
    chosen = newest(world)
    assert chosen.place == names.COPIES
    assert np.load(chosen.path)["weights"][0] == 3
    assert aside.of(chosen.path) == "attempts/0001/output/state.npz"


def test_a_torn_file_is_not_copied_and_costs_no_copy(saving):
    saving(1)
    before = kept(saving.run)
    with open(saving.path, "r+b") as file:
        file.truncate(2000)
    said = saving.copy()
    assert (said.copy, said.again) == ("", True)
    assert kept(saving.run) == before


def test_a_file_that_is_being_written_is_left_alone(saving):
    saving(1)
    code = "import sys; file = open(sys.argv[1], 'r+b'); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, saving.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        said = saving.copy()
        writer.stdin.close()
    assert (said.copy, said.again) == ("", True)
    assert said.why.startswith("open for writing by python")
    assert saving.copy().copy


def test_a_file_that_changes_meanwhile_is_no_copy(saving, monkeypatch):
    saving(1)
    copy = copying.copy

    def slow(source, target, tell):
        copy(source, target, tell)
        os.utime(saving.path)

    monkeypatch.setattr(copying, "share", lambda *_: False)
    monkeypatch.setattr(copying, "copy", slow)
    assert saving.copy().why == "it was written to meanwhile"
    assert len(kept(saving.run)) == 1


def test_without_room_nothing_is_copied(saving, monkeypatch):
    saving(1)
    values = list(os.statvfs(saving.run.dir))
    values[4] = 1
    monkeypatch.setattr(copying, "share", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    said = saving.copy()
    assert "are free, and a copy takes" in said.why
    assert not said.again
    assert len(kept(saving.run)) == 1


def test_who_has_lost_the_run_removes_nothing(world, saving):
    for number in (1, 2):
        saving(number)
    source = os.path.relpath(saving.path, world.run.dir)
    np.savez(saving.path, weights=np.zeros(3))
    aside.set_aside(aside.Job(run=world.run.dir, attempt=1, attempt_id="another", source=source, keep=1))
    assert len(kept(world.run)) == 3


def test_what_a_kill_left_is_swept_and_never_seen(world, saving):
    saving(1)
    left = os.path.join(world.run.attempt(1).dir, names.COPIES, ".tmp-abc")
    os.mkdir(left)
    with open(os.path.join(left, "state.npz"), "wb") as file:
        file.write(b"torn")
    assert not [item for item in world.items() if left in item.path]
    saving(2)
    assert not os.path.exists(left)


def test_retention_neither_counts_nor_removes_copies(world, saving):
    for number in (1, 2):
        saving(number)
    for where in ("checkpoints/a_1.npz", "checkpoints/a_2.npz"):
        np.savez(os.path.join(world.run.dir, where), weights=np.zeros(1000))
    done = run_ckptrun("prune", "--keep-last", "1", "--json", world.run.dir, cwd=world.root)
    assert names.COPIES not in done.stdout, done.stdout


def item(**more):
    return Checkpoint(
        **{"name": "c", "path": "/c", "directory": "/", "layout": "single", "place": names.OUTPUT, "attempt": 2, **more}
    )


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([], None),
        ([item()], 0),
        ([item(place=names.CHECKPOINTS, attempt=None)], 0),
        ([item(attempt=1)], None),  # an earlier attempt's, which nobody rewrites
        ([item(), item(layout="own", step=3)], None),  # the script keeps steps
        ([item(layout="series", step=3)], None),
        ([item(), item(place=names.COPIES)], 0),
        ([item(), item(state=names.PARTIAL)], 0),
    ],
)
def test_which_file_is_copied(found, chosen):
    assert copies.rewritten(found, 2) == (None if chosen is None else found[chosen])


def test_room_for_the_copy_the_next_save_and_somebody_else():
    assert copies.no_room(300, 100) == ""
    assert copies.no_room(299, 100)


@pytest.mark.parametrize(
    ("since_start", "between", "seconds"),
    [
        (0.0, None, 1.0),
        (1.0, None, 1.0),
        (4.0, None, 4.0),  # twice as long each time
        (3600.0, None, 10.0),
        (3600.0, 0.1, 1.0),
        (3600.0, 20.0, 5.0),
        (3600.0, 600.0, 10.0),
        (3600.0, -5.0, 1.0),  # the clock was put back
    ],
)
def test_how_soon_the_next_look_is(since_start, between, seconds):
    assert copies.pause(since_start, between) == seconds
