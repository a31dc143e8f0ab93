"""Moving out of the way: newest first, with everything, within the run, only by the holder."""

from __future__ import annotations

import os
import subprocess

import pytest
import support

from ckptrun import errors
from ckptrun.runs import paths, superseded


def free():
    """Of a guard: go on."""


@pytest.fixture
def world(run):
    """Three checkpoints, and two outputs with a file of the same name."""
    names = ("checkpoints/step-00000010", "checkpoints/step-00000020", "checkpoints/step-00000030")
    support.write_files(run.dir, {f"{name}/state.bin": name for name in names})
    support.write_files(run.dir, {f"attempts/000{n}/output/model.pt": str(n) for n in (1, 2)})
    return run


def items(run, *names):
    return [os.path.join(run.dir, name) for name in names]


def test_items_keep_their_path_in_the_run_and_names_do_not_collide(world):
    moved = superseded.set_aside(
        world,
        items(world, "checkpoints/step-00000030", "attempts/0002/output/model.pt", "attempts/0001/output/model.pt"),
        "fresh",
        free,
    )
    home = os.path.join(world.superseded, "0001-fresh")
    assert moved == [
        f"{home}/checkpoints/step-00000030",
        f"{home}/attempts/0002/output/model.pt",
        f"{home}/attempts/0001/output/model.pt",
    ]
    assert [open_read(path) for path in moved[1:]] == ["2", "1"]
    assert sorted(os.listdir(world.checkpoints)) == ["step-00000010", "step-00000020"]


def open_read(path):
    with open(path) as file:
        return file.read()


def test_each_time_has_a_directory_of_its_own(world):
    superseded.set_aside(world, items(world, "checkpoints/step-00000030"), "fallback: partial/../x", free)
    support.write_files(world.dir, {"checkpoints/step-00000030/state.bin": "again"})
    superseded.set_aside(world, items(world, "checkpoints/step-00000030"), "", free)
    assert sorted(os.listdir(world.superseded)) == ["0001-fallback--partial-..-x", "0002-moved"]


def test_nothing_to_move_makes_nothing(world):
    assert superseded.set_aside(world, [], "fresh", free) == []
    assert not os.path.exists(world.superseded)


@pytest.mark.parametrize("outside", ["", "..", "../other/checkpoints/step-1", "checkpoints/../../other"])
def test_what_lies_outside_the_run_is_not_moved(world, outside):
    with pytest.raises(errors.UsageError, match="lies outside the run digits"):
        superseded.set_aside(world, items(world, "checkpoints/step-00000030", outside), "fresh", free)
    assert len(os.listdir(world.checkpoints)) == 3


def test_they_go_newest_first_and_only_while_the_run_is_ours(world):
    looks = []

    def guard():
        looks.append(sorted(os.listdir(world.checkpoints)))
        if len(looks) == 3:
            raise errors.LeaseLost("lost")

    newest_first = items(world, *(f"checkpoints/step-000000{n}" for n in (30, 20, 10)))
    with pytest.raises(errors.LeaseLost):
        superseded.set_aside(world, newest_first, "fresh", guard)
    assert [len(seen) for seen in looks] == [3, 2, 1]
    assert os.listdir(world.checkpoints) == ["step-00000010"]


def test_a_checkpoints_directory_on_another_filesystem_is_said(world, small_disk):
    disk = small_disk(100)
    os.rename(world.checkpoints, world.checkpoints + ".old")
    os.mkdir(world.checkpoints)
    subprocess.run(["mount", "--bind", str(disk), world.checkpoints], check=True)
    try:
        os.mkdir(os.path.join(world.checkpoints, "step-1"))
        with pytest.raises(errors.IoFailure, match="Invalid cross-device link"):
            superseded.set_aside(world, items(world, "checkpoints/step-1"), "fresh", free)
        assert os.listdir(world.checkpoints) == ["step-1"]
    finally:
        subprocess.run(["umount", world.checkpoints], check=True)


def test_links_are_moved_and_not_what_they_point_to(world):
    os.symlink("step-00000030", world.latest)
    moved = superseded.set_aside(world, [world.latest], "fresh", free)
    assert os.readlink(moved[0]) == "step-00000030"
    assert os.path.isdir(os.path.join(world.checkpoints, "step-00000030"))


def test_odd_names(run):
    name = 'a "b"\n目 \udcff'
    support.write_files(run.dir, {f"attempts/0001/output/{name}": "x"})
    moved = superseded.set_aside(run, items(run, f"attempts/0001/output/{name}"), "fresh", free)
    assert open_read(moved[0]) == "x"
    assert paths.attempts(run) == [1]
