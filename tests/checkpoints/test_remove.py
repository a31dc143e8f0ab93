"""Deleting: by one rename for each entry, never through a link, never what changed; and what a killed prune left is finished."""

from __future__ import annotations

import os
import threading

import msgspec
import pytest
import support

from ckptrun import errors
from ckptrun.checkpoints import emptying, remove, trash
from ckptrun.model import Checkpoint


def file_item(directory, *names, name=""):
    return Checkpoint(
        name=name or names[0],
        path=os.path.join(directory, names[0]),
        directory=os.fspath(directory),
        layout="series",
        files=list(names),
        entries=tuple(dict.fromkeys(each.split("/")[0] for each in names)),
    )


def allowed():
    """Of a guard: go on."""


def tree(directory):
    return sorted(
        os.path.relpath(os.path.join(where, name), directory) for where, _, files in os.walk(directory) for name in files
    )


@pytest.fixture
def place(weird_path):
    support.write_files(weird_path, {"d/c1/model.pt": "1", "d/c1/sub/x": "1", "d/c2/model.pt": "2", "d/f_1.pt": "1"})
    return weird_path


def test_a_directory_goes_by_one_rename_and_is_unlinked_later(place):
    directory = os.path.join(place, "d")
    where = remove.place(directory, "")
    assert where == os.path.join(place, ".ckptrun", "trash")  # beside: a framework may choke on a name of ours among its own
    units = remove.units([file_item(directory, "c1/model.pt", "c1/sub/x", name="c1")], [])
    done = remove.move(units, lambda _: where, allowed)
    assert (done.left, sorted(os.listdir(directory))) == ([], ["c2", "f_1.pt"])
    (aside,) = os.listdir(where)
    assert tree(os.path.join(where, aside)) == ["model.pt", "sub/x"]
    assert trash.empty(where) == []
    assert os.listdir(where) == []


def test_the_trash_of_a_run_is_the_run_s_own_if_it_is_on_the_same_filesystem(tmp_path):
    support.write_files(tmp_path, {"run/checkpoints/x": "", "run/lease.lock": ""})
    own = os.path.join(tmp_path, "run", "trash")
    assert remove.place(os.path.join(tmp_path, "run", "checkpoints"), own) == own
    if os.path.isdir("/dev/shm") and os.stat("/dev/shm").st_dev != os.stat(tmp_path).st_dev:
        assert remove.place("/dev/shm", own) == "/dev/shm/.ckptrun/trash"  # a mount: renames do not leave it


def test_all_entries_of_one_checkpoint_go_what_others_need_stays(tmp_path):
    names = ["m-1.index", "m-1.data-00000-of-00001", "m-2.index", "m-2.data-00000-of-00001", "structure.pt"]
    support.write_files(tmp_path, {f"d/{name}": name for name in names})
    directory = os.path.join(tmp_path, "d")
    first, second = (file_item(directory, f"m-{n}.index", f"m-{n}.data-00000-of-00001", "structure.pt") for n in (1, 2))
    where = remove.place(directory, "")
    assert remove.move(remove.units([first], [second]), lambda _: where, allowed).left == []
    assert sorted(os.listdir(directory)) == sorted(names[2:])
    assert trash.empty(where) == []
    assert os.listdir(where) == []


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_checkpoint_of_several_entries_that_was_half_moved_is_finished(tmp_path, monkeypatch, renames):
    support.write_files(tmp_path, {f"d/{name}": name for name in "abc"})
    directory = os.path.join(tmp_path, "d")
    where = remove.place(directory, "")
    done = []

    def killed(*args, **more):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(args[0])
        rename(*args, **more)

    rename = os.rename
    monkeypatch.setattr(os, "rename", killed)
    units = remove.units([file_item(directory, "a", "b", "c")], [])
    with pytest.raises(KeyboardInterrupt):
        remove.move(units, lambda _: where, allowed)
    monkeypatch.undo()
    assert sorted(os.listdir(directory)) == ["a", "b", "c"][renames:]  # what a script is given goes first
    assert trash.empty(where) == []
    assert (os.listdir(directory), os.listdir(where)) == ([], [])


def test_a_name_that_was_given_to_another_file_is_left_alone(tmp_path):
    support.write_files(tmp_path, {"d/a": "a", "d/b": "b"})
    directory = os.path.join(tmp_path, "d")
    where = remove.place(directory, "")
    fd = trash.open_trash(where)
    os.mkdir(os.path.join(where, "x"))
    source = os.open(directory, os.O_RDONLY)
    entries = {name: trash.identity(name, source) for name in "ab"}
    trash.write_note(trash.Moving(directory="../../d", entries=entries), fd, "x")
    os.close(source)
    os.close(fd)
    os.unlink(os.path.join(directory, "a"))
    support.write_files(tmp_path, {"d/new": "saved since"})
    os.rename(os.path.join(directory, "new"), os.path.join(directory, "a"))
    assert trash.empty(where) == []
    assert tree(directory) == ["a"]


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b'{"format":9,"directory":"..","entries":{}}',
        b'{"format":1,"directory":"../../d","entries":{"../d/a":[1,2,3],"":[0,0,0],".":[0,0,0]}}',
    ],
)
def test_a_torn_or_evil_note_moves_nothing(tmp_path, note):
    support.write_files(tmp_path, {"d/a": "a", ".ckptrun/trash/x/.moving.json": note})
    assert trash.empty(os.path.join(tmp_path, ".ckptrun", "trash")) == []
    assert tree(tmp_path) == ["d/a"]


def test_links_are_not_followed(tmp_path):
    support.write_files(tmp_path, {"victim/precious": "1", "d/c1/x": "1", "d/c2/x": "1"})
    os.symlink(tmp_path / "victim", tmp_path / "d" / "c1" / "link")
    directory = os.path.join(tmp_path, "d")
    where = remove.place(directory, "")
    units = remove.units([file_item(directory, f"{name}/x", name=name) for name in ("c1", "c2")], [])
    os.rename(tmp_path / "d" / "c2", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / "d" / "c2")  # put in its place since it was judged
    done = remove.move(units, lambda _: where, allowed)
    assert done.left == ["c2 could not be removed: c2 has changed since it was judged"]
    assert trash.empty(where) == []
    assert tree(tmp_path) == ["elsewhere/x", "victim/precious"]


def test_a_trash_that_is_a_link_is_refused(tmp_path):
    support.write_files(tmp_path, {"victim/precious": "1", "d/c1/x": "1"})
    os.symlink(tmp_path / "victim", tmp_path / ".ckptrun")
    directory = os.path.join(tmp_path, "d")
    units = remove.units([file_item(directory, "c1/x", name="c1")], [])
    (sentence,) = remove.move(units, lambda _: os.path.join(tmp_path, ".ckptrun", "trash"), allowed).left
    assert sentence.startswith("c1 could not be removed: ")
    os.symlink(tmp_path / "victim", tmp_path / "trash")
    assert trash.empty(os.path.join(tmp_path, "trash")) == ["trash could not be opened: Not a directory"]
    assert tree(tmp_path) == ["d/c1/x", "victim/precious"]


def test_what_was_written_since_it_was_judged_stays(tmp_path):
    support.write_files(tmp_path, {"d/last.pt": "1"})
    directory = os.path.join(tmp_path, "d")
    units = remove.units([file_item(directory, "last.pt")], [])
    os.utime(tmp_path / "d" / "last.pt", (5, 5))
    assert remove.move(units, lambda _: remove.place(directory, ""), allowed).left == [
        "last.pt could not be removed: last.pt has changed since it was judged"
    ]


def test_what_somebody_else_removed_is_removed(tmp_path):
    support.write_files(tmp_path, {"d/c1/x": "1"})
    directory = os.path.join(tmp_path, "d")
    where = remove.place(directory, "")
    units = remove.units([file_item(directory, "c1/x", name="c1")], [])
    assert remove.move(units, lambda _: where, allowed).left == []
    assert remove.move(units, lambda _: where, allowed).left == []


def test_the_guard_stops_it_and_what_is_moved_is_moved(tmp_path):
    support.write_files(tmp_path, {f"d/c{n}/x": "1" for n in (1, 2)})
    directory = os.path.join(tmp_path, "d")
    asked = []

    def guard():
        asked.append(1)
        if len(asked) == 2:
            raise errors.LeaseLost("lost")

    units = remove.units([file_item(directory, f"c{n}/x", name=f"c{n}") for n in (1, 2)], [])
    with pytest.raises(errors.LeaseLost):
        remove.move(units, lambda _: remove.place(directory, ""), guard)
    assert os.listdir(directory) == ["c2"]


def test_two_empty_the_trash_at_once(tmp_path):
    support.write_files(tmp_path, {f"trash/c{n}/{m}/x": "1" for n in range(40) for m in range(3)})
    said = []
    both = [threading.Thread(target=lambda: said.extend(trash.empty(str(tmp_path / "trash")))) for _ in range(4)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert said == []
    assert os.listdir(tmp_path / "trash") == []


def test_nfs_keeps_what_is_open_and_nobody_complains(tmp_path, monkeypatch):
    """An NFS client renames what is unlinked while open to .nfs…, which cannot be removed until it is closed."""
    support.write_files(tmp_path, {"trash/c1/sub/.nfs0001": "1", "trash/c1/x": "1", "trash/c2/x": "1"})
    unlink = os.unlink

    def on_nfs(name, *args, **more):
        if os.path.basename(name).startswith(".nfs"):
            raise OSError(16, "Device or resource busy")
        unlink(name, *args, **more)

    monkeypatch.setattr(os, "unlink", on_nfs)
    assert trash.empty(str(tmp_path / "trash")) == []
    assert tree(tmp_path) == ["trash/c1/sub/.nfs0001"]
    monkeypatch.undo()
    assert trash.empty(str(tmp_path / "trash")) == []
    assert os.listdir(tmp_path / "trash") == []


def test_what_cannot_be_unlinked_is_said_and_the_rest_goes(tmp_path, monkeypatch):
    support.write_files(tmp_path, {"trash/c1/bad": "1", "trash/c1/good": "1", "trash/c2/x": "1"})
    unlink = os.unlink

    def failing(name, *args, **more):
        if name == "bad":
            raise OSError(5, "Input/output error")
        unlink(name, *args, **more)

    monkeypatch.setattr(os, "unlink", failing)
    assert trash.empty(str(tmp_path / "trash")) == ["trash/c1 could not be removed: Input/output error"]
    assert tree(tmp_path) == ["trash/c1/bad"]


def test_a_process_of_its_own_empties_it(tmp_path):
    support.write_files(tmp_path, {"trash/c1/x": "1", "other/trash/c": "1"})
    with emptying.begin(
        [str(tmp_path / "trash"), str(tmp_path / "other" / "trash")], [str(tmp_path)], detached=False
    ) as child:
        assert child.wait(30) == 0
    assert tree(tmp_path) == []


def test_hard_links_and_their_weight(tmp_path):
    support.write_files(tmp_path, {"a.pt": "12345"})
    os.link(tmp_path / "a.pt", tmp_path / "b.pt")
    (one,), (other,) = (remove.inodes(file_item(tmp_path, name)) for name in ("a.pt", "b.pt"))
    assert (one.size, one.links) == (5, 2)
    assert msgspec.structs.replace(one, name="") == msgspec.structs.replace(other, name="")
