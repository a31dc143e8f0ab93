"""Backups in a directory: shared or copied, verified, the record last, gone on with after a kill, never made twice."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from backup.conftest import contents
from msgspec.structs import replace

from ckptrun import errors, names
from ckptrun.backup import copying, local, making, record, restoring, upkeep
from ckptrun.report import gather


def test_a_backup_holds_what_the_checkpoint_holds_and_says_so(world):
    (item,) = world.save(7)
    made = world.back_up(item)
    assert (made.state, made.name, made.sent) == (making.MADE, "step-00000007", made.size)
    there = contents(made.path)
    kept = record.parse(there.pop(names.BACKUP_JSON))
    assert there == {f"{item.name}/{name}": body for name, body in contents(item.path).items()}
    assert (kept.run, kept.step, kept.path) == ("digits", 7, "checkpoints/step-00000007")
    assert all(copying.digest_of(os.path.join(made.path, part.path)) == part.xxh3_128 for part in kept.files)


def test_the_same_again_is_no_error_and_no_work(world):
    (item,) = world.save(7)
    first = world.back_up(item)
    before = os.stat(os.path.join(first.path, names.BACKUP_JSON))
    second = world.back_up(item)
    assert (second.state, second.path, second.sent) == (making.THERE, first.path, 0)
    after = os.stat(os.path.join(first.path, names.BACKUP_JSON))
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_ours_are_linked_and_others_never(world, tmp_path):
    """Whatever is rewritten in place, or may be, would change in the backup too."""
    (item,) = world.save(7)
    assert set(world.back_up(item).how) <= {copying.LINK, copying.REFLINK}
    (tmp_path / "out").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "out" / f"ckpt_{number}.bin").write_bytes(b"%d" % number * 100)
    listed = gather.directory_listing(str(tmp_path / "out")).checkpoints
    assert len(listed) == 3
    for found in listed:
        made = world.back_up(found, str(tmp_path / "safe"))
        assert copying.LINK not in made.how, found.layout
        assert os.stat(found.path).st_nlink == 1


def test_copy_copies(world, tmp_path):
    (item,) = world.save(7)
    made = world.back_up(item, copy=True)
    assert copying.LINK not in made.how
    assert all(os.stat(os.path.join(where, name)).st_nlink == 1 for where, _, files in os.walk(made.path) for name in files)


def test_to_another_filesystem_every_byte_is_copied(world, tmp_path):
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second filesystem here")
    (item,) = world.save(7)
    place = local.LocalPlace(f"/dev/shm/ckptrun-test-{os.getpid()}")
    try:
        made = world.back_up(item, place=place)
        assert made.how == {copying.COPY: 3}
        assert contents(os.path.join(made.path, item.name)) == contents(item.path)
    finally:
        import shutil

        shutil.rmtree(place.base)


@pytest.mark.parametrize("copy", [True, False])
def test_an_unfinished_backup_is_gone_on_with(world, copy):
    (item,) = world.save(7)
    made = world.back_up(item, copy=True)
    whole = contents(made.path)
    text = whole[names.BACKUP_JSON]
    for gone in ("step-00000007/state.pt", names.BACKUP_JSON):
        os.unlink(os.path.join(made.path, gone))
    with open(os.path.join(made.path, names.BACKUP_BEGUN), "wb") as file:
        file.write(text)
    kept = os.stat(os.path.join(made.path, "step-00000007", "sub", "more"))
    assert restoring.newest(local.LocalPlace(world.run.backup)) is None
    again = world.back_up(item, copy=copy)
    assert again.state == making.MADE
    assert again.sent == len(whole["step-00000007/state.pt"])
    assert os.stat(os.path.join(made.path, "step-00000007", "sub", "more")).st_ino == kept.st_ino
    after = contents(made.path)
    assert record.parse(after.pop(names.BACKUP_JSON)).files == record.parse(text).files
    assert after == {name: body for name, body in whole.items() if name != names.BACKUP_JSON}


def test_what_was_begun_of_something_else_is_not_believed(world):
    (item,) = world.save(7)
    home = os.path.join(world.run.backup, item.name)
    os.makedirs(os.path.join(home, item.name, "sub"))
    size = os.stat(os.path.join(item.path, "state.pt")).st_size
    with open(os.path.join(home, item.name, "state.pt"), "wb") as file:
        file.write(b"x" * size)  # of the right size
    made = world.back_up(item)
    assert made.state == making.MADE
    assert contents(os.path.join(home, item.name)) == contents(item.path)


def test_another_state_of_the_same_name_gets_a_name_of_its_own(world, tmp_path):
    (item,) = world.save(7)
    first = world.back_up(item, str(tmp_path / "safe"), copy=True)
    kept = contents(first.path)
    with open(os.path.join(item.path, "state.pt"), "r+b") as file:
        file.write(b"other")
    other = replace(item, layout="series", files=[item.name])
    second = world.back_up(other, str(tmp_path / "safe"))
    assert second.name == f"{first.name}.2"
    assert contents(first.path) == kept


def test_a_file_that_was_only_touched_is_the_same(world, tmp_path):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "ckpt_1.bin"
    for number in (1, 2, 3):
        (tmp_path / "out" / f"ckpt_{number}.bin").write_bytes(b"a" * 100)
    item = gather.directory_listing(str(tmp_path / "out")).checkpoints[0]
    assert world.back_up(item, str(tmp_path / "safe")).state == making.MADE
    os.utime(path)
    assert world.back_up(item, str(tmp_path / "safe")).state == making.THERE


def test_bytes_that_rotted_are_not_backed_up(world):
    (item,) = world.save(7)
    with open(os.path.join(item.path, "state.pt"), "r+b") as file:
        file.write(b"rotten")
    made = world.back_up(item, copy=True)
    assert made.state == making.FAILED
    assert "has checksum" in made.reason
    assert restoring.newest(local.LocalPlace(world.run.backup)) is None


def test_a_file_that_changes_while_it_is_copied_is_noticed(world, monkeypatch):
    (item,) = world.save(7)
    item = replace(item, layout="series", files=[item.name])  # of some framework, that nobody has vouched for
    copy = copying.copy

    def slow(source, target, tell):
        copy(source, target, tell)
        with open(os.path.join(item.path, "state.pt"), "ab") as file:
            file.write(b"more")

    monkeypatch.setattr(copying, "share", lambda *_: False)
    monkeypatch.setattr(copying, "copy", slow)
    made = world.back_up(item)
    assert made.state == making.FAILED
    assert "was written to while it was copied" in made.reason
    assert restoring.newest(local.LocalPlace(world.run.backup)) is None


def test_a_file_that_somebody_is_writing_is_not_backed_up(world, tmp_path):
    import subprocess
    import sys

    out = tmp_path / "out"
    out.mkdir()
    (out / "ckpt.bin").write_bytes(b"a" * 100)
    item = gather.directory_listing(str(out)).checkpoints[0]
    assert item.layout == "single"
    code = "import sys; file = open('ckpt.bin', 'ab'); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], cwd=out, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        made = world.back_up(item, str(tmp_path / "safe"))
        writer.stdin.close()
    assert made.state == making.FAILED
    assert "open for writing by" in made.reason
    assert world.back_up(item, str(tmp_path / "safe")).state == making.MADE


def test_links_inside_stay_links_and_what_others_lead_to_is_copied(world, tmp_path):
    out = tmp_path / "out" / "step-5"
    (out / "sub").mkdir(parents=True)
    (tmp_path / "base.safetensors").write_bytes(b"base" * 10)
    (out / "model.bin").write_bytes(b"m" * 50)
    (out / "sub" / "same").symlink_to("../model.bin")
    (out / "base").symlink_to("../../base.safetensors")
    (out / "absolute").symlink_to(tmp_path / "base.safetensors")
    (out / "nothing").mkdir()
    item = replace(world.save(1)[0], name="step-5", path=str(out), directory=str(out.parent), layout="x", files=["step-5"])
    made = world.back_up(item, str(tmp_path / "safe"))
    assert made.state == making.MADE, made.reason
    there = contents(os.path.join(made.path, "step-5"))
    assert there == {"model.bin": b"m" * 50, "sub/same": "../model.bin", "base": b"base" * 10, "absolute": b"base" * 10}
    assert os.path.isdir(os.path.join(made.path, "step-5", "nothing"))
    assert not os.path.islink(os.path.join(made.path, "step-5", "base"))


def test_a_pipe_in_a_checkpoint_is_refused_and_does_not_hang(world, tmp_path):
    (item,) = world.save(7)
    os.mkfifo(os.path.join(item.path, "pipe"))
    assert "neither a file nor a link" in world.back_up(item).reason


def test_names_of_any_kind(world, weird_path):
    (item,) = world.save(7, files={"a\nb": b"1", "\udcff.pt": b"2", "back\\slash": b"3", ".hidden": b"4"})
    made = world.back_up(item, str(weird_path / "safe"))
    assert made.state == making.MADE, made.reason
    assert contents(os.path.join(made.path, item.name)) == contents(item.path)
    assert world.back_up(item, str(weird_path / "safe"), verify=True).state == making.THERE


def test_verify_reads_everything(world):
    (item,) = world.save(7)
    made = world.back_up(item, copy=True)
    with open(os.path.join(made.path, item.name, "state.pt"), "r+b") as file:
        file.write(b"rotten")
    assert world.back_up(item).state == making.THERE
    damaged = world.back_up(item, verify=True)
    assert damaged.state == making.FAILED
    assert "state.pt does not hold what was sent" in damaged.reason


def test_a_full_disk_is_said_before_it_is_filled(world, monkeypatch):
    (item,) = world.save(7)
    before = os.statvfs(world.root)
    values = list(before)
    values[4] = 1  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    with pytest.raises(errors.IoFailure, match="there is no room"):
        world.back_up(item, copy=True)
    assert world.back_up(item).state == making.MADE  # another name needs none


@pytest.mark.parametrize("inside", ["checkpoints", "attempts/x", "checkpoints/step-00000007/y"])
def test_a_destination_where_checkpoints_are_looked_for_is_refused(world, inside):
    (item,) = world.save(7)
    with pytest.raises(errors.UsageError, match="where checkpoints are looked for"):
        upkeep.require_outside(os.path.join(world.run.dir, inside), [item], world.run)


def test_two_at_once_make_one(world):
    (item,) = world.save(7, files={f"f{number}": b"x" * 1000 for number in range(50)})
    done = []
    threads = [threading.Thread(target=lambda: done.append(world.back_up(item, copy=True))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {made.state for made in done} <= {making.MADE, making.THERE}
    assert world.back_up(item, verify=True).state == making.THERE


def test_a_filesystem_without_links_or_reflinks(world, monkeypatch):
    def no(*_args, **_kwargs):
        raise OSError(errno.EPERM, "no")

    (item,) = world.save(7)
    monkeypatch.setattr(os, "link", no)
    monkeypatch.setattr(copying.fcntl, "ioctl", no)
    monkeypatch.setattr(os, "copy_file_range", no)
    made = world.back_up(item)
    assert made.how == {copying.COPY: 3}
    assert contents(os.path.join(made.path, item.name)) == contents(item.path)
