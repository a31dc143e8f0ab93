"""`python -m ckptrun.backup.aside`: one whole version of a file that a script rewrites in place, copied aside, for the next kill.

Started beside a training whenever there is a new version; see session/copies.py. Killed anywhere, a version is there whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.backup import copying
from ckptrun.checkpoints import kinds, using
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun
from ckptrun.policy import copies as policy
from ckptrun.runs import durable, holder, paths

if TYPE_CHECKING:
    from ckptrun.runs.paths import RunPaths

EARLIER = 1000  # nanoseconds by which a copy is older than what it is a copy of, so that an equal original is the newer one


class Job(Noun, frozen=True, kw_only=True):
    """What is to be done; handed over as JSON."""

    run: str  # its directory
    attempt: int
    attempt_id: str
    source: str  # the file, relative to the run
    keep: int


class Said(Noun, frozen=True, kw_only=True):
    """What came of it: the copy, relative to the run, or why there is none now."""

    copy: str = ""
    why: str = ""
    again: bool = False  # it may be different in a moment


class Of(Noun, frozen=True, kw_only=True):
    """Beside a copy: whose it is, relative to the run."""

    format: int = names.FORMAT
    of: str


def set_aside(job: Job) -> Said:
    """Copy the file as it is now, if it is whole, and remove what is older than the copies that are kept.

    Raises:
        OSError: it cannot be written.
    """
    run = paths.RunPaths(dir=job.run)
    source = os.path.join(job.run, job.source)
    if who := using.writer([source]):
        return Said(why=f"open for writing by {who}", again=True)
    home = os.path.join(run.attempt(job.attempt).dir, names.COPIES)
    os.makedirs(home, exist_ok=True)
    _sweep(run, job.attempt)
    said = _copied(source, home, job)
    if said.copy and _is_ours(run, job):
        _remove_older(run, job.keep)
    return said


def _copied(source: str, home: str, job: Job) -> Said:
    fd = copying.open_source(source)
    new = os.path.join(home, f"{names.TMP_PREFIX}{os.urandom(6).hex()}")
    try:
        before = os.fstat(fd)
        os.mkdir(new)
        path = os.path.join(new, os.path.basename(source))
        if why := _fill(fd, path, before, home):
            shutil.rmtree(new)
            return Said(why=why)
        now = os.stat(source)
        if _identity(now) != _identity(before) or using.writer([source]):
            shutil.rmtree(new)
            return Said(why="it was written to meanwhile", again=True)
        try:
            kinds.check(path, deep=False)
        except Broken as broken:
            shutil.rmtree(new)
            return Said(why=broken.reason, again=True)
        durable.replace(os.path.join(new, names.COPY_OF), msgspec.json.encode(Of(of=job.source)))
        number = max([0, *(int(name) for name in os.listdir(home) if name.isdigit())]) + 1
        final = os.path.join(home, f"{number:04d}")
        os.rename(new, final)
        durable.fsync_dir(home)
        return Said(copy=os.path.relpath(os.path.join(final, os.path.basename(source)), job.run))
    finally:
        os.close(fd)


def _fill(source: int, path: str, state: os.stat_result, home: str) -> str:
    """Give the new file what the other holds; why not, where there is no room for that."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if not copying.share(source, fd):
            disk = os.statvfs(home)
            if why := policy.no_room(disk.f_bavail * disk.f_frsize, state.st_size):
                return why
            copying.copy(source, fd, lambda _: None)
        os.fchmod(fd, state.st_mode & 0o777)
        os.utime(fd, ns=(state.st_atime_ns, state.st_mtime_ns - EARLIER))
        os.fsync(fd)
    finally:
        os.close(fd)
    return ""


def _identity(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _sweep(run: RunPaths, attempt: int) -> None:
    """What a killed one left, of earlier attempts too."""
    for home in (home for number, home in _homes(run).items() if number <= attempt):
        for name in os.listdir(home):
            if name.startswith(names.TMP_PREFIX):
                shutil.rmtree(os.path.join(home, name), ignore_errors=True)


def _homes(run: RunPaths) -> dict[int, str]:
    """Where the copies of each attempt are that has any."""
    homes = {number: os.path.join(run.attempt(number).dir, names.COPIES) for number in paths.attempts(run)}
    return {number: home for number, home in homes.items() if os.path.isdir(home)}


def _is_ours(run: RunPaths, job: Job) -> bool:
    """Whether the run is still this attempt's: nobody else may remove anything."""
    held = holder.read_holder(run)
    return held is not None and held.attempt_id == job.attempt_id and held.state == holder.HELD


def _remove_older(run: RunPaths, keep: int) -> None:
    """Of all attempts' copies, those that came before the ones that are kept: renamed first, so that none is half there."""
    homes = _homes(run)
    found = [(number, int(name), homes[number]) for number in homes for name in os.listdir(homes[number]) if name.isdigit()]
    for _, number, home in sorted(found)[:-keep]:
        gone = os.path.join(home, f"{names.TMP_PREFIX}gone-{os.urandom(4).hex()}")
        os.rename(os.path.join(home, f"{number:04d}"), gone)
        shutil.rmtree(gone)


def of(path: str) -> str:
    """Whose copy the file at `path` is, relative to the run; "" if that is not known."""
    try:
        data = durable.read(os.path.join(os.path.dirname(path), names.COPY_OF), limit=1 << 16)
        return msgspec.json.decode(data, type=Of).of
    except (OSError, msgspec.MsgspecError):
        return ""


def main(text: str) -> int:
    """Do what the JSON says; say what came of it."""
    said = set_aside(msgspec.json.decode(text, type=Job))
    os.write(1, msgspec.json.encode(said) + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
