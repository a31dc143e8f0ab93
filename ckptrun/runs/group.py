"""How the tasks of one start on many nodes find each other: small files below control/group, each written by one task only.

    control/group/77.0.2/          one start: job, step, restart
        task-0000.json …           what each task says of itself, heartbeats among it
        order.json                 what the leader (task 0) wants of the others: start attempt 3; save; it is over, with this code

Nothing here proves anything about a run; it is gone with the start. A file is replaced, never removed while it counts: network
filesystems notice a new file behind an old name at the next open, and a new name only when they look at the directory again.
"""

from __future__ import annotations

import os
from typing import Any

from ckptrun import names
from ckptrun.model import Group, Noun, Request
from ckptrun.runs import documents, durable, paths

HERE, RUNNING, ENDED, GONE = "here", "running", "ended", "gone"
_ORDER = "order.json"
_LIMIT = 1 << 20  # bytes


class Order(Noun, frozen=True, kw_only=True):
    """The leader's word; a later one has a higher number, what is asked meanwhile changes within it."""

    format: int = names.FORMAT
    number: int = 0  # of the start of the command; 0 = not yet
    over: bool = False
    code: int = 0  # once it is over: what ckptrun ends with, everywhere
    attempt: int = 0
    attempt_id: str = ""
    given: dict[str, Any] = {}  # what the script is told
    ended: dict[str, str] = {}  # ids of earlier attempts and their control groups: what is left of them is a stray
    request: Request | None = None  # the request in force
    beats: int = 0


class News(Noun, frozen=True, kw_only=True):
    """One thing that happened at a task, for the leader's ledger."""

    count: int  # 1, 2, 3…
    event: str
    fields: dict[str, Any] = {}


class Report(Noun, frozen=True, kw_only=True):
    """What a task says of itself."""

    format: int = names.FORMAT
    rank: int
    state: str = HERE
    node: str = ""
    host: str = ""
    pid: int = 0
    boot_id: str = ""
    number: int = 0  # of the order that it obeys
    beats: int = 0
    step: int | None = None
    total: int | None = None
    epoch: float | int | None = None
    child_exit: int | None = None
    child_signal: int | None = None
    ended: float | None = None  # Unix time by its own clock
    why: str = ""
    news: list[News] = []  # the last few


class Files:
    """The directory of one start, seen by one task."""

    def __init__(self, run: paths.RunPaths, group: Group) -> None:
        self.run, self.group = run, group
        self.dir = os.path.join(run.control, names.GROUP, group.id)
        self._made: list[str] = []

    def make(self) -> None:
        """The directory, and what is above it, where it is missing. Tasks do it at once; each tolerates the others.

        Raises:
            errors.CannotCreate, errors.IoFailure: it cannot be made.
        """
        missing = []
        path = self.dir
        while path and not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for each in reversed(missing):
            private = each.startswith(self.run.control)
            if paths.make_directory(each, durable.PRIVATE_DIRECTORY if private else durable.DIRECTORY):
                self._made.append(each)

    def unmake(self) -> None:
        """Remove our own report and every directory that we made and nobody filled."""
        for path in (self._report(self.group.rank), *reversed(self._made)):
            try:
                os.rmdir(path) if path in self._made else os.unlink(path)
            except OSError:  # not empty, or gone
                pass

    def say(self, report: Report) -> None:
        """Put our own report where the others find it. Not durable: it is worth nothing after a crash.

        Raises:
            errors.IoFailure: it could not be written.
        """
        durable.replace(self._report(report.rank), documents.encode(report), sync=False)

    def hear(self, rank: int) -> Report | None:
        """The report of another task, None if it made none yet.

        Raises:
            errors.IoFailure: it cannot be read, or understood.
        """
        return documents.read(self._report(rank), Report, limit=_LIMIT)

    def order(self, order: Order) -> None:
        """The leader's word, for all.

        Raises:
            errors.IoFailure: it could not be written.
        """
        durable.replace(os.path.join(self.dir, _ORDER), documents.encode(order), sync=False)

    def ordered(self) -> Order | None:
        """The leader's word, None if it has not spoken yet.

        Raises:
            errors.IoFailure: it cannot be read, or understood.
        """
        return documents.read(os.path.join(self.dir, _ORDER), Order, limit=_LIMIT)

    def look_afresh(self) -> None:
        """Have a network filesystem ask its server what is in the directory, instead of remembering for half a minute what was not.

        It does so when it has changed the directory itself.
        """
        path = os.path.join(self.dir, f"{names.TMP_PREFIX}look-{self.group.rank}")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, durable.FILE_MODE))
            os.unlink(path)
        except OSError:  # then it takes longer
            pass

    def sweep(self) -> None:
        """Remove what other starts of this run left here; only for who holds the lease."""
        parent = os.path.dirname(self.dir)
        for name in os.listdir(parent):
            if name != self.group.id:
                _remove(os.path.join(parent, name))

    def remove(self) -> None:
        """It is over, and everybody knows."""
        _remove(self.dir)

    def _report(self, rank: int) -> str:
        return os.path.join(self.dir, f"task-{rank:04d}.json")


def _remove(directory: str) -> None:
    """A flat directory of ours."""
    try:
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
    except OSError:  # somebody still writes there: swept at the next start
        pass


__all__ = ["ENDED", "GONE", "HERE", "RUNNING", "Files", "News", "Order", "Report"]
