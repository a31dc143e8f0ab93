"""How runs stand, for people: the table of `ckptrun ls` and the block of `ckptrun status`. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ckptrun import names, units
from ckptrun.report import overview as over
from ckptrun.report.cells import Column
from ckptrun.report.listing import number
from ckptrun.runs import records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckptrun.report.cells import Cell
    from ckptrun.report.overview import Overview

STATES = {over.RUNNING: "green", over.SILENT: "magenta"}
OUTCOMES = {names.COMPLETED: "green", names.FAILED: "red", names.KILLED: "red", names.STALLED: "red"}

COLUMNS = (
    Column("run"),
    Column("state"),
    Column("attempts", right=True, spare=1),
    Column("step", right=True),
    Column("saved", right=True),
    Column("age", right=True),
    Column("size", right=True, spare=2),
    Column("outcome"),
    Column("values"),
    Column("remark", words=True),
    Column("path", piped=True),
)


# Of several runs at one moment: `ckptrun status`.
NOW = (
    Column("run"),
    Column("values"),
    Column("state"),
    Column("attempt", right=True, spare=2),
    Column("step", right=True),
    Column("time left", right=True),
    Column("last save", right=True, spare=1),
    Column("limit", right=True, spare=3),
    Column("where", spare=4),
    Column("job", spare=5),
    Column("remark", words=True),
    Column("path", piped=True),
)
QUEUED = "queued"


def row(seen: Overview, *, queued: str = "") -> list[Cell]:
    """A run in the table; age and size are those of what is saved. `queued`: what its job waits for, "" if it does not."""
    newest = seen.newest
    waits = bool(queued) and seen.holder is None
    outcome = seen.outcome.replace("_", " ")
    return [
        seen.run.name,
        (QUEUED, "yellow") if waits else (seen.state, STATES.get(seen.state, "")),
        str(seen.attempts),
        _of(seen.step, seen.total, "/"),
        "" if newest is None else newest.name if newest.step is None else str(newest.step),
        units.duration(seen.now - newest.time) if newest and newest.time else "",
        units.size(seen.size) if seen.size else "",
        (outcome, OUTCOMES.get(seen.outcome, "")),
        values(seen.sweep),
        "; ".join(text for text in (queued if waits else "", _remark(seen)) if text),
        seen.run.dir,
    ]


def now(seen: Overview, *, queued: str = "", job: str = "") -> list[Cell]:
    """A run in the table of `ckptrun status`. `queued`: what its job waits for, "" if it does not; `job`: the job."""
    end = seen.progress.deadline if seen.progress and seen.holder else None
    waits = bool(queued) and seen.holder is None
    state = QUEUED if waits else _short_state(seen)
    return [
        seen.run.name,
        values(seen.sweep),
        (state, "yellow" if waits else STATES.get(seen.state, "") or OUTCOMES.get(seen.outcome, "")),
        "" if seen.attempt is None else str(seen.attempt),
        _of(seen.step, seen.total, "/"),
        units.duration(seen.left) if seen.left is not None and seen.state == over.RUNNING else "",
        f"{units.duration(max(0.0, seen.now - seen.last_save))} ago" if seen.last_save else "",
        f"in {units.duration(end - seen.now)}" if end and end > seen.now else "",
        seen.holder.host if seen.holder else "",
        job or (seen.holder.job if seen.holder else ""),
        "; ".join(text for text in (queued if waits else "", "" if waits else _why(seen), _remark(seen)) if text),
        seen.run.dir,
    ]


def _short_state(seen: Overview) -> str:
    doing = seen.progress.state if seen.progress and seen.state == over.RUNNING else ""
    return seen.outcome.replace("_", " ") or doing or seen.state


def values(sweep: Mapping[str, Any]) -> str:
    """`lr=0.1 width=64`."""
    return " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in sweep.items())


def _why(seen: Overview) -> str:
    return over.reason(seen) if seen.state == over.ENDED and seen.outcome else ""


def block(seen: Overview) -> list[tuple[str, Cell]]:
    """A run's whole standing, name by name."""
    return [
        ("run", (seen.run.name, "bold")),
        ("values", values(seen.sweep)),
        ("state", (_state(seen), STATES.get(seen.state, "") or OUTCOMES.get(seen.outcome, ""))),
        ("why", over.reason(seen)),
        ("where", _where(seen)),
        ("since", _since(seen)),
        ("attempt", _attempt(seen)),
        ("step", _step(seen)),
        ("time left", _left(seen)),
        ("deadline", _deadline(seen)),
        ("last save", _last_save(seen)),
        ("next save", _next_save(seen)),
        ("stopped", _stopped(seen)),
        *(("trouble", (text, "red")) for text in seen.troubles),
        *(("note", text) for text in (seen.progress.notes if seen.progress and seen.holder else [])),
    ]


def when(unix: float, now: float) -> str:
    """`2026-11-20 18:11:47 UTC (5m 03s ago)`, or `(in 5m 03s)`."""
    ago = f"in {units.duration(unix - now)}" if unix > now else f"{units.duration(now - unix)} ago"
    return f"{clock(records.now_text(unix))} ({ago})"


def clock(text: str) -> str:
    """RFC 3339 as people read it, to the second: `2026-11-20 18:11:47 UTC`."""
    return f"{text[:10]} {text[11:19]} UTC" if text.endswith("Z") and len(text) >= 20 else text


def unix(text: str) -> float | None:
    """Unix seconds of a record's time, None if it says none."""
    try:
        return units.from_rfc3339(text)
    except ValueError:
        return None


def _remark(seen: Overview) -> str:
    stopped = "stopped by the user" if seen.stopped and seen.state != over.RUNNING else ""
    unsaid = over.reason(seen) if seen.state != over.RUNNING and not seen.outcome else ""
    return "; ".join(text for text in (unsaid, stopped, *seen.troubles) if text)


def _state(seen: Overview) -> str:
    if seen.state == over.ENDED:
        proved = " (assumed)" if seen.outcome == names.COMPLETED and seen.record and not seen.record.proved else ""
        return seen.outcome.replace("_", " ") + proved or "ended, nobody knows how"
    if seen.state == over.RUNNING and seen.progress and seen.progress.state not in ("", over.RUNNING):
        return f"{seen.state} ({seen.progress.state})"
    return "not started yet" if seen.state == over.NEW else seen.state


def _where(seen: Overview) -> str:
    if seen.holder is not None:
        job = f", {seen.holder.platform} job {seen.holder.job}" if seen.holder.job else ""
        return f"{seen.holder.host} (pid {seen.holder.pid}{job})"
    return seen.record.host if seen.record else ""


def _since(seen: Overview) -> str:
    if seen.record is None or not seen.record.started:
        return ""
    begun = unix(seen.record.started)
    if begun is None or seen.holder is not None:
        return when(begun, seen.now) if begun else seen.record.started
    ended = unix(seen.record.ended)
    return f"{clock(seen.record.started)}{f', ended {when(ended, seen.now)}' if ended else ''}"


def _attempt(seen: Overview) -> str:
    if seen.attempt is None:
        return ""
    return str(seen.attempt) if seen.attempt == seen.attempts else f"{seen.attempt} ({seen.attempts} are there)"


def _step(seen: Overview) -> str:
    epoch = f", epoch {number(seen.progress.epoch)}" if seen.progress and seen.progress.epoch is not None else ""
    speed = f", {number(seen.speed)} steps/s" if seen.speed else ""
    return _of(seen.step, seen.total, " of ") + epoch + speed if seen.step is not None else ""


def _left(seen: Overview) -> str:
    return f"about {units.duration(seen.left)} at this speed" if seen.left is not None and seen.state == over.RUNNING else ""


def _deadline(seen: Overview) -> str:
    progress = seen.progress
    if progress is None or progress.deadline is None or seen.holder is None:
        return ""
    late = seen.left is not None and seen.now + seen.left > progress.deadline
    source = f", {progress.deadline_from}" if progress.deadline_from else ""
    return f"{when(progress.deadline, seen.now)}{source}{'; it will not be through by then' if late else ''}"


def _last_save(seen: Overview) -> str:
    if seen.last_save is None:
        return "nothing is saved yet"
    name = seen.newest.name if seen.newest else ""
    return f"{name}{', ' if name else ''}{when(seen.last_save, seen.now)}"


def _next_save(seen: Overview) -> str:
    time, step = seen.next_save
    if step is not None:
        return f"after step {step}{_in_about(seen, step)}"
    if time is not None:
        return f"in {units.duration(time - seen.now)}" if time > seen.now else "due"
    return ""


def _in_about(seen: Overview, step: int) -> str:
    steps = step - seen.step if seen.step is not None else 0
    return f", in about {units.duration(steps / seen.speed)}" if seen.speed and steps > 0 else ""


def _stopped(seen: Overview) -> str:
    mark = seen.stopped
    if mark is None:
        return ""
    why = f": {mark.reason}" if mark.reason else ""
    return f"by {mark.by}{f', {clock(mark.when)}' if mark.when else ''}{why}; a scheduler will not start it again, you can"


def _of(step: int | None, total: int | None, joint: str) -> str:
    if step is None:
        return ""
    return str(step) if total is None else f"{step}{joint}{total}"
