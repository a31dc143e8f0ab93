"""A progress bar on stderr for work that takes longer than a second, where somebody is looking."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from ckptrun.report.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.progress import Progress
    from rich.status import Status

    from ckptrun.report.paper import Paper

    T = TypeVar("T")

PATIENCE = 1.0  # seconds before a bar appears


def over(
    items: Sequence[T],
    title: str,
    page: Paper,
    *,
    patience: float = PATIENCE,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[T]:
    """The items, one by one; after `patience` seconds a bar on `page` (stderr) shows how far it is, if it is a terminal."""
    bar: Progress | None = None
    due = monotonic() + patience
    try:
        for done, item in enumerate(items):
            if bar is None and page.terminal and monotonic() >= due:
                bar = _begun(title, len(items), page)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)
            yield item
    finally:
        if bar is not None:
            bar.stop()


class Meter:
    """How many bytes of `total` were read, and how fast."""

    def __init__(self, title: str, total: int, page: Paper, monotonic: Callable[[], float]) -> None:
        self._title, self._total, self._page, self._monotonic = title, total, page, monotonic
        self._due = monotonic() + PATIENCE
        self._bar: Progress | None = None

    def show(self, done: int) -> None:
        """Draw it, if it is time and somebody is looking."""
        if not self._page.terminal or self._monotonic() < self._due:
            return
        if self._bar is None:
            self._bar = _begun_bytes(self._title, self._total, self._page)
        self._bar.update(self._bar.task_ids[0], completed=min(done, self._total))

    def stop(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def metered(title: str, total: int, page: Paper, monotonic: Callable[[], float] = time.monotonic) -> Iterator[Meter]:
    """While the block runs: a bar for bytes on `page` (stderr), with their speed, if it is a terminal and it takes long."""
    meter = Meter(title, total, page, monotonic)
    try:
        yield meter
    finally:
        meter.stop()


@contextmanager
def busy(title: str, page: Paper, *, patience: float = PATIENCE) -> Iterator[None]:
    """While the block runs: after `patience` seconds a moving line on `page` (stderr), if it is a terminal."""
    if not page.terminal:
        yield
        return
    shown: list[Status] = []
    timer = threading.Timer(patience, lambda: shown.append(_turning(title, page)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        for status in shown:
            status.stop()


def _turning(title: str, page: Paper) -> Status:
    from rich.status import Status  # noqa: PLC0415

    status = Status(f"{title} …", console=page.console)
    status.start()
    return status


def _begun(title: str, total: int, page: Paper) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=page.console, transient=True)
    bar.add_task(title, total=total)
    bar.start()
    return bar


def _begun_bytes(title: str, total: int, page: Paper) -> Progress:
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
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=page.console, transient=True)
    bar.add_task(escape(title), total=total)
    bar.start()
    return bar
