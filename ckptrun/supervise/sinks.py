"""Where output is shown. No sink ever stalls the loop: not a paused terminal, not `| less`, not a full disk, not a dead reader.

A reader that makes progress loses nothing (the source waits for it); one that takes nothing for two seconds is left
behind until it reads again, and is told how much it missed. The log has everything.
"""

from __future__ import annotations

import _socket as socket  # the C half; the other half costs two milliseconds of the launch
import errno
import os
import select
import stat
from typing import TYPE_CHECKING

from ckptrun import units

if TYPE_CHECKING:
    from collections.abc import Callable

BACKLOG = 1 << 20
STALLED_AFTER = 2.0
_ATOMIC = 4096  # what a pipe or terminal that polls writable takes without blocking
_GONE = (errno.EPIPE, errno.EIO, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF, errno.ENXIO)


class Sink:
    """One of our own descriptors, written without ever waiting for it."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self.fd, self._write, self.pollable = _open(fd)
        self._own = self.fd != fd
        self._backlog = bytearray()
        self._moved = 0.0  # when the reader last took something
        self.dead = False
        self.stalled = False
        self.missed = 0  # bytes that were left out since the stall began
        self.news: list[str] = []  # what the user should be told
        self._complained = False
        self.fresh_line = True

    @property
    def waiting(self) -> bool:
        """There is something to write as soon as the reader takes it."""
        return bool(self._backlog)

    @property
    def full(self) -> bool:
        """The source should wait."""
        return len(self._backlog) >= BACKLOG and not self.stalled

    def stalls_at(self) -> float | None:
        """When patience with the reader ends."""
        return self._moved + STALLED_AFTER if self._backlog and not self.stalled else None

    def write(self, data: bytes, now: float) -> None:
        """Show `data`, now or when the reader comes to it."""
        if self.dead or not data:
            return
        if self.stalled:
            self.missed += len(data)
            return
        self.fresh_line = data.endswith(b"\n")
        if not self._backlog:
            self._moved = now
            data = data[self._push(data) :]
        if not self.dead:
            self._backlog += data

    def line(self, text: str, now: float) -> None:
        """A line of ckptrun's own, on a line of its own; it waits even for a reader that has stalled."""
        line = ("" if self.fresh_line else "\n") + text + "\n"
        self.fresh_line = True
        if self.dead:
            return
        if not self._backlog:
            self._moved = now
        self._backlog += line.encode("utf-8", "backslashreplace")
        self.flush(now)

    def flush(self, now: float) -> None:
        """Write what can be written now."""
        taken = self._push(self._backlog) if self._backlog else 0
        if taken:
            del self._backlog[:taken]
            self._moved = now
        if self.dead:
            self._backlog.clear()
        if self.stalled and not self._backlog:
            self.stalled = False
            if self.missed and not self.dead:
                self.news.append(
                    f"{units.size(self.missed)} of {self.name} were not shown, as nobody read; they are only in log.txt"
                )
            self.missed = 0

    def ready(self, what: int, now: float) -> None:  # noqa: ARG002  # the shape of what a selector calls
        """The reader takes something."""
        self.flush(now)

    def look(self, now: float) -> None:
        """Notice a reader that takes nothing."""
        at = self.stalls_at()
        if at is not None and at <= now:
            self.flush(now)
            self.stalled = bool(self._backlog) and self._moved + STALLED_AFTER <= now

    def close(self) -> None:
        """Give back what was opened."""
        if self._own:
            os.close(self.fd)

    def _push(self, data: bytes | bytearray) -> int:
        """How many bytes the reader took."""
        taken = 0
        view = memoryview(data)
        try:
            while taken < len(view):
                count = self._write(self.fd, view[taken:])
                if not count:
                    break
                taken += count
        except BlockingIOError:
            pass
        except OSError as error:
            taken = self._failed(error, len(view))
        finally:
            view.release()
        return taken

    def _failed(self, error: OSError, length: int) -> int:
        """A dead reader, or a full disk: what it should have got is dropped, training goes on, the log may still have room."""
        self.dead = error.errno in _GONE
        if not self.dead and not self._complained:
            self._complained = True
            self.news.append(f"cannot write to {self.name}: {error.strerror}; what is missing there is in log.txt")
        return length


def _open(fd: int) -> tuple[int, Callable[[int, memoryview], int], bool]:
    """(descriptor, how to write to it, can it be waited for).

    O_NONBLOCK belongs to the open file, which we share with the shell and others, so it is never set on what we were given:
    terminals and pipes are opened once more.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        twin = socket.socket(fileno=os.dup(fd))
        return twin.detach(), _send, True
    if not (stat.S_ISFIFO(mode) or os.isatty(fd)):
        return fd, os.write, False
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY), os.write, True
    except OSError:  # another user's pipe, after su or sudo
        return fd, _write_if_ready, True


def _send(fd: int, data: memoryview) -> int:
    twin = socket.socket(fileno=fd)
    try:
        return twin.send(data, socket.MSG_DONTWAIT)
    finally:
        twin.detach()


def _write_if_ready(fd: int, data: memoryview) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return os.write(fd, data[:_ATOMIC]) if poll.poll(0) else 0
