"""One file to another place of this machine: by sharing its blocks, by another name for it, or byte by byte; and what it holds."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

from ckptrun import names

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[int], None]

REFLINK, LINK, COPY = "reflink", "link", "copy"
_FICLONE = 0x40049409  # ioctl(2): share all blocks of another file of this filesystem
_CHUNK = 64 << 20  # bytes in one call: often enough to be told how far it is
_BLOCK = 1 << 20  # bytes
_NOT_SO = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EPERM, errno.ETXTBSY)
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES)


def link(source: str, target: str) -> bool:
    """Another name for the file at `source`, in the place of whatever is at `target`; False where that is not possible. It is no link."""
    for _ in range(2):
        try:
            os.link(source, target)
            return True
        except FileExistsError:
            if os.path.samefile(source, target):
                return True
            os.unlink(target)
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise
    return False


def share(source: int, target: int) -> bool:
    """Give one open, new file the blocks of another (a reflink); False where the filesystem cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return True
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        return False


def copy(source: int, target: int, tell: Tell) -> None:
    """All bytes of one open file into another, empty one."""
    _through_memory(source, target, _in_the_kernel(source, target, tell), tell)


def _in_the_kernel(source: int, target: int, tell: Tell) -> int:
    """How much of it the kernel copied by itself: all, or what came before a filesystem that cannot."""
    done = 0
    try:
        while count := os.copy_file_range(source, target, _CHUNK, done, done):
            done += count
            tell(count)
    except OSError as error:
        if error.errno not in _NOT_SO:
            raise
    return done


def _through_memory(source: int, target: int, done: int, tell: Tell) -> None:
    while block := os.pread(source, _BLOCK, done):
        view = memoryview(block)
        while view:
            count = os.pwrite(target, view, done)
            view, done = view[count:], done + count
        tell(len(block))


def digest(fd: int, tell: Tell = lambda _: None, size: int = -1) -> str:
    """XXH3-128 of an open file, or of its first `size` bytes, in hex."""
    import xxhash  # noqa: PLC0415  # where bytes are read, not where a backup is only looked at

    found = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_BLOCK))
    at = 0
    while size != at and (count := os.preadv(fd, [buffer if size < 0 else buffer[: size - at]], at)):
        found.update(buffer[:count])
        at += count
        tell(count)
    return found.hexdigest()


def digest_of(path: str, tell: Tell = lambda _: None, size: int = -1) -> str:
    """XXH3-128 of the file at `path`, or of its first `size` bytes, in hex."""
    fd = open_source(path)
    try:
        return digest(fd, tell, size)
    finally:
        os.close(fd)


def open_source(path: str) -> int:
    """A file to read; a FIFO in its place does not block."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def new_beside(path: str) -> tuple[int, str]:
    """A new file, open for writing, beside `path`; and its name."""
    temporary = os.path.join(os.path.dirname(path), f"{names.TMP_PREFIX}{os.urandom(6).hex()}")
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), temporary
