"""Is it whole? Our own by manifest; every kind of damage to it."""

import os
import shutil

import msgspec
import pytest

from ckptrun import names
from ckptrun.checkpoints import scan, verify
from ckptrun.checkpoints.reading import Patience
from ckptrun.model import Checkpoint

COMPLETE, PARTIAL, CORRUPT, UNKNOWN = names.COMPLETE, names.PARTIAL, names.CORRUPT, names.UNKNOWN


def the(home):
    (found,) = scan.scan_run(home.checkpoints, home.attempts)
    return found


def flip(path, place=50):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


def _cut(path):
    os.truncate(f"{path}/state", 60)


def _grow(path):
    with open(f"{path}/state", "ab") as file:
        file.write(b"x")


def _directory(path):
    os.unlink(f"{path}/state")
    os.mkdir(f"{path}/state")


def _link_out(path):
    os.unlink(f"{path}/state")
    os.symlink("/etc/passwd", f"{path}/state")


def _fifo(path):
    os.unlink(f"{path}/state")
    os.mkfifo(f"{path}/state")


def _all(path):
    os.truncate(f"{path}/state", 60)
    shutil.rmtree(f"{path}/sub")


@pytest.mark.parametrize(
    ("damage", "quick", "deep", "reason"),
    [
        (lambda path: None, COMPLETE, COMPLETE, ""),
        (lambda path: os.unlink(f"{path}/state"), PARTIAL, PARTIAL, "state is missing"),
        (lambda path: shutil.rmtree(f"{path}/sub"), PARTIAL, PARTIAL, "sub/more is missing"),
        (_cut, CORRUPT, CORRUPT, "state has 60 bytes instead of 100"),
        (_grow, CORRUPT, CORRUPT, "state has 101 bytes instead of 100"),
        (lambda path: flip(f"{path}/state"), COMPLETE, CORRUPT, "state has checksum"),
        (lambda path: flip(f"{path}/sub/more", 0), COMPLETE, CORRUPT, "sub/more has checksum"),
        (_directory, CORRUPT, CORRUPT, "state is not a file any more"),
        (_fifo, CORRUPT, CORRUPT, "state is not a file any more"),
        (_link_out, CORRUPT, CORRUPT, "state is a link that leads outside"),
        (_all, CORRUPT, CORRUPT, "state has 60 bytes instead of 100; sub/more is missing"),
        (lambda path: os.unlink(f"{path}/checkpoint.json"), PARTIAL, PARTIAL, "checkpoint.json is missing"),
        (lambda path: os.truncate(f"{path}/checkpoint.json", 0), CORRUPT, CORRUPT, "checkpoint.json is empty"),
        (shutil.rmtree, PARTIAL, PARTIAL, "checkpoint.json is missing"),
    ],
)
def test_damage_is_named_with_file_and_figures(home, damage, quick, deep, reason):
    path = home.save(5)
    found = the(home)
    damage(path)
    said = verify.quick(found), verify.deep(found)
    assert [state for state, _ in said] == [quick, deep]
    assert reason in said[1][1]
    assert (said[0][1] == "") == (quick == COMPLETE)


def test_an_extra_file_is_remarked_and_harmless(home):
    path = home.save(5)
    for name in ("notes.txt", "sub/cache", "é\n"):
        with open(os.path.join(path, name), "w") as file:
            file.write("1")
    state, remark = verify.quick(the(home))
    assert state == COMPLETE
    assert remark == "3 extra, not part of what was saved: notes.txt, sub/cache, é\n"


def test_many_wrong_files_are_counted(home):
    path = home.save(5, {f"part-{i}": b"1" for i in range(9)})
    for i in range(9):
        os.unlink(f"{path}/part-{i}")
    assert verify.quick(the(home))[1] == "part-0 is missing; part-1 is missing; part-2 is missing; and 6 more"


def test_a_file_that_cannot_be_read_is_unknown_unless_another_is_wrong(home, monkeypatch):
    path = home.save(5, {"a": b"1", "b": b"1"})
    found, real = the(home), os.open

    def failing(name, *rest, **more):
        if os.fspath(name).endswith("/a"):
            raise OSError(5, "Input/output error")
        return real(name, *rest, **more)

    monkeypatch.setattr(os, "open", failing)
    monkeypatch.setattr("time.sleep", lambda _: None)
    quick = Patience(sleep=lambda _: None)
    assert verify.deep(found, patience=quick) == (UNKNOWN, "a cannot be read: Input/output error")
    flip(f"{path}/b", 0)
    assert verify.deep(found, patience=quick)[0] == CORRUPT


def test_progress_is_told_in_bytes(home):
    home.save(5, {"a": b"1" * 3_000_000, "b": b"2" * 10})
    told = []
    verify.deep(the(home), tell=told.append)
    assert sum(told) == 3_000_010


def test_a_checkpoint_of_any_other_layout_is_judged_by_its_files(tmp_path):
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "more.json").write_text("{")
    whole = Checkpoint(name="x", path="x", directory=str(tmp_path), layout="of-tomorrow", files=["state.json"])
    assert verify.quick(whole) == (COMPLETE, "")
    half = msgspec.structs.replace(whole, files=["state.json", "more.json", "none.pt"])
    assert verify.deep(half) == (PARTIAL, "more.json is cut short: its JSON is not closed; none.pt is missing")
