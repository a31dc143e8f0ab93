"""How far bytes have moved: a bar with rate and time left on a terminal, a line now and then where the output is a file or a pipe."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckptrun import units
from ckptrun.report import working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckptrun.report.paper import Paper

    Tell = Callable[[int], None]

LINE_SECONDS = 30.0  # between two lines where nobody looks at a terminal


@contextmanager
def moving(
    title: str,
    total: int,
    page: Paper,
    say: Callable[[str], None],
    *,
    monotonic: Callable[[], float] = time.monotonic,
    every: float = LINE_SECONDS,
) -> Iterator[Tell]:
    """While the block runs, what it tells of so many more bytes is shown on `page` (stderr) or said in lines. Any thread may tell."""
    shown: _Bar | _Lines = (
        _Bar(title, total, page, monotonic) if page.terminal else _Lines(title, total, say, monotonic, every)
    )
    try:
        yield shown.tell
    finally:
        shown.close()


class _Lines:
    """A plain line every so many seconds."""

    def __init__(
        self, title: str, total: int, say: Callable[[str], None], monotonic: Callable[[], float], every: float
    ) -> None:
        self._title, self._total, self._say, self._monotonic, self._every = title, total, say, monotonic, every
        self._done, self._begun, self._lock = 0, monotonic(), threading.Lock()
        self._due = self._begun + every

    def tell(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = self._monotonic()
            if now < self._due:
                return
            self._due = now + self._every
            self._say(line(self._title, self._done, self._total, now - self._begun))

    def close(self) -> None:
        """Nothing is open."""


def line(title: str, done: int, total: int, seconds: float) -> str:
    """`step-00000120: 1.2 GB of 3.0 GB, 40 MB/s, 45 s left`."""
    rate = done / seconds if seconds > 0 else 0.0
    left = f", {units.duration(max(total - done, 0) / rate)} left" if rate else ""
    return f"{title}: {units.size(done)} of {units.size(total)}, {units.size(rate)}/s{left}"


class _Bar:
    """A bar, once it takes longer than a second."""

    def __init__(self, title: str, total: int, page: Paper, monotonic: Callable[[], float]) -> None:
        self._meter = working.Meter(title, total, page, monotonic)
        self._done, self._lock = 0, threading.Lock()

    def tell(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._meter.show(self._done)

    def close(self) -> None:
        """Take it away."""
        self._meter.stop()
