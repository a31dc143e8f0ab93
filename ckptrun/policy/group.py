"""Many tasks, one attempt: when is a task in trouble, whose failure is it, how did all of it end. PURE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ckptrun import names, units
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import Ended, TaskRecord

SILENT_SECONDS = 60.0  # without a new heartbeat, by the leader's own clock, a task is lost; it beats every five


class Trouble(Noun, frozen=True, kw_only=True):
    """Why the attempt cannot go on as it is: the outcome that this makes, and a sentence."""

    cause: str
    reason: str


def who(task: TaskRecord) -> str:
    """`task 2 on n3`."""
    return f"task {task.rank}{f' on {task.node}' if task.node else ''}"


def failed(task: TaskRecord) -> bool:
    """Its command ended, and not well. One that ended with 0 while others work on has done its share."""
    return task.child_signal is not None or task.child_exit not in (None, 0)


def trouble(task: TaskRecord, *, silent: float, gone: bool) -> Trouble | None:
    """What is wrong with a task of which nobody had asked anything.

    Args:
        task: as it is known.
        silent: seconds since its last heartbeat, by our clock.
        gone: it said that its ckptrun ends.
    """
    if failed(task):
        cause = names.KILLED if task.child_signal is not None else names.FAILED
        return Trouble(cause=cause, reason=f"{who(task)} ended with {how(task)}")
    if gone and task.child_exit is None:
        return Trouble(cause=names.FAILED, reason=f"{who(task)} is gone: {task.why or 'its ckptrun has ended'}")
    if silent > SILENT_SECONDS and task.child_exit is None:
        return Trouble(cause=names.KILLED, reason=f"{who(task)} was not heard of for {units.duration(silent)}")
    return None


def how(task: TaskRecord) -> str:
    """`exit 3`, `signal 9`."""
    return f"signal {task.child_signal}" if task.child_signal is not None else f"exit {task.child_exit}"


def culprit(tasks: Sequence[TaskRecord]) -> TaskRecord | None:
    """The task that failed first, by the tasks' own clocks: the others fail because of it, a moment later."""
    failures = [task for task in tasks if failed(task)]
    return min(failures, key=lambda task: (task.ended is None, task.ended or 0.0, task.rank)) if failures else None


def account(ended: Ended, tasks: Sequence[TaskRecord]) -> tuple[Ended, TaskRecord | None]:
    """How an attempt of several tasks ended, told as if it were one, and the task whose failure it is, if it is one's.

    What was asked from outside before a task failed decides the outcome, whatever the tasks' codes. Otherwise it ended as the first
    that failed did.
    """
    first = culprit(tasks)
    asked = [request for request in ended.requests if not from_task(request.id)]
    if first is None or asked:
        return ended, None
    told = replace(ended, child_exit=first.child_exit, child_signal=first.child_signal, requests=[])
    return told, first


def request_id(rank: int) -> str:
    """The id of the request that a task's trouble makes."""
    return f"task-{rank}"


def from_task(request_id: str) -> bool:
    """Whether a request was made by a task's trouble."""
    return request_id.startswith("task-")
