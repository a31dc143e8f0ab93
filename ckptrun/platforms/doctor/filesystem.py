"""The filesystem of the runs: does it keep what ckptrun relies on, and is there room. Writes and removes a few small files."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time

from ckptrun import units
from ckptrun.platforms.doctor import mounts, quota
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SLOW_FSYNC = 0.5  # seconds
_TRIES = 5
_FEW_BYTES, _FEW_FILES = 1 << 30, 1000


def examine(root: str, environ: Mapping[str, str], *, shared: bool) -> list[Finding]:
    """The directory of runs, or the nearest above it that exists; `shared`: other machines are to see it."""
    folder = root
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    mount = _mount(folder)
    found = mounts.findings(folder, mount, shared=shared) if mount else []
    found += room(folder, os.statvfs(folder))
    found += quota.ask(folder, mount, environ) if mount else []
    return [*found, *_tried(folder)]


def room(folder: str, there: os.statvfs_result) -> list[Finding]:
    """How much can still be written, and how many files."""
    free, files = there.f_bavail * there.f_frsize, there.f_favail
    found = [_judged(f"{folder}: {units.size(free)} free", free, _FEW_BYTES)]
    if there.f_files:  # some filesystems make inodes as they are needed
        found.append(_judged(f"{folder}: {files} more files can be made", files, _FEW_FILES))
    return found


def _judged(text: str, left: int, few: int) -> Finding:
    if not left:
        return _found(PROBLEM, text, "make room, or write elsewhere: --root")
    if left < few:
        return _found(NOTE, text, "make room: a save that does not fit is not made, and training goes on without it")
    return _found(OK, text)


def _mount(folder: str) -> mounts.Mount | None:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return mounts.of(os.path.realpath(folder), mounts.parse(file.read()))
    except OSError:  # not Linux
        return None


def _tried(folder: str) -> list[Finding]:
    try:
        with tempfile.TemporaryDirectory(prefix=".ckptrun-doctor-", dir=folder) as place:
            return [_lock(place), _rename(place), _sync(place)]
    except OSError as error:
        text = f"nothing can be written in {folder}: {error.strerror}"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "make room (df -h, df -i, quota)" if full else "mend it (owner, mode)"
        return [_found(PROBLEM, text, f"{todo}, or write elsewhere: --root")]


def _lock(place: str) -> Finding:
    """Two openings of one file are two lockers to flock."""
    path = os.path.join(place, "lock")
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _found(OK, "locks hold on this machine (whether between machines is the server's affair)")
    except OSError as error:
        return _found(NOTE, f"there are no locks: {error.strerror}", "none: heartbeats and attempt numbers guard a run")
    finally:
        os.close(first)
        os.close(second)
    return _found(NOTE, "locks are granted twice", "none: heartbeats and attempt numbers guard a run")


def _rename(place: str) -> Finding:
    """A file takes another's place at once, and a directory with files in it takes another name."""
    for name in ("old", "new"):
        with open(os.path.join(place, name), "w", encoding="ascii") as file:
            file.write(name)
    os.rename(os.path.join(place, "new"), os.path.join(place, "old"))
    os.mkdir(os.path.join(place, "folder"))
    os.rename(os.path.join(place, "old"), os.path.join(place, "folder", "file"))
    os.rename(os.path.join(place, "folder"), os.path.join(place, "folder.renamed"))
    with open(os.path.join(place, "folder.renamed", "file"), encoding="ascii") as file:
        whole = file.read() == "new" and sorted(os.listdir(place)) == ["folder.renamed", "lock"]
    if whole:
        return _found(OK, "what is renamed takes its new place at once")
    return _found(PROBLEM, "renaming leaves the old name or the old contents", "put --root on another filesystem")


def _sync(place: str) -> Finding:
    """Write, sync, rename, sync the directory: what every commit ends with."""
    took = []
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for number in range(_TRIES):
            begun = time.monotonic()
            path = os.path.join(place, f"file-{number}")
            with open(path, "wb") as file:
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
            os.rename(path, path + ".renamed")
            os.fsync(folder)
            took.append(time.monotonic() - begun)
    finally:
        os.close(folder)
    middle = sorted(took)[_TRIES // 2]
    text = f"a small file is durable after {middle * 1000:.1f} ms"
    if middle > _SLOW_FSYNC:
        return _found(NOTE, text, "few large files save faster than many small ones here")
    return _found(OK, text)


def _found(level: str, text: str, todo: str = "") -> Finding:
    return Finding(level=level, about="filesystem", text=text, todo=todo)
