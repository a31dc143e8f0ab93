"""Many files read side by side, by threads: hashing, checksums and reading let go of the interpreter's lock."""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import TypeVar

    Task = TypeVar("Task")
    Found = TypeVar("Found")
    Tell = Callable[[int], None]

MOST_JOBS = 8  # one disk or server is busy with fewer
_TICK = 0.2  # seconds between two looks at how far it is
_AHEAD = 64  # tasks for each thread that wait in its queue


class Reader:
    """Counts what was read, and can be stopped in the middle of a file."""

    def __init__(self, jobs: int = 0, show: Callable[[int], None] = lambda _: None) -> None:
        self.jobs = jobs or default_jobs()
        self.read = 0  # bytes
        self._show = show
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def over(self, tasks: Sequence[Task], act: Callable[[Task, Tell], Found]) -> Iterator[tuple[int, Found]]:
        """What `act` returns for each task, with the task's number, in the order in which they are done."""
        pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="reader")
        waiting: dict[Future[Found], int] = {}
        try:
            for number, task in enumerate(tasks):
                waiting[pool.submit(act, task, self._tell)] = number
                while len(waiting) >= self.jobs * _AHEAD:
                    yield from self._done(waiting)
            while waiting:
                yield from self._done(waiting)
        finally:
            self._stop.set()  # whoever is still reading stops at the next block: after Ctrl-C nobody waits for a terabyte
            pool.shutdown(cancel_futures=True)

    def _done(self, waiting: dict[Future[Found], int]) -> Iterator[tuple[int, Found]]:
        done, _ = wait(waiting, timeout=_TICK, return_when=FIRST_COMPLETED)
        self._show(self.read)
        for future in done:
            yield waiting.pop(future), future.result()

    def _tell(self, count: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        with self._lock:
            self.read += count


class _Stopped(Exception):
    """Nobody waits for the result any more."""


def default_jobs() -> int:
    """A thread for each core that we may use, at most eight."""
    return max(1, min(len(os.sched_getaffinity(0)), MOST_JOBS))
