"""What killed writers left: by name and age, and nothing else."""

import os

import pytest

from ckptrun.runs import beside, branches, paths, pins, unfinished

NOW = 1_800_000_000.0
OLD, YOUNG = NOW - 3601, NOW - 3599
BRANCH = ".tmp-branch-digits-2-01234567"
LEFT = [
    ".tmp-step-00000007-0123456789abcdef.json-0123456789ab",
    ".tmp-run.yaml-0123456789ab",
    ".tmp-0123456789ab",
    BRANCH,
    ".tmp-two\nlines-0123456789ab",
]
NOT_LEFT = [
    "run.yaml",
    ".tmp-run.yaml",
    ".tmp-run.yaml-0123456789AB",
    "tmp-a-0123456789ab",
    ".tmp-a-0123456789abc",
    ".tmp-step",
]


def plant(path, time, *, inside=()):
    if inside:
        for name, each in inside:
            plant(path / name, each)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    os.utime(path, (time, time))


@pytest.mark.parametrize("name", LEFT)
def test_what_nobody_has_written_to_for_an_hour_goes(tmp_path, name):
    plant(tmp_path / name, OLD)
    plant(tmp_path / "young" / name, YOUNG)
    for place in (tmp_path, tmp_path / "young"):
        unfinished.sweep(os.fspath(place), NOW)
    assert os.listdir(tmp_path) == ["young"]
    assert os.listdir(tmp_path / "young") == [name]


@pytest.mark.parametrize("name", NOT_LEFT)
def test_what_is_called_otherwise_stays(tmp_path, name):
    plant(tmp_path / name, OLD)
    unfinished.sweep(os.fspath(tmp_path), NOW)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(("last", "left"), [(OLD, []), (YOUNG, [BRANCH])])
def test_a_directory_is_as_old_as_the_newest_in_it(tmp_path, last, left):
    plant(tmp_path / BRANCH, OLD, inside=[("checkpoints/a", OLD), ("checkpoints/b", last)])
    os.utime(tmp_path / BRANCH / "checkpoints", (OLD, OLD))
    unfinished.sweep(os.fspath(tmp_path), NOW)
    assert os.listdir(tmp_path) == left


def test_a_link_goes_and_not_what_it_leads_to(tmp_path):
    plant(tmp_path / "elsewhere" / "kept", OLD)
    os.utime(tmp_path / "elsewhere", (OLD, OLD))
    link = tmp_path / "here" / LEFT[0]
    link.parent.mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    os.utime(link, (OLD, OLD), follow_symlinks=False)
    unfinished.sweep(os.fspath(link.parent), NOW)
    assert (os.listdir(tmp_path / "here"), os.listdir(tmp_path / "elsewhere")) == ([], ["kept"])


def test_a_directory_that_is_not_there(tmp_path):
    unfinished.sweep(os.fspath(tmp_path / "none"), NOW)
    assert os.listdir(tmp_path) == []


def test_pinning_and_branching_sweep_where_they_write(tmp_path):
    parent, run = (paths.run_paths(os.fspath(tmp_path), name) for name in ("a", "b"))
    paths.create(parent)
    boards = beside.boards(os.fspath(tmp_path / "out"), "pins")
    for place in (parent.branches, boards[0].directory):
        plant(type(tmp_path)(place) / LEFT[0], OLD)
    branches.record(parent, os.path.join(parent.checkpoints, "step-00000001"), run, by="ana", now=NOW)
    pins.pin(boards, os.fspath(tmp_path / "out" / "a.pt"), by="ana", now=NOW)
    assert [len(os.listdir(place)) for place in (parent.branches, boards[0].directory)] == [1, 1]
    assert LEFT[0] not in os.listdir(parent.branches) + os.listdir(boards[0].directory)
