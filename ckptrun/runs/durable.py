"""Writing so that it survives a crash, reading so that nothing planted can hurt, and errors as sentences.

A record is written beside its place, fsynced, renamed and its directory fsynced, so that a reader finds the old or the new
one, whole. A failed fsync is never repeated and believed: the new file is thrown away and the old one stays.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from ckptrun import errors, names, units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

FILE_MODE = 0o600  # of all our records: they hold command lines. The umask can only take away from it
PRIVATE_DIRECTORY = 0o700
DIRECTORY = 0o755  # never writable by others, whatever the umask: who can rename in a run's directory can stop the run
LARGEST_RECORD = 16 << 20  # bytes; a larger file in a record's place is not ours
_PASSING = (errno.ESTALE, errno.EIO)
_PAUSES = (0.02, 0.1, 0.4)  # seconds between attempts at a read that failed with one of _PASSING
_FULL = {errno.ENOSPC: "no space left on the disk", errno.EDQUOT: "the disk quota is used up"}
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a FIFO would block the open for ever


def replace(path: str, data: bytes, *, sync: bool = True) -> None:
    """Put `data` at `path` atomically; durably too, unless `sync` is off.

    Raises:
        errors.IoFailure: and `path` is what it was before; the new one already, where only the directory would not sync.
    """
    fd = replace_open(path, data, sync=sync)
    os.close(fd)


def replace_others(path: str, data: bytes, seen: os.stat_result) -> None:
    """`replace` a file that is not ours: it keeps its mode, and whoever changed it since it was `seen` is not overwritten.

    Raises:
        errors.IoFailure: as `replace`; also where it has changed.
    """
    fd = replace_open(path, data, over=seen)
    os.close(fd)


def replace_open(
    path: str, data: bytes, *, sync: bool = True, sync_directory: bool = True, over: os.stat_result | None = None
) -> int:
    """`replace`, and the new file stays open: the descriptor knows its inode even after somebody else replaced the name."""
    temporary = os.path.join(os.path.dirname(path), f"{names.TMP_PREFIX}{os.path.basename(path)}-{os.urandom(6).hex()}")
    fd = -1
    try:
        fd = os.open(temporary, _NEW_FILE, FILE_MODE)
        write_all(fd, data)
        if sync:
            os.fsync(fd)
        if over is not None:
            os.fchmod(fd, stat.S_IMODE(over.st_mode))
            _require_same(path, over)
        os.rename(temporary, path)
        if sync and sync_directory:
            fsync_dir(os.path.dirname(path))
    except OSError as error:
        _discard(fd, temporary)
        raise io_error(error, path) from error
    return fd


def _require_same(path: str, seen: os.stat_result) -> None:
    now = os.lstat(path)
    if (now.st_ino, now.st_dev, now.st_mtime_ns, now.st_size) != (seen.st_ino, seen.st_dev, seen.st_mtime_ns, seen.st_size):
        raise OSError(errno.EAGAIN, "somebody has written it meanwhile")


def write_all(fd: int, data: bytes) -> None:
    """Write every byte: a single write may be short on a full disk."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def fsync_dir(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network filesystems cannot sync a directory: they are synchronous
            raise
    finally:
        os.close(fd)


def read(path: str, *, limit: int = LARGEST_RECORD, dir_fd: int | None = None) -> bytes:
    """The bytes of a regular file that is not a link and not larger than `limit`.

    Raises:
        FileNotFoundError: there is none.
        OSError: EINVAL for anything that is not such a file; else what the system said, after patience with ESTALE and EIO.
    """
    return retry(lambda: _read_once(path, limit, dir_fd))


def retry(fn: Callable[[], T], *, sleep: Callable[[float], None] = time.sleep) -> T:
    """What `fn` returns; where it fails with ESTALE or EIO, as network filesystems do in passing, it is asked again thrice."""
    for pause in _PAUSES:
        try:
            return fn()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
        sleep(pause)
    return fn()


def io_error(error: OSError, path: str, *, creating: bool = False) -> errors.CkptrunError:
    """The same error as a sentence: 73 where a new place could not be made, 74 otherwise; a full disk with its figures."""
    shown = printable(path)
    if error.errno in _FULL:
        return errors.IoFailure(f"{_FULL[error.errno]}: {shown}{_free(path)}", "free some space, or use another --root")
    why = "something else is in its place" if error.errno in (errno.EEXIST, errno.ENOTDIR) else error.strerror or str(error)
    if creating and error.errno not in _PASSING:
        return errors.CannotCreate(
            f"cannot create {shown}: {why}", "check the directory's owner and mode, or use another --root"
        )
    return errors.IoFailure(f"cannot read or write {shown}: {why}")


def printable(text: str) -> str:
    r"""`text` on one line and without terminal escapes: undecodable bytes as \xNN, control characters and the like escaped."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def sweep(directory: str) -> None:
    """Remove what a killed writer left half-written; only for who holds the lease.

    Raises:
        errors.IoFailure: the directory cannot be read.
    """
    try:
        entries = os.listdir(directory)
    except OSError as error:
        raise io_error(error, directory) from error
    for name in entries:
        if name.startswith(names.TMP_PREFIX):
            try:
                os.unlink(os.path.join(directory, name))
            except OSError:
                pass  # a directory, or gone: not ours to judge here


def _read_once(path: str, limit: int, dir_fd: int | None) -> bytes:
    fd = os.open(path, _READ, dir_fd=dir_fd)
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if state.st_size > limit:
            raise OSError(errno.EFBIG, f"{units.size(state.st_size)} where at most {units.size(limit)} are expected")
        return _read_to_end(fd, limit)
    finally:
        os.close(fd)


def _read_to_end(fd: int, limit: int) -> bytes:
    parts = []
    while limit >= 0 and (part := os.read(fd, min(limit + 1, 1 << 20))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _discard(fd: int, temporary: str) -> None:
    try:
        if fd >= 0:
            os.close(fd)
            os.unlink(temporary)
    except OSError:
        pass  # the first error is the one to tell; the leftover is swept at the next start


def _free(path: str) -> str:
    while path and not os.path.isdir(path):
        path = os.path.dirname(path)
    try:
        seen = os.statvfs(path or ".")
    except OSError:
        return ""
    free, total = (units.size(blocks * seen.f_frsize) for blocks in (seen.f_bavail, seen.f_blocks))
    return f" ({free} of {total} free, {seen.f_favail} of {seen.f_files} inodes)"


def read_proc(path: str) -> bytes:
    """A file of /proc, or of anywhere that says nothing about its size, in one gulp of at most 64 kB."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)
