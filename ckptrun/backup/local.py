# ruff: noqa: D102  # each method does what places.Place says
"""Backups in a directory."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.backup import copying, record
from ckptrun.backup.places import OURS
from ckptrun.checkpoints.reading import Broken
from ckptrun.runs import durable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckptrun.backup.copying import Tell
    from ckptrun.backup.record import Part, Record
    from ckptrun.backup.unit import Unit


class LocalPlace:
    """A directory; see `places.Place`."""

    remote = False

    def __init__(self, base: str) -> None:
        self.base = base
        self.shown = base
        self._made: set[str] = set()  # directories
        self._shares: bool | None = (
            None  # whether files can share their blocks with those of the source; None: not tried yet
        )

    def homes(self) -> list[str]:
        try:
            with os.scandir(self.base) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []

    def read(self, home: str, name: str) -> bytes | None:
        try:
            return durable.read(self._path(home, name), limit=record.LARGEST)
        except FileNotFoundError:
            return None

    def write(self, home: str, name: str, data: bytes) -> None:
        make_durably(self._path(home))
        fd = durable.replace_open(self._path(home, name), data)
        try:  # as readable as the directory is: somebody else may have to restore it
            os.fchmod(fd, 0o600 | (os.stat(self._path(home)).st_mode & 0o044))
        finally:
            os.close(fd)

    def remove(self, home: str, name: str) -> None:
        try:
            os.unlink(self._path(home, name))
        except FileNotFoundError:
            pass

    def sizes(self, home: str) -> dict[str, int]:
        return {path: state.st_size for path, state in self._below(self._path(home), "")}

    def put(self, unit: Unit, part: Part, home: str, tell: Tell, *, link: bool) -> str:
        source, target = unit.path(part), self._path(home, part.path)
        folder = os.path.dirname(target)
        if folder not in self._made:
            make(folder, self._path(home))
            self._made.add(folder)
        link = link and part.path not in unit.followed
        if link and self._shares is False and copying.link(source, target):
            tell(part.size)
            return copying.LINK
        fd = copying.open_source(source)
        try:
            if self._shares is not False and self._shared(fd, part, target):
                tell(part.size)
                return copying.REFLINK
            self._shares = False
            if link and copying.link(source, target):
                tell(part.size)
                return copying.LINK
            self._copied(unit, fd, part, target, tell)
            return copying.COPY
        finally:
            os.close(fd)

    def finish(self, home: str, record: Record) -> None:
        for path in record.empty:
            os.makedirs(self._path(home, path), exist_ok=True)
        for path, target in record.links.items():
            make(os.path.dirname(self._path(home, path)), self._path(home))
            make_link(self._path(home, path), target)
        for directory, _, files in os.walk(self._path(home)):
            for name in files:
                if name.startswith(names.TMP_PREFIX):  # of a backup that was killed
                    os.unlink(os.path.join(directory, name))
            durable.fsync_dir(directory)

    def fetch(self, home: str, part: Part, fd: int, tell: Tell) -> None:
        source = copying.open_source(self._path(home, part.path))
        try:
            os.ftruncate(fd, 0)
            if copying.share(source, fd):
                tell(part.size)
            else:
                copying.copy(source, fd, tell)
        finally:
            os.close(source)

    def digest(self, home: str, part: Part, tell: Tell) -> str:
        return copying.digest_of(self._path(home, part.path), tell)

    @contextmanager
    def alone(self, home: str) -> Iterator[None]:
        """While the block runs nobody else on a filesystem that can lock makes this backup; they wait for it."""
        make_durably(self._path(home))
        fd = os.open(self._path(home), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError:
                pass  # not this filesystem: two at once would get in each other's way, and fail
            yield
        finally:
            os.close(fd)

    def clear(self, home: str) -> None:
        for path, _ in self._below(self._path(home), ""):
            os.unlink(self._path(home, path))

    def close(self) -> None:
        """Nothing is open."""

    def _path(self, home: str, name: str = "") -> str:
        return "/".join(word for word in (self.base, home, name) if word)

    def _shared(self, source: int, part: Part, target: str) -> bool:
        """Whether the new file can have the blocks of the old one; then it is there."""
        with _new(target, part) as fd:
            return copying.share(source, fd)

    def _copied(self, unit: Unit, source: int, part: Part, target: str, tell: Tell) -> None:
        """A copy, byte by byte, that was read again.

        Raises:
            Broken: it is not what was to be copied.
        """
        with _new(target, part) as fd:
            copying.copy(source, fd, tell)
            found = copying.digest(fd)
            if found != part.xxh3_128:
                unit.require_unchanged([part])
                raise Broken(names.CORRUPT, f"{part.path} has checksum {found}, and was saved with {part.xxh3_128}")

    def _below(self, directory: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(directory) as entries:
                found = list(entries)
        except FileNotFoundError:
            return
        for entry in found:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(entry.path, f"{path}/")
            elif entry.is_file(follow_symlinks=False) and path not in OURS:
                yield path, entry.stat(follow_symlinks=False)


def make(directory: str, root: str) -> None:
    """A directory below `root` and those above it; never through a link."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(directory).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "something else is in the place of a directory", directory) from None
    except FileNotFoundError:
        if directory == root:
            make_durably(directory)
        else:
            make(os.path.dirname(directory), root)
            make(directory, root)


def make_durably(directory: str) -> None:
    """A directory and those above it, each name durable."""
    if os.path.isdir(directory):
        return
    make_durably(os.path.dirname(directory))
    try:
        os.mkdir(directory)
    except FileExistsError:
        return
    durable.fsync_dir(os.path.dirname(directory))


def make_link(path: str, target: str) -> None:
    """A symbolic link, in the place of an earlier one."""
    try:
        os.symlink(target, path)
    except FileExistsError:
        if os.readlink(path) != target:
            raise


def copy_file(source: str, target: str) -> None:
    """A durable copy of one file, or none."""
    fd = copying.open_source(source)
    try:
        state = os.fstat(fd)
        part = record.Part(path="", size=state.st_size, modified=state.st_mtime_ns, mode=stat.S_IMODE(state.st_mode))
        with _new(target, part) as new:
            if not copying.share(fd, new):
                copying.copy(fd, new, lambda _: None)
        durable.fsync_dir(os.path.dirname(target))
    finally:
        os.close(fd)


@contextmanager
def _new(target: str, part: Part) -> Iterator[int]:
    """A new file, open, that becomes `target`, durably, if the block fills it (it is empty after a refusal) and ends well."""
    fd, temporary = copying.new_beside(target)
    try:
        yield fd
        if part.size and not os.fstat(fd).st_size:
            os.unlink(temporary)
            return
        os.fchmod(fd, part.mode)
        os.utime(fd, ns=(part.modified, part.modified))
        os.fsync(fd)
        os.rename(temporary, target)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass  # the first error is the one to tell; the next backup takes it away
        raise
    finally:
        os.close(fd)
