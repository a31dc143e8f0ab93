"""`ckptrun stop`: ask a running attempt to save and stop, and keep a scheduler from starting the run again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ckptrun import names, units
from ckptrun.cli import asking, desk, queue, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import RUN, json_option, root_option, working_directory
from ckptrun.model import Holder, Noun, Request
from ckptrun.report import refs, working
from ckptrun.report.attending import Watch
from ckptrun.runs import control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.runs.control import Answer
    from ckptrun.runs.paths import RunPaths

_PAUSE = 0.2  # seconds between two looks at whether it has ended


class Outcome(Noun, frozen=True, kw_only=True):
    """What came of it, to be said and to be printed."""

    ok: bool
    text: str
    checkpoint: str = ""
    outcome: str = ""
    attempt: int = 0
    hint: str = ""


@verb(
    "stop",
    examples=[
        ("ckptrun stop digits-3f9a1c", "save, stop, and stay stopped until a person starts it again"),
        ("ckptrun stop --reason 'node needed' digits-3f9a1c", "say why; it is kept in the run's history"),
        ("ckptrun stop --now digits-3f9a1c", "stop without waiting for a save"),
        ("ckptrun stop 'sweep-*'", "all runs that match; those that wait in the queue are taken out of it"),
    ],
    codes={
        names.EXIT_OK: "saved and stopped; or it was not running, and will not be started by a scheduler",
        names.EXIT_FAILURE: "stopped but NOT saved, or no answer came in time",
        names.EXIT_USAGE: "the command line is wrong, or there is no such run",
        names.EXIT_IO: "the run's directory cannot be read or written",
    },
)
@click.argument("runs", nargs=-1, required=True, type=RUN, metavar="RUN...")
@click.option("--now", is_flag=True, help="End it at once, without waiting for a save.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the run's history.")
@asking.wait_options
@root_option
@json_option
def command(
    runs: tuple[str, ...], *, now: bool, reason: str, timeout: float | None, no_wait: bool, root: str, as_json: bool
) -> int:
    """Ask a running attempt to save and stop. It may run on this or another machine. Of several runs all are asked at once.

    The run stays stopped: a scheduler's restart of it ends with 93, until a person starts it again. A job that waits in the queue
    is cancelled.
    """
    wanted = refs.the_runs(runs, root=root, cwd=working_directory())
    stops = [_begin(where, now=now, reason=reason) for where in wanted]
    cancelled = queue.cancel([stop.run for stop in stops if stop.outcome and stop.outcome.outcome != names.COMPLETED])
    if no_wait:
        for stop in stops:
            if stop.request is not None:
                words.say(f"asked attempt {stop.attempt} of run {stop.run.name} to {'stop' if now else 'save and stop'}")
        stops = [stop for stop in stops if stop.request is None]
    outcomes = [(stop.run, _hear(stop, timeout, cancelled.get(stop.run.dir, ""), reason, now=now)) for stop in stops]
    return _tell(outcomes, as_json=as_json, one=len(runs) == 1 and not refs.is_pattern(runs[0]))


class _Stop(Noun, frozen=True, kw_only=True):
    """A run that is being stopped: it was asked, or nobody runs it and what came of that is known."""

    run: RunPaths
    begun: float
    holder: Holder | None = None
    request: Request | None = None
    outcome: Outcome | None = None

    @property
    def attempt(self) -> int:
        """The attempt that was asked."""
        return self.holder.attempt if self.holder else 0


def _begin(run: RunPaths, *, now: bool, reason: str) -> _Stop:
    begun, holder = time.monotonic(), asking.who_runs(run)
    if holder is None:
        marked = _not_running(run, reason)
        holder = asking.who_runs(run)  # a start that did not see the mark any more
        if holder is None:
            return _Stop(run=run, begun=begun, outcome=marked)
    what = f"ckptrun stop{' --now' if now else ''}{f' ({reason})' if reason else ''}"
    action = names.STOP_NOW if now else names.SAVE_AND_STOP
    request = asking.ask(run, holder, action, what=what, cause=names.STOPPED_BY_USER)
    return _Stop(run=run, begun=begun, holder=holder, request=request)


def _hear(stop: _Stop, timeout: float | None, cancelled: str, reason: str, *, now: bool) -> Outcome:
    """What came of it."""
    if stop.outcome is not None:
        text = f"{stop.outcome.text}; {cancelled}" if cancelled else stop.outcome.text
        return msgspec.structs.replace(stop.outcome, text=text)
    assert stop.holder is not None
    assert stop.request is not None
    patience = asking.patience(stop.run) if timeout is None else timeout
    left = patience - (time.monotonic() - stop.begun)
    answer = asking.answer(stop.run, stop.request, max(0.0, left))
    ended = _wait_for_end(stop.run, stop.holder, max(0.0, patience - (time.monotonic() - stop.begun)))
    took = time.monotonic() - stop.begun
    return _judge(stop.run, stop.holder, answer, reason, ended=ended, now=now, took=took)


def _not_running(run: RunPaths, reason: str) -> Outcome:
    """Leave the durable mark for a start that a scheduler still has in mind."""
    seen = Watch(run, desk.me(), time.monotonic).look()
    if seen.outcome == names.COMPLETED:
        return Outcome(ok=True, text="is complete: there is nothing to stop", outcome=seen.outcome, attempt=seen.number)
    control.mark_stopped(run, by=desk.who(), now=desk.now(), attempt=seen.number, reason=reason)
    text = "is not running; a scheduler will not start it again (you can)"
    return Outcome(ok=True, text=text, outcome=seen.outcome, attempt=seen.number)


def _wait_for_end(run: RunPaths, holder: Holder, seconds: float) -> bool:
    watch, end = Watch(run, desk.me(), time.monotonic), time.monotonic() + seconds
    with working.busy(f"waiting for {run.name} to end", desk.err()):
        while not watch.over(holder.attempt):
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)
    return True


def _judge(
    run: RunPaths, holder: Holder, answer: Answer | None, reason: str, *, ended: bool, now: bool, took: float
) -> Outcome:
    if not ended:
        if answer is None and not _heard_lately(run):  # its machine may be gone; a restart elsewhere must find the mark
            control.mark_stopped(run, by=desk.who(), now=desk.now(), attempt=holder.attempt, reason=reason)
        said = f"saved {answer.checkpoint} and is still ending" if answer and answer.ok else "has NOT answered"
        hint = f"`ckptrun status {run.name}` says what it does; `ckptrun stop --now {run.name}` does not wait for a save"
        return Outcome(ok=False, text=f"{said} after {units.duration(took)}", attempt=holder.attempt, hint=hint)
    record = Watch(run, desk.me(), time.monotonic).record(holder.attempt)
    outcome = record.outcome if record else ""
    checkpoint = answer.checkpoint if answer else ""
    if outcome == names.COMPLETED:
        return Outcome(
            ok=True, text=f"has completed: {record.why if record else ''}", outcome=outcome, attempt=holder.attempt
        )
    if answer is not None and answer.ok:
        text = f"is stopped, {units.duration(took)} after it was asked: {answer.text}"
        return Outcome(ok=True, text=text, checkpoint=checkpoint, outcome=outcome, attempt=holder.attempt)
    lost = f"; {record.steps_lost} steps are lost" if record and record.steps_lost else ""
    why = asking.said(answer) if answer else "the attempt ended before it answered"
    text = f"is stopped at once{lost}" if now else f"is stopped, but was NOT saved: {why}{lost}"
    return Outcome(
        ok=now,
        text=text,
        outcome=outcome,
        attempt=holder.attempt,
        hint=f"`ckptrun show {run.name}/{holder.attempt}` tells what happened",
    )


def _heard_lately(run: RunPaths) -> bool:
    return control.running(run, desk.me(), now=desk.now()) is not None


def _tell(outcomes: Sequence[tuple[RunPaths, Outcome]], *, as_json: bool, one: bool) -> int:
    if as_json:
        fields = [_fields(run, outcome) for run, outcome in outcomes]
        desk.print_document({"format": names.FORMAT, **(fields[0] if one and fields else {"runs": fields})})
    for run, outcome in () if as_json else outcomes:
        if outcome.ok:
            words.say(f"run {run.name} {outcome.text}")
        else:
            words.error(f"run {run.name} {outcome.text}", outcome.hint)
    return names.EXIT_OK if all(outcome.ok for _, outcome in outcomes) else names.EXIT_FAILURE


def _fields(run: RunPaths, outcome: Outcome) -> dict[str, Any]:
    return {
        "run": run.name,
        "ok": outcome.ok,
        "text": outcome.text,
        "attempt": outcome.attempt or None,
        "outcome": outcome.outcome or None,
        "checkpoint": outcome.checkpoint or None,
    }
