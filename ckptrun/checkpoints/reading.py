"""Reading with suspicion (anything may lie where a file should) and with patience (network filesystems fail in passing)."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

from ckptrun import names, units

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a FIFO would block the open for ever
_GONE = (errno.ENOENT, errno.ENOTDIR)
_PAUSES = (0.05, 0.2, 0.5)  # seconds


class Broken(Exception):  # a finding, not an error
    """Something is not whole, or cannot be read; `state` is one of names.PARTIAL, CORRUPT, UNKNOWN, `reason` says why."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


class Patience:
    """Asks again after a read error, as long as there are pauses left: one scan over a dead disk must not take hours."""

    def __init__(self, pauses: tuple[float, ...] = _PAUSES, sleep: Callable[[float], None] = time.sleep) -> None:
        self._pauses = list(pauses)
        self._sleep = sleep

    def read(self, look: Callable[[], T], name: str) -> T:
        """What `look` returns.

        Raises:
            Broken: PARTIAL where there is nothing, UNKNOWN where it cannot be read after all pauses, what `look` found otherwise.
        """
        while True:
            try:
                return look()
            except OSError as error:
                if error.errno in _GONE:
                    raise Broken(names.PARTIAL, f"{name} is missing") from error
                if error.errno in (errno.ELOOP, errno.ENXIO):
                    raise Broken(names.CORRUPT, f"{name} is not a file of its own") from error
                try:
                    pause = self._pauses.pop(0)
                except IndexError:
                    raise Broken(names.UNKNOWN, f"{name} cannot be read: {error.strerror or error}") from error
                self._sleep(pause)


def small(path: str, limit: int) -> bytes:
    """All bytes of a regular file of at most `limit` bytes; links are not followed.

    Raises:
        Broken: it is something else, or larger.
        OSError: it cannot be read.
    """
    fd = os.open(path, OPEN)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise Broken(names.CORRUPT, f"{os.path.basename(path)} is not a regular file")
        if found.st_size > limit:
            much = f"{units.size(found.st_size)}, more than the {units.size(limit)} that are expected"
            raise Broken(names.CORRUPT, f"{os.path.basename(path)} has {much}")
        data = os.read(fd, found.st_size + 1)
        while len(data) < found.st_size and (more := os.read(fd, found.st_size - len(data))):
            data += more
        return data
    finally:
        os.close(fd)
