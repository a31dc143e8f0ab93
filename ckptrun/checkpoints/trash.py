"""Where what is deleted waits to be unlinked: a directory on the same filesystem, so that deleting begins with one rename.

Every step goes through directory descriptors and follows no link: what is put in a name's place meanwhile is not what gets deleted.
A checkpoint of several entries cannot be renamed at once: it gets a directory of its own here, and in it first a note of what belongs in
there, so that whoever empties the trash finishes what a killed prune began.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.checkpoints import unlinking
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN = unlinking.OPEN
NOTE = ".moving.json"
_LARGEST_NOTE = 1 << 20  # bytes


class Moving(Noun, frozen=True, kw_only=True):
    """A note: these entries of `directory` (relative to the trash) are one checkpoint that is being moved here."""

    format: int = names.FORMAT
    directory: str
    entries: dict[str, tuple[int, int, int]]  # name → its identity, so that another file of that name is left alone


def open_trash(path: str) -> int:
    """A descriptor of the trash directory; it and its parent are made where they are missing, never through a link.

    Raises:
        OSError: it cannot be made, or a link is in its place.
    """
    base, name = os.path.split(path)
    above, side = os.path.split(base)
    fd = os.open(above or ".", OPEN & ~os.O_NOFOLLOW)
    for each in (side, name):
        below = _opened(each, fd)
        os.close(fd)
        fd = below
    return fd


def _opened(name: str, fd: int) -> int:
    try:
        os.mkdir(name, 0o755, dir_fd=fd)
    except FileExistsError:
        pass
    return os.open(name, OPEN, dir_fd=fd)


def fresh_name(name: str) -> str:
    """A name for the trash that is not there yet; a file's name may have all the bytes that there can be."""
    flat = name.replace(os.sep, "_")  # where a slash in the name of a metric has made a directory
    return f"{os.fsdecode(os.fsencode(flat)[:200])}-{os.urandom(4).hex()}"


def write_note(moving: Moving, trash: int, home: str) -> None:
    """Put the note, durably, into `home`, a directory in the trash.

    Raises:
        OSError: it could not be written; nothing has been moved then.
    """
    fd = os.open(os.path.join(home, NOTE), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=trash)
    try:
        data = memoryview(msgspec.json.encode(moving))
        while data:
            data = data[os.write(fd, data) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    unlinking.sync(home, dir_fd=trash)
    os.fsync(trash)


def empty(path: str) -> list[str]:
    """Finish what was begun and unlink everything in the trash at `path`. What could not be, with the reason.

    Two may do so at once: what is gone already is gone.
    """
    try:
        fd = os.open(path, OPEN)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{names.TRASH} could not be opened: {error.strerror}"]
    try:
        return _emptied(fd)
    finally:
        os.close(fd)


def _emptied(fd: int) -> list[str]:
    left = []
    there = os.listdir(fd)
    try:
        for name in there:
            finish(fd, name)
        os.fsync(fd)  # before anything is unlinked: a rename that a power cut undoes must bring back all of it
    except OSError as error:
        return [f"{names.TRASH} is left as it is: {error.strerror}"]
    for name in there:
        try:
            unlinking.unlink(name, fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            if not unlinking.waits_for_readers(error, name, fd):
                left.append(f"{names.TRASH}/{name} could not be removed: {error.strerror}")
    return left


def finish(trash: int, home: str) -> None:
    """Move into `home` what its note says belongs there and is not there yet.

    Raises:
        OSError: an entry could not be moved.
    """
    moving = _note(trash, home)
    if moving is None:
        return
    try:
        source = os.open(moving.directory, OPEN, dir_fd=trash)
    except OSError:
        return  # the run was moved since, or its directory is gone: nothing is known to be there
    try:
        for name in _still_there(moving, source):
            try:
                os.rename(name, os.path.join(home, name), src_dir_fd=source, dst_dir_fd=trash)
            except FileNotFoundError:
                pass  # somebody else does the same
        os.fsync(source)
    finally:
        os.close(source)


def _still_there(moving: Moving, source: int) -> Iterator[str]:
    for name, seen in moving.entries.items():
        if name and os.sep not in name and name not in (".", "..") and identity(name, source) == tuple(seen):
            yield name


def _note(trash: int, home: str) -> Moving | None:
    """The note in `home`, None where there is none or it is torn: then nothing has been moved."""
    try:
        inside = os.open(home, OPEN, dir_fd=trash)
    except OSError:
        return None
    try:
        fd = os.open(NOTE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except OSError:
        return None
    finally:
        os.close(inside)
    try:
        found = msgspec.json.decode(os.read(fd, _LARGEST_NOTE), type=Moving)
        return found if found.format == names.FORMAT else None
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(fd)


def identity(name: str, dir_fd: int) -> tuple[int, int, int]:
    """Device, inode and time of last change of content: whether a name still means the same. (0, 0, 0) where there is nothing."""
    try:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return 0, 0, 0
    return found.st_dev, found.st_ino, found.st_mtime_ns
