"""Hashing while the block still writes: what is committed is what lies there at the end, whatever was hashed before."""

import contextlib
import errno
import gc
import mmap
import os
import random
import tempfile
import threading

import pytest

from ckptrun import names
from ckptrun.checkpoints import manifest, scan, verify
from ckptrun.client import early, hashing

MIB = 1 << 20


def write(path, seed, size=9 * MIB):
    with open(path, "wb") as file:
        file.write(random.Random(seed).randbytes(MIB) * (size // MIB))


def rewrite(path, seed):
    with open(path, "r+b") as file:
        file.seek(4 * MIB)
        file.write(bytes([seed % 256]) * 1000)


def by_mapping(path, seed):
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        file.close()
        mapped[MIB : MIB + 4] = b"%04d" % (seed % 10_000)


def by_link(path, seed):
    alias = f"{path}.alias"
    os.link(path, alias)
    rewrite(alias, seed)
    os.unlink(alias)


def by_rename(path, seed):
    write(f"{path}.tmp", seed)
    os.rename(f"{path}.tmp", path)


def by_removal(path, seed):
    os.unlink(path)
    write(path, seed)


def by_truncation(path, _seed):
    os.truncate(path, MIB)
    os.truncate(path, 9 * MIB)


def by_second_descriptor(path, seed):
    with open(path, "r+b") as first:
        with open(path, "r+b") as second:
            second.write(b"second")
        first.write(b"%06d" % seed)


WAYS = [rewrite, by_mapping, by_link, by_rename, by_removal, by_truncation, by_second_descriptor]


def used_to_large(world, **more):
    """A run whose last save was large, so that the next is watched."""
    run = world.run(**more)
    run._size = 1 << 30
    return run


def whole(world, step):
    (found,) = [item for item in scan.scan_run(world.checkpoints, "") if item.step == step]
    return verify.deep(found)


def hashed_early(watcher, path):
    """Wait until the watcher has hashed this file as it is now."""
    for _ in range(3000):
        if watcher.known(os.stat(path)):
            return
        threading.Event().wait(0.005)
    raise AssertionError("it was not hashed")


def test_a_large_file_is_hashed_before_the_block_ends(world, monkeypatch):
    by_thread = []
    real = hashing.digest

    def digest(fd):
        by_thread.append(threading.current_thread().name)
        return real(fd)

    monkeypatch.setattr(hashing, "digest", digest)
    saving = used_to_large(world).checkpoint(1)
    with saving as folder:
        for number in range(3):
            write(folder / f"part-{number}", number)
            hashed_early(saving._early, folder / f"part-{number}")
        (folder / "small").write_bytes(b"1")
    assert by_thread == ["ckptrun-early"] * 3 + ["MainThread"]
    assert whole(world, 1) == (names.COMPLETE, "")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_file_that_was_changed_after_it_was_hashed(world, way):
    saving = used_to_large(world).checkpoint(1)
    with saving as folder:
        write(folder / "state", 1)
        hashed_early(saving._early, folder / "state")
        way(os.fspath(folder / "state"), 7)
    assert whole(world, 1) == (names.COMPLETE, "")


def test_changes_at_any_moment(world):
    """No waiting: the thread is somewhere in the middle of each file when it is changed, or when the block ends."""
    rng = random.Random(5)
    run = used_to_large(world)
    for step in range(25):
        with run.checkpoint(step) as folder:
            for _ in range(rng.randrange(1, 6)):
                path = os.fspath(folder / f"part-{rng.randrange(3)}")
                if not os.path.exists(path):
                    write(path, rng.random(), size=rng.choice([9, 17]) * MIB)
                else:
                    rng.choice(WAYS)(path, rng.randrange(10_000))
        assert whole(world, step) == (names.COMPLETE, "")


def test_a_file_written_under_another_name_is_hashed_once(world):
    """As safetensors does: write beside, rename."""
    saving = used_to_large(world).checkpoint(1)
    with saving as folder:
        write(folder / ".tmpAbCdEf", 1)
        hashed_early(saving._early, folder / ".tmpAbCdEf")
        os.rename(folder / ".tmpAbCdEf", folder / "model.safetensors.bin")
        assert saving._early.known(os.stat(folder / "model.safetensors.bin"))
    assert whole(world, 1) == (names.COMPLETE, "")


def test_an_fsync_that_failed_early_fails_the_save(world, monkeypatch):
    """The kernel reports a failed write-back once: a second fsync would be told that all is well."""
    real = os.fsync

    def fsync(fd):
        if threading.current_thread().name == "ckptrun-early":
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    saving = used_to_large(world).checkpoint(1)
    with pytest.raises(OSError, match="Input/output error"), saving as folder:  # noqa: PT012
        write(folder / "state", 1)
        hashed = threading.Event()
        for _ in range(3000):
            if saving._early._failed or hashed.wait(0.005):
                break
    assert world.names() == []


@pytest.mark.parametrize("how", ["well", "raises", "same step"])
def test_no_thread_and_no_descriptor_is_left(world, how):
    run = used_to_large(world)
    if how == "same step":
        world.save(run, 1)
    world.save(run, 9, {"state": b"1" * (33 * MIB)})  # loads what is loaded once
    gc.collect()  # what earlier tests left to it
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with contextlib.suppress(ZeroDivisionError), run.checkpoint(1) as folder:
        write(folder / "state", 1)
        assert 1 / (how != "raises")
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)


@pytest.mark.parametrize("without", ["inotify", "cores"])
def test_without_a_watch_everything_is_hashed_at_the_end(world, monkeypatch, without):
    if without == "inotify":
        monkeypatch.setattr(early, "_watch", lambda _: -1)
    else:
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
    saving = used_to_large(world).checkpoint(1)
    with saving as folder:
        assert saving._early is None
        write(folder / "state", 1)
    assert whole(world, 1) == (names.COMPLETE, "")


def test_events_that_were_lost_make_everything_old(world, monkeypatch):
    saving = used_to_large(world).checkpoint(1)
    with saving as folder:
        write(folder / "state", 1)
        watcher = saving._early
        hashed_early(watcher, folder / "state")
        monkeypatch.setattr(watcher, "_events", lambda: [""])
        watcher.stop()
        assert not watcher.known(os.stat(folder / "state"))
    assert manifest.read(os.path.join(world.checkpoints, "step-00000001")).files
    assert whole(world, 1) == (names.COMPLETE, "")


def test_small_saves_get_no_thread(world):
    run = world.run()
    for step, size in enumerate((1, 40 * MIB, 40 * MIB, 1, 1)):
        saving = run.checkpoint(step)
        with saving as folder:
            (folder / "state").write_bytes(b"1" * size)
            watched = saving._early is not None
        assert watched == (step in (2, 3))  # the one before was large


def test_in_memory_files_are_mapped_and_hashed_alike(world, monkeypatch, tmp_path):
    shm = "/dev/shm"
    if not os.access(shm, os.W_OK):
        pytest.skip("no tmpfs to write to")
    with tempfile.TemporaryDirectory(dir=shm) as place:
        sizes = (8 * MIB - 1, 8 * MIB, 16 * MIB, 16 * MIB + 1, 40 * MIB + 4097)
        for size in sizes:
            for home in (place, tmp_path):
                path = os.path.join(home, str(size))
                with open(path, "wb") as file:
                    file.write(random.Random(size).randbytes(size))
            digests = set()
            for home in (place, tmp_path):
                with open(os.path.join(home, str(size)), "rb") as file:
                    assert hashing.is_memory(file.fileno()) or home != place
                    digests |= {hashing.digest(file.fileno()), hashing.mapped(file.fileno(), size)}
                    digests.add(hashing.final(file.fileno(), size))
            assert len(digests) == 1
