"""Which task of an array this start is, and which values a sweep has for it. PURE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import errors
from ckptrun.model import Noun

if TYPE_CHECKING:
    from ckptrun.config import Config
    from ckptrun.model import JobIdentity, Point


class Task(Noun, frozen=True, kw_only=True):
    """One task: its number, "" where there is none, and its values."""

    number: str = ""
    point: Point | None = None


def of(config: Config, job: JobIdentity) -> Task:
    """The task that this start is.

    Raises:
        UsageError: there is a sweep, and this is none of its tasks; or a task was asked for, and there is no sweep.
    """
    if config.sweep is None:
        if config.sweep_task is not None:
            raise errors.UsageError(
                f"{_asked(config)} {config.sweep_task}: there is no sweep",
                "write one under sweep: in ckptrun.yaml, or --sweep",
            )
        return Task(number=job.array_task)
    where, count = config.sources["sweep"], len(config.sweep.points)
    number = job.array_task if config.sweep_task is None else str(config.sweep_task)
    if not number:
        raise errors.UsageError(
            f"there is a sweep of {count} ({where}), and nothing says which of its tasks this is",
            f"`ckptrun submit` starts them all; --sweep-task N (0 to {count - 1}) starts one of them here",
        )
    if not number.isdigit() or int(number) >= count:
        raise errors.UsageError(
            f"task {number} is beyond the sweep of {count} ({where})", f"its tasks have the numbers 0 to {count - 1}"
        )
    return Task(number=number, point=config.sweep.points[int(number)])


def _asked(config: Config) -> str:
    source = config.sources["sweep_task"]
    return source.removeprefix("option ").removeprefix("environment ")
