"""Asking a running attempt for something and hearing what came of it: what `save` and `stop` share."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from ckptrun import names, units
from ckptrun.cli import desk
from ckptrun.model import Request
from ckptrun.report import overview, working
from ckptrun.runs import control, holder, records

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ckptrun.model import Holder
    from ckptrun.runs.control import Answer
    from ckptrun.runs.paths import RunPaths

    Function = TypeVar("Function", bound=Callable[..., Any])

_SPARE_SECONDS = 30.0  # beyond the run's grace
_GONE_EVERY = 1.0  # seconds between two looks at whether anybody is left to answer


class Duration(click.ParamType[float]):
    """`90s`, `10m`, `1h30m` in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, or click's complaint."""
        if isinstance(value, float):
            return value
        try:
            return units.parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def wait_options(function: Function) -> Function:
    """`--timeout TIME` and `--no-wait` as the arguments `timeout` and `no_wait`."""
    timeout = click.option(
        "--timeout",
        type=Duration(),
        metavar="TIME",
        help="How long to wait for the answer.  [default: the run's grace + 30s]",
    )
    return timeout(click.option("--no-wait", is_flag=True, help="Ask, and do not wait for the answer.")(function))


def who_runs(run: RunPaths) -> Holder | None:
    """Who runs it, or may: of a holder on a machine we cannot look into, only its silence is known."""
    found = holder.read_holder(run)
    return found if found is not None and overview.held(run, desk.me()) else None


def ask(run: RunPaths, to: Holder, action: str, *, what: str, cause: str = "") -> Request:
    """Post the request."""
    by = desk.who()
    request = Request(
        id=f"{os.urandom(6).hex()}",
        attempt=to.attempt,
        action=action,
        reason=f"{what} by {by}",
        cause=cause,
        created=desk.now(),
        by=by,
    )
    control.post(run, request)
    holder.nudge(run, to, desk.me())
    return request


def answer(run: RunPaths, request: Request, timeout: float) -> Answer | None:
    """The answer; None after `timeout` seconds, or when nobody is left to give one."""
    me, looked, gone = desk.me(), time.monotonic(), False

    def nobody() -> bool:
        nonlocal looked, gone
        if time.monotonic() - looked >= _GONE_EVERY:
            looked, gone = time.monotonic(), not overview.held(run, me)
        return gone

    with working.busy(f"waiting for {run.name} to answer", desk.err()):
        return control.wait_answer(run, request.id, timeout=timeout, monotonic=time.monotonic, sleep=time.sleep, gone=nobody)


def said(answer: Answer) -> str:
    """What it says, to stand behind our own `NOT saved:`."""
    return answer.text.removeprefix("not saved: ")


def patience(run: RunPaths) -> float:
    """Seconds to wait for an answer: the run's grace and some more."""
    record = records.read_run(run)
    given = record.settings.get("grace") if record else None
    return _seconds(given.value if given else None) + _SPARE_SECONDS


def _seconds(grace: object) -> float:
    try:
        return units.parse_duration(str(grace))
    except ValueError:  # none was given: a sentence says where it comes from then
        return names.DEFAULT_GRACE_SECONDS
