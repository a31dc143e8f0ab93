"""The other tasks, as the leader sees them: what they say becomes events, what they suffer a request to save and stop."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names
from ckptrun.model import Request, TaskRecord
from ckptrun.policy import group as policy
from ckptrun.runs import group as files
from ckptrun.supervise import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckptrun.runs.group import Order, Report

_AT_A_TIME = 16  # reports that are read in one round: each is a question to a file server
_SLEPT = 30.0  # seconds without a round: it was we who were silent
_GIVEN_UP = 10.0  # seconds after the end was ordered: who says nothing for so long is not waited for


class Task:
    """What the leader knows of another task."""

    def __init__(self, report: Report, now: float) -> None:
        self.report, self.heard = report, now
        self.news = 0  # how much of its news we know
        self.told = False  # its trouble was dealt with

    def record(self, number: int) -> TaskRecord:
        """The task as the record of an attempt keeps it; `number` is that of the order which began the attempt."""
        said = self.report
        task = TaskRecord(rank=said.rank, node=said.node or said.host, why=said.why)
        if said.number != number:
            return task
        return msgspec.structs.replace(task, child_exit=said.child_exit, child_signal=said.child_signal, ended=said.ended)


class Others:
    """All tasks but the leader."""

    def __init__(self, place: files.Files) -> None:
        self._files = place
        self.tasks: dict[int, Task] = {}
        self._looks: Iterator[int] = iter(())
        self._round = 0.0
        self.order = files.Order()  # that they obey
        self.stopping = False  # a stop was asked for: whatever a task does now, it was asked to
        self.ended_at = math.inf  # when all were told to end at once

    def begin(self, order: Order) -> None:
        """They are told to start another attempt."""
        self.order, self.stopping, self.ended_at = order, False, math.inf
        for task in self.tasks.values():
            task.told = False

    def missing(self) -> list[int]:
        """Those who have not been seen yet."""
        for rank in range(1, self._files.group.size):
            if rank not in self.tasks and (report := self._files.hear(rank)) is not None:
                self.tasks[rank] = Task(report, time.monotonic())
        return [rank for rank in range(1, self._files.group.size) if rank not in self.tasks]

    def records(self) -> list[TaskRecord]:
        """How each ended, by rank."""
        return [self.tasks[rank].record(self.order.number) for rank in sorted(self.tasks)]

    def have_left(self) -> bool:
        """Whether all have said their last word."""
        return all(report is None or report.state == files.GONE for report in map(self._files.hear, self.tasks))

    def listen(self, record: Callable[..., None]) -> list[ev.Event]:
        """What the others say: some of them in each round. `record` takes what belongs into the ledger."""
        now = time.monotonic()
        if now - self._round > _SLEPT:
            for task in self.tasks.values():
                task.heard = now
        self._round = now
        found: list[ev.Event] = []
        for rank in self._next_few():
            task = self.tasks[rank]
            report = self._hear(rank)
            if report is not None and report != task.report:
                found += self._heard(task, report, record)
                task.heard = now
            found += self._trouble(task, now)
        return found

    def _hear(self, rank: int) -> Report | None:
        """What cannot be read just now says nothing."""
        try:
            return self._files.hear(rank)
        except errors.CkptrunError:
            return None

    def _next_few(self) -> list[int]:
        few = []
        for rank in self._looks:
            few.append(rank)
            if len(few) == _AT_A_TIME:
                return few
        self._looks = iter(sorted(self.tasks))
        return few or list(_first(self._looks, _AT_A_TIME))

    def _heard(self, task: Task, report: Report, record: Callable[..., None]) -> list[ev.Event]:
        before, task.report = task.report, report
        found: list[ev.Event] = []
        for item in report.news:
            if item.count <= task.news:
                continue
            task.news = item.count
            if item.event in _EVENTS:
                found.append(_EVENTS[item.event](report.rank, item.fields))
            else:
                record(item.event, task=report.rank, node=report.node or report.host, **item.fields)
        if report.step is not None and report.step != before.step:
            found.append(ev.Stepped(-report.rank, report.step, report.total, report.epoch))
        return found

    def _trouble(self, task: Task, now: float) -> list[ev.Event]:
        if self.stopping or task.told:
            return []
        gone = task.report.state == files.GONE
        found = policy.trouble(task.record(self.order.number), silent=now - task.heard, gone=gone)
        if found is None:
            return []
        task.told = True
        rank = task.report.rank
        request = Request(
            id=policy.request_id(rank),
            attempt=self.order.attempt,
            action=names.SAVE_AND_STOP,
            cause=found.cause,
            reason=found.reason,
        )
        return [ev.Asked(request)]

    def running(self) -> int:
        """How many of the others still run the command and are waited for."""
        now = time.monotonic()
        return sum(self._is_waited_for(task, now) for task in self.tasks.values())

    def _is_waited_for(self, task: Task, now: float) -> bool:
        said = task.report
        if said.state == files.GONE or (said.number == self.order.number and said.state == files.ENDED):
            return False
        silent = now - task.heard
        return silent < policy.SILENT_SECONDS and (silent < _GIVEN_UP or now - self.ended_at < _GIVEN_UP)


def _saved(rank: int, fields: dict[str, Any]) -> ev.Saved:
    return ev.Saved(
        -rank, str(fields.get("name", "")), fields.get("step"), fields.get("request", ""), fields.get("seconds", 0.0)
    )


def _late(rank: int, fields: dict[str, Any]) -> ev.Late:
    return ev.Late(-rank, str(fields.get("request", "")), fields.get("step"), str(fields.get("text", "")))


_EVENTS: dict[str, Callable[[int, dict[str, Any]], ev.Event]] = {"checkpoint": _saved, "late": _late}


def _first(looks: Iterator[int], count: int) -> Iterator[int]:
    for _, rank in zip(range(count), looks, strict=False):
        yield rank
