"""What killed saves left is removed; nothing else is touched."""

import os

import pytest
import support

from ckptrun import errors
from ckptrun.checkpoints import cleanup, trash


def test_leftovers_of_ended_attempts_go(home, tmp_path):
    home.save(5)
    victim = tmp_path / "victim"
    support.write_files(victim, {"precious": "1"})
    for name in (
        ".tmp-step-00000007-a0001-0a1b2c3d",
        ".tmp-step-00000008-a0002-0a1b2c3d",
        ".tmp-step-00000009-a0003-0a1b2c3d",
    ):
        support.write_files(home.checkpoints, {f"{name}/half": "1", f"{name}/sub/half": "1"})
        os.symlink(victim, os.path.join(home.checkpoints, name, "link"))
    os.symlink("step-00000005", os.path.join(home.checkpoints, ".tmp-latest-0a1b2c3d"))
    support.write_files(home.checkpoints, {".tmp-mine": "1", ".tmp-step-x": "1"})
    asked = []
    swept = cleanup.sweep(home.checkpoints, home.trash, 3, lambda: asked.append(1))
    assert swept.removed == [
        ".tmp-latest-0a1b2c3d",
        ".tmp-step-00000007-a0001-0a1b2c3d",
        ".tmp-step-00000008-a0002-0a1b2c3d",
    ]
    assert swept.left == []
    assert len(asked) == 3
    left = {".tmp-mine", ".tmp-step-x", ".tmp-step-00000009-a0003-0a1b2c3d", "step-00000005", "latest"}
    assert set(os.listdir(home.checkpoints)) == left
    assert len(os.listdir(home.trash)) == 3
    assert trash.empty(home.trash) == []
    assert (victim / "precious").exists()
    assert os.listdir(home.trash) == []


def test_a_copy_on_its_way_back_to_its_name_goes(home):
    support.write_files(home.checkpoints, {".tmp-0123456789ab": "half", ".tmp-0123456789abc": "another's"})
    swept = cleanup.sweep(home.checkpoints, home.trash, 2, lambda: None)
    assert (swept.removed, os.listdir(home.checkpoints)) == ([".tmp-0123456789ab"], [".tmp-0123456789abc"])


def test_a_planted_link_is_moved_and_not_followed(home, tmp_path):
    victim = tmp_path / "victim"
    support.write_files(victim, {"precious": "1"})
    os.symlink(victim, os.path.join(home.checkpoints, ".tmp-step-00000007-a0001-0a1b2c3d"))
    cleanup.sweep(home.checkpoints, home.trash, 2, lambda: None)
    assert [os.path.islink(os.path.join(home.trash, name)) for name in os.listdir(home.trash)] == [True]
    assert os.listdir(victim) == ["precious"]


def test_without_the_lease_nothing_is_removed(home):
    name = ".tmp-step-00000007-a0001-0a1b2c3d"
    os.mkdir(os.path.join(home.checkpoints, name))

    def lost():
        raise errors.LeaseLost("lost")

    with pytest.raises(errors.LeaseLost):
        cleanup.sweep(home.checkpoints, home.trash, 2, lost)
    assert os.listdir(home.checkpoints) == [name]


def test_what_cannot_be_removed_is_said(home, monkeypatch):
    name = ".tmp-step-00000007-a0001-0a1b2c3d"
    os.mkdir(os.path.join(home.checkpoints, name))

    def failing(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "rename", failing)
    swept = cleanup.sweep(home.checkpoints, home.trash, 2, lambda: None)
    assert swept.left == [f"{name} could not be removed: Input/output error"]


def test_where_there_is_nothing(tmp_path):
    assert cleanup.sweep(str(tmp_path / "none"), str(tmp_path / "nothing"), 1, lambda: None) == cleanup.Swept()
