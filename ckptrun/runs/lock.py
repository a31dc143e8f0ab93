"""The kernel's lock on `lease.lock`: an empty file that is never replaced, so that all who lock it lock the same inode."""

from __future__ import annotations

import errno
import os
import stat

from ckptrun import errors
from ckptrun.runs import durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from filelock import BaseFileLock

HELD = "held"
REFUSED = "refused"  # somebody else holds it
MISSING = "missing"  # the filesystem has no flock: heartbeat and attempt number decide alone
_NO_FLOCK = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


class Lock:
    """One process's hold on a lock file; the kernel drops it when the process ends, however it ends."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock: BaseFileLock | None = None

    def acquire(self) -> str:
        """Try once, without waiting: HELD, REFUSED or MISSING.

        Raises:
            errors.CannotCreate: the lock file cannot be made or opened.
            errors.IoFailure: the disk is full, or the filesystem fails.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415  # 25 ms: only who starts a run pays

        try:
            _make(self.path)
            lock = FileLock(self.path, timeout=0, blocking=False, thread_local=False, fallback_to_soft=False)
            lock.acquire()
        except Timeout:
            return REFUSED
        except OSError as error:
            if error.errno in _NO_FLOCK:
                return MISSING
            raise durable.io_error(error, self.path, creating=True) from error
        self._lock = lock
        return HELD

    def release(self) -> None:
        """Let go; the file stays where it is.

        Raises:
            errors.IoFailure: the kernel would not; it will, when this process ends.
        """
        held, self._lock = self._lock, None
        if held is None:
            return
        try:
            held.release(force=True)
        except OSError as error:
            raise durable.io_error(error, self.path) from error


def _make(path: str) -> None:
    """An empty file, ours alone: whoever can open a file can lock it, and so keep us out."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, durable.FILE_MODE))
    except FileExistsError:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise errors.CannotCreate(
                f"{durable.printable(path)} is not a regular file", "move it away: ckptrun makes an empty file there"
            ) from None
