"""A run with saved checkpoints, and backups made in this process."""

from __future__ import annotations

import os
import pathlib
import time

import pytest
from runmaker import Made

from ckptrun import names
from ckptrun.backup import local, making, restoring, upkeep
from ckptrun.checkpoints import scan, verify
from ckptrun.report import gather


class World:
    """A run, its checkpoints, and what is done with them."""

    def __init__(self, root):
        self.root = str(root)
        self.made = Made(os.path.join(self.root, "runs"))
        self.run = self.made.paths

    def save(self, *steps, files=None):
        with self.made.attempt() as attempt:
            for step in steps:
                attempt.save(step, files or {"state.pt": b"state %d" % step * 1000, "sub/more": b"m" * 10})
        return self.items()

    def items(self):
        return gather.run_listing(self.run).checkpoints

    def back_up(self, item, to=None, place=None, **wish):
        place = place or local.LocalPlace(to or self.run.backup)
        return upkeep.back_up(place, item, self.run, making.Wish(**wish), clock=time.time, tell=lambda _: None)

    def restore(self, place, at="", run=None, force=None):
        home, found = restoring.newest(place, at)
        target = restoring.target_in_run(found, (run or self.run).dir)
        work = restoring.Restorer(place, home, found, target, jobs=2, tell=lambda _: None, set_aside=force, now=0.0)
        return work.restore()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def contents(directory):
    """Every file and link below, with what it holds."""
    found = {}
    for where, _, files in os.walk(directory):
        for name in files:
            path = pathlib.Path(where, name)
            found[os.path.relpath(path, directory)] = os.readlink(path) if path.is_symlink() else path.read_bytes()
    return found


def whole(directory):
    """Names of the checkpoints below a directory that are whole to the last byte; AssertionError for one that only looks so."""
    found = [item for series in scan.scan_directory(str(directory)) for item in series.checkpoints]
    for item in found:
        if item.state == names.COMPLETE:
            assert verify.deep(item)[0] == names.COMPLETE, item
    return sorted(item.name for item in found if item.state == names.COMPLETE)
