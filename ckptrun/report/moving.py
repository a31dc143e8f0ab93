"""How far bytes have moved: a bar with rate and time left on a terminal, a line now and then where the output is a file or a pipe."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ckptrun import units
from ckptrun.report.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    from ckptrun.report.paper import Paper

    Tell = Callable[[int], None]

PATIENCE = 1.0  # seconds before a bar appears
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
    """`step-00000120: 1.2 GiB of 3.0 GiB, 40 MiB/s, 45 s left`."""
    rate = done / seconds if seconds > 0 else 0.0
    left = f", {units.duration(max(total - done, 0) / rate)} left" if rate else ""
    return f"{title}: {units.size(done)} of {units.size(total)}, {units.size(rate)}/s{left}"


class _Bar:
    """A bar of rich's, once it takes longer than a second."""

    def __init__(self, title: str, total: int, page: Paper, monotonic: Callable[[], float]) -> None:
        self._title, self._total, self._page, self._monotonic = title, total, page, monotonic
        self._done, self._due, self._lock = 0, monotonic() + PATIENCE, threading.Lock()
        self._bar: Progress | None = None

    def tell(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._bar is None and self._monotonic() >= self._due:
                self._bar = self._begun()
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self._done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _begun(self) -> Progress:
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=self._page.console, transient=True)
        bar.add_task(escape(self._title), total=self._total)
        bar.start()
        return bar
