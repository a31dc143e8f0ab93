"""This machine: does the filesystem keep what ckptrun relies on, which Python is it. Writes and removes a few small files."""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time

from ckptrun import units
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding

_SLOW_FSYNC = 0.5  # seconds
_TRIES = 5


def findings(root: str) -> list[Finding]:
    """The directory of runs (or the nearest above it that exists), and the interpreter."""
    folder = root
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    version = ".".join(map(str, sys.version_info[:3]))
    return [Finding(level=OK, about="machine", text=f"Python {version} ({sys.executable})"), *_filesystem(folder)]


def _filesystem(folder: str) -> list[Finding]:
    try:
        with tempfile.TemporaryDirectory(prefix=".ckptrun-doctor-", dir=folder) as place:
            return [_space(folder), _lock(place), _sync(place)]
    except OSError as error:
        text = f"nothing can be written in {folder}: {error.strerror}"
        return [
            Finding(
                level=PROBLEM, about="filesystem", text=text, todo="write elsewhere (--root), or mend it: owner, mode, quota"
            )
        ]


def _space(folder: str) -> Finding:
    there = os.statvfs(folder)
    free = there.f_bavail * there.f_frsize
    return Finding(level=OK, about="filesystem", text=f"{folder}: {units.size(free)} free")


def _lock(place: str) -> Finding:
    """Two openings of one file are two lockers to flock."""
    path = os.path.join(place, "lock")
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Finding(
            level=OK, about="filesystem", text="locks hold on this machine (whether between machines is the server's affair)"
        )
    except OSError as error:
        return Finding(
            level=NOTE,
            about="filesystem",
            text=f"there are no locks: {error.strerror}",
            todo="none: heartbeats and attempt numbers guard a run",
        )
    finally:
        os.close(first)
        os.close(second)
    return Finding(
        level=NOTE,
        about="filesystem",
        text="locks are granted twice",
        todo="none: heartbeats and attempt numbers guard a run",
    )


def _sync(place: str) -> Finding:
    """Write, sync, rename, sync the directory: what every commit ends with."""
    took = []
    for number in range(_TRIES):
        begun = time.monotonic()
        path = os.path.join(place, f"file-{number}")
        with open(path, "wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path, path + ".renamed")
        took.append(time.monotonic() - begun)
    middle = sorted(took)[_TRIES // 2]
    text = f"a small file is durable after {middle * 1000:.1f} ms"
    if middle > _SLOW_FSYNC:
        return Finding(
            level=NOTE, about="filesystem", text=text, todo="few large files save faster than many small ones here"
        )
    return Finding(level=OK, about="filesystem", text=text)
