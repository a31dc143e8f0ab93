"""Directories by descriptors: unlinking a tree without following a link, whatever is put in a name's place; making names durable."""

from __future__ import annotations

import errno
import os
import stat

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SILLY = ".nfs"  # what an NFS client makes of a file that is unlinked while open; it goes when the file is closed


def sync(path: str, *, dir_fd: int | None = None) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: it could not be done.
    """
    fd = os.open(path, OPEN, dir_fd=dir_fd)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network filesystems cannot sync a directory: they are synchronous
            raise
    finally:
        os.close(fd)


def unlink(name: str, dir_fd: int) -> None:
    """Remove `name` and all below it.

    Raises:
        OSError: something could not be removed; the rest is.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):  # EPERM: as POSIX has it for a directory
            raise
        if not stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
            raise
    fd = os.open(name, OPEN, dir_fd=dir_fd)
    try:
        worst = _unlink_all(fd)
    finally:
        os.close(fd)
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as error:
        raise worst or error from error


def _unlink_all(fd: int) -> OSError | None:
    """Everything in a directory; the first error."""
    worst = None
    for name in os.listdir(fd):
        try:
            unlink(name, fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            worst = worst or error
    return worst


def waits_for_readers(error: OSError, name: str, dir_fd: int) -> bool:
    """Whether only an NFS client's `.nfs…` files keep a directory from going: they go with whoever has them open."""
    return error.errno in (errno.ENOTEMPTY, errno.EBUSY) and _silly(name, dir_fd)


def _silly(name: str, trash: int) -> bool:
    try:
        fd = os.open(name, OPEN, dir_fd=trash)
    except OSError:
        return False
    try:
        return all(each.startswith(_SILLY) or _silly(each, fd) for each in os.listdir(fd))
    finally:
        os.close(fd)
