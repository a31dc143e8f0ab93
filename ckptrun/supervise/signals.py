"""Signals that ckptrun gets: handlers only enqueue, one loop acts."""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

CAUGHT = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGCONT,
    signal.SIGWINCH,
)
STAY_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)  # nohup, and background jobs of a shell without job control
TERMINAL = (signal.SIGTTIN, signal.SIGTTOU)  # in the background a terminal must not stop us: we look before we touch it


class Intake:
    """Catches signals from `with` on; nothing is lost between now and the loop.

    Signals that were ignored at entry (`ignored`: nohup's HUP, a background job's INT) stay ignored.
    """

    def __init__(self) -> None:
        self.pending: deque[int] = deque()
        self.ignored: frozenset[int] = frozenset()
        self._before: dict[int, object] = {}
        self._mask: set[int] = set()
        self._old_wakeup = -1
        self._read = self._write = -1

    def __enter__(self) -> Intake:  # noqa: PYI034  # Self came with 3.11
        hold_standard_descriptors()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self.ignored = frozenset(n for n in STAY_IGNORED if signal.getsignal(n) == signal.SIG_IGN)
        for number in CAUGHT:
            if number not in self.ignored:
                self._before[number] = signal.signal(number, self._enqueue)
        for number in TERMINAL:
            self._before[number] = signal.signal(number, signal.SIG_IGN)
        # An ignored SIGCHLD, inherited, would reap our children behind our back.
        on_child = signal.SIG_DFL if hasattr(os, "pidfd_open") else self._wake
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, on_child)
        self._mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Readable when a signal has come; `take` empties it."""
        return self._read

    def take(self) -> list[int]:
        """The signals that came since the last call, oldest first."""
        self._empty()
        taken = []
        while self.pending:
            taken.append(self.pending.popleft())
        return taken

    def wait(self, timeout: float) -> bool:
        """Sleep until a signal comes or `timeout` seconds are over; True when one is pending."""
        until = time.monotonic() + timeout
        while not self.pending and (left := until - time.monotonic()) > 0:
            self._empty()
            if not self.pending:
                select.select([self._read], [], [], left)
        return bool(self.pending)

    def _empty(self) -> None:
        try:
            while os.read(self._read, 512):
                pass
        except BlockingIOError:
            pass

    def _enqueue(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the shape of a handler
        self.pending.append(number)

    def _wake(self, number: int, frame: FrameType | None) -> None:
        """A handler must exist for the wake-up byte to be written."""


def hold_standard_descriptors() -> None:
    """Open /dev/null where 0, 1 or 2 are closed, so that no file of ours lands there."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:  # three times
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
