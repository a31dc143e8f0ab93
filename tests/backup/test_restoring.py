"""Backups put back: whole or not at all, nothing overwritten, nothing outside, absolute paths put right."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from backup.conftest import contents, whole
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ckptrun import errors, names
from ckptrun.backup import local, pointers, record, restoring
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Checkpoint
from ckptrun.runs import paths, superseded


def test_a_lost_checkpoint_comes_back_as_it_was(world):
    (item,) = world.save(7)
    place = local.LocalPlace(world.back_up(item).path.rpartition("/")[0])
    before, times = contents(item.path), os.stat(os.path.join(item.path, "state.pt")).st_mtime_ns
    shutil.rmtree(item.path)
    done = world.restore(place)
    assert (done.state, done.path) == ("restored", item.path)
    assert contents(item.path) == before
    assert os.stat(os.path.join(item.path, "state.pt")).st_mtime_ns == times
    assert whole(world.run.checkpoints) == [item.name]
    assert world.restore(place).state == "there"


def test_the_newest_of_several_or_the_one_that_is_named(world):
    items = world.save(3, 12, 7)
    for item in items:
        world.back_up(item)
    place = local.LocalPlace(world.run.backup)
    assert restoring.newest(place)[1].step == 12
    assert restoring.newest(place, "7")[1].step == 7
    assert restoring.newest(place, "step-00000003")[1].step == 3
    assert restoring.newest(place, "4") is None


def test_the_output_of_an_attempt_comes_back_to_it_also_in_a_new_run(world):
    with world.made.attempt() as attempt, open(os.path.join(attempt.where.output, "ckpt.bin"), "wb") as file:
        file.write(b"state" * 100)
    (item,) = world.items()
    made = world.back_up(item)
    other = paths.run_paths(world.root + "/runs", "other")
    done = world.restore(local.LocalPlace(world.run.backup), run=other)
    assert made.name.startswith("attempt-0001-ckpt.bin-")
    assert done.path == os.path.join(other.dir, "attempts", "0001", "output", "ckpt.bin")
    assert contents(other.dir) == {"attempts/0001/output/ckpt.bin": b"state" * 100}


def test_nothing_is_overwritten_without_force_and_with_it_set_aside(world):
    (item,) = world.save(7)
    world.back_up(item, copy=True)
    place = local.LocalPlace(world.run.backup)
    with open(os.path.join(item.path, "state.pt"), "ab") as file:
        file.write(b"newer")
    before = contents(world.run.checkpoints)
    with pytest.raises(errors.CannotCreate, match="something else is in its place"):
        world.restore(place)
    assert contents(world.run.checkpoints) == before
    done = world.restore(place, force=lambda inside: superseded.set_aside(world.run, inside, "restore", lambda: None))
    assert done.state == "restored"
    assert whole(world.run.checkpoints) == [item.name]
    assert any(body.endswith(b"newer") for name, body in contents(world.run.superseded).items() if name.endswith("state.pt"))


def test_a_damaged_backup_is_not_restored(world):
    (item,) = world.save(7)
    made = world.back_up(item, copy=True)
    shutil.rmtree(item.path)
    with open(os.path.join(made.path, item.name, "sub", "more"), "r+b") as file:
        file.write(b"M")
    with pytest.raises(errors.IoFailure, match="sub/more is damaged"):
        world.restore(local.LocalPlace(world.run.backup))
    assert world.items() == []


def test_what_was_fetched_before_is_not_fetched_again(world, monkeypatch):
    (item,) = world.save(7)
    world.back_up(item, copy=True)
    shutil.rmtree(item.path)
    place = local.LocalPlace(world.run.backup)
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        world.restore(place)
    monkeypatch.setattr(os, "rename", rename)
    assert world.items() == []
    done = world.restore(place)
    assert (done.state, done.fetched) == ("restored", 0)
    assert os.listdir(world.run.checkpoints) == [item.name] or sorted(os.listdir(world.run.checkpoints)) == [
        "latest",
        item.name,
    ]


def test_a_directory_that_leads_out_of_the_run_is_not_written_to(world, tmp_path):
    with world.made.attempt() as attempt:
        os.makedirs(os.path.join(attempt.where.output, "sub"))
        with open(os.path.join(attempt.where.output, "sub", "ckpt.bin"), "wb") as file:
            file.write(b"state" * 100)
    (item,) = world.items()
    world.back_up(item)
    shutil.rmtree(os.path.dirname(item.path))
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", os.path.dirname(item.path))
    with pytest.raises(errors.UsageError, match="leads out of"):
        world.restore(local.LocalPlace(world.run.backup))
    assert os.listdir(tmp_path / "outside") == []


GOOD = {"name": "x", "entry": "x", "files": [{"path": "x", "size": 1}]}
BAD = {
    "up": {"files": [{"path": "../x", "size": 1}]},
    "absolute": {"files": [{"path": "/etc/passwd", "size": 1}]},
    "the record itself": {"files": [{"path": "backup.json", "size": 1}]},
    "twice": {"files": [{"path": "x", "size": 1}, {"path": "x", "size": 1}]},
    "below a file": {"files": [{"path": "x", "size": 1}, {"path": "x/y", "size": 1}]},
    "below a link": {"files": [{"path": "l/y", "size": 1}], "links": {"l": "x"}},
    "a link out": {"links": {"a/l": "../../x"}},
    "a link out by another": {"links": {"a": "b/c/../../.."}},
    "an absolute link": {"links": {"l": "/etc"}},
    "nothing": {"files": []},
    "less than nothing": {"files": [{"path": "x", "size": -1}]},
    "an odd directory": {"empty": ["a/../.."]},
    "an odd entry": {"entry": "../x"},
}


@pytest.mark.parametrize("name", BAD)
def test_a_record_with_names_that_lead_out_is_refused(name):
    record.parse(json.dumps({"format": 1, **GOOD}).encode())
    with pytest.raises(Broken):
        record.parse(json.dumps({"format": 1, **GOOD, **BAD[name]}).encode())


def test_a_path_that_leads_out_of_the_run_is_not_followed(tmp_path):
    for path in ("../../etc/x", "checkpoints/../../x", "control/x", "/etc/x"):
        found = record.Record(name="x", run="r", path=path, entry="x")
        assert restoring.target_in_run(found, "/runs/r").directory == "/runs/r/checkpoints", path


def test_a_record_of_a_later_format_is_not_called_damaged():
    with pytest.raises(Broken) as caught:
        record.parse(b'{"format": 2}')
    assert caught.value.state == names.UNKNOWN


@given(st.binary(max_size=200))
def test_no_text_is_more_than_refused(data):
    with pytest.raises(Broken):
        record.parse(data)


@given(
    st.lists(
        st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1), min_size=1, unique=True
    )
)
def test_a_record_is_read_as_it_was_written(paths):
    files = [record.Part(path=f"d/{path}", size=1) for path in paths if path not in (".", "..")]
    if files:
        known = record.Record(name="d", entry="d", files=files)
        assert record.parse(record.encode(known)) == known


def test_hugging_face_looks_for_the_best_where_it_is_now():
    old = b'{"best_metric": NaN, "best_model_checkpoint": "/old/out/checkpoint-300", "x": [1.0, 2e-5]}'
    assert pointers.inside(old, "/new/\xe4").decode() == (
        '{"best_metric": NaN, "best_model_checkpoint": "/new/\xe4/checkpoint-300", "x": [1.0, 2e-5]}'
    )
    for same in (b'{"best_model_checkpoint": null}', b"", b"\xff"):
        assert pointers.inside(same, "/new") == same


@pytest.mark.parametrize(
    ("layout", "name", "text"),
    [
        ("mmengine", "last_checkpoint", "{directory}/epoch_3.pth"),
        ("fvcore", "last_checkpoint", "epoch_3.pth"),
        ("deepspeed", "latest", "epoch_3.pth"),
    ],
)
def test_a_framework_s_pointer_leads_to_what_was_restored(world, tmp_path, layout, name, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / "epoch_3.pth").write_bytes(b"\x80\x02" + b"x" * 100 + b".")
    blank = Checkpoint(name="epoch_3.pth", path=str(out / "epoch_3.pth"), directory=str(out), layout=layout, step=3)
    made = world.back_up(replace(blank, files=["epoch_3.pth"]), str(tmp_path / "safe"))
    assert made.state == "made", made.reason
    new = tmp_path / "new"
    place = local.LocalPlace(str(tmp_path / "safe"))
    home, found = restoring.newest(place)
    target = restoring.Target(root=str(new), directory=str(new))
    restoring.Restorer(place, home, found, target, jobs=1, tell=lambda _: None, set_aside=None, now=0.0).restore()
    assert contents(new) == {
        "epoch_3.pth": b"\x80\x02" + b"x" * 100 + b".",
        name: text.format(directory=new).encode(),
    }
