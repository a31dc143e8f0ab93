"""One run at one moment: who runs it where, how far it is, what is saved, how the last attempt ended.

What cannot be read is said in `troubles` and changes nothing else: unknown is not failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ckptrun import errors, names, units
from ckptrun.checkpoints import scan
from ckptrun.model import Noun
from ckptrun.policy import roles
from ckptrun.report import gather
from ckptrun.runs import control, holder, jobs, records
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import AttemptRecord, Checkpoint, Holder, Identity, Setting
    from ckptrun.runs.control import Progress, Stopped
    from ckptrun.runs.paths import RunPaths
    from ckptrun.runs.records import RunRecord

    T = TypeVar("T")

RUNNING = "running"
SILENT = "silent"  # held, on a machine we cannot look into, and without a heartbeat for long: unknown
ENDED = "ended"
NEW = "new"  # no attempt yet


class Overview(Noun, frozen=True, kw_only=True):
    """What `ls` and `status` know of a run."""

    run: RunPaths
    now: float
    state: str
    attempts: int  # how many there are
    holder: Holder | None = None  # who runs it; None when nobody does
    heard: float | None = None  # seconds since the holder's last heartbeat
    record: AttemptRecord | None = None  # of the newest attempt
    progress: Progress | None = None  # of the newest attempt
    every: str = ""
    sweep: dict[str, Any] = {}  # the values of the sweep's task that it is
    newest: Checkpoint | None = None  # the newest complete checkpoint
    size: int = 0  # bytes of all checkpoints
    stopped: Stopped | None = None
    troubles: list[str] = []

    @property
    def attempt(self) -> int | None:
        """The attempt that runs, or ran last."""
        if self.holder is not None and self.holder.attempt:
            return self.holder.attempt
        return self.record.attempt if self.record else None

    @property
    def outcome(self) -> str:
        """How the newest attempt ended, "" while it runs and if nobody wrote it down."""
        return self.record.outcome if self.record and self.state == ENDED else ""

    @property
    def step(self) -> int | None:
        """The last step that is known of: heard of (every ten seconds at most), written down at the end, or saved."""
        heard = self.progress.step if self.progress else None
        written = self.record.last_step if self.record else None
        known = [step for step in (heard, written, self.newest.step if self.newest else None) if step is not None]
        return max(known, default=None)

    @property
    def total(self) -> int | None:
        """How many steps there are, if the script says so."""
        return self.progress.total if self.progress else None

    @property
    def speed(self) -> float | None:
        """Steps a second, while it runs."""
        return self.progress.steps_per_second if self.progress and self.state == RUNNING else None

    @property
    def left(self) -> float | None:
        """Seconds until the last step at this speed (steps count from 0)."""
        if self.step is None or self.total is None or not self.speed or self.speed <= 0:
            return None
        return max(0, self.total - 1 - self.step) / self.speed

    @property
    def last_save(self) -> float | None:
        """When something was last saved, Unix seconds."""
        told = self.progress.last_save if self.progress else None
        times = [time for time in (told, self.newest.time if self.newest else None) if time]
        return max(times, default=None)

    @property
    def next_save(self) -> tuple[float | None, int | None]:
        """When (Unix seconds) and after which step the script will save next, as far as it can be known from here."""
        said = self.progress
        if said is None or self.holder is None:
            return None, None
        if said.next_save is not None or said.next_save_step is not None or said.step is None or not self.every:
            return said.next_save, said.next_save_step
        kind, amount = units.parse_every(self.every)
        if kind == "seconds":
            last = max(self.last_save or 0.0, said.started)  # a save by an earlier attempt does not count
            return (last + amount if last else None), None
        if kind == "steps":
            return None, self._next_multiple(int(amount))
        return None, None

    def _next_multiple(self, every: int) -> int:
        """As policy.cadence decides: the first multiple after what was saved or resumed last."""
        resumed = self.record.resumed_step if self.record else None
        saved = self.newest.step if self.newest else None
        told = self.progress.last_save_step if self.progress else None
        last = max((step for step in (resumed, saved, told) if step is not None), default=0)
        return (last // every + 1) * every


def look(run: RunPaths, me: Identity, now: float) -> Overview:
    """The run as it is now; never raises for what is damaged or cannot be read."""
    troubles: list[str] = []

    def attempt(reading: Callable[[], T], otherwise: T) -> T:
        try:
            return reading()
        except errors.CkptrunError as error:
            troubles.append(error.message)
            return otherwise

    nothing: list[int] = []
    asked = attempt(lambda: records.read_run(run), None)
    submitted = attempt(lambda: jobs.latest(run), None) if asked is None else None
    numbers = attempt(lambda: run_paths.attempts(run), nothing)
    found = attempt(lambda: holder.read_holder(run), None)
    patterns = gather.recorded_patterns(asked)
    checkpoints: list[Checkpoint] = attempt(
        lambda: scan.scan_run(run.checkpoints, run.attempts, sizes=True, patterns=patterns), []
    )
    return Overview(
        run=run,
        now=now,
        state=_state(run, found, numbers, me, now),
        attempts=len(numbers),
        holder=found if found and _holds(run, found, me) else None,
        heard=holder.beaten_since(found, now) if found else None,
        record=attempt(lambda: records.read_attempt(run.attempt(numbers[-1])), None) if numbers else None,
        progress=attempt(lambda: _progress(run, numbers), None),
        every=_every(asked),
        sweep=asked.sweep if asked else submitted.sweep if submitted else {},
        newest=roles.latest(checkpoints),
        size=sum(item.size for item in checkpoints),
        stopped=attempt(lambda: control.stopped(run), None),
        troubles=troubles,
    )


def held(run: RunPaths, me: Identity) -> bool:
    """Whether somebody runs it, or may: a holder of whom nothing can be known from here counts.

    Raises:
        errors.IoFailure: lease.json cannot be read or understood.
    """
    found = holder.read_holder(run)
    return found is not None and _holds(run, found, me)


def _state(run: RunPaths, found: Holder | None, numbers: list[int], me: Identity, now: float) -> str:
    if found is not None and _holds(run, found, me):
        return RUNNING if _alive(run, found, me, now) else SILENT
    return ENDED if numbers else NEW


def _holds(run: RunPaths, found: Holder, me: Identity) -> bool:
    """Whether the holder may still be there: released and known to be dead are not."""
    return holder.alive(run, found, me) is not False


def _alive(run: RunPaths, found: Holder, me: Identity, now: float) -> bool:
    """As control.running: a process that can be seen, else a heartbeat by both hosts' clocks."""
    if holder.alive(run, found, me):
        return True
    heard = holder.beaten_since(found, now)
    return heard is not None and heard < names.DEAD_AFTER_SECONDS


def _progress(run: RunPaths, numbers: list[int]) -> Progress | None:
    said = control.read_progress(run)
    return said if said and numbers and said.attempt == numbers[-1] else None


def _every(run: RunRecord | None) -> str:
    setting: Setting | None = run.settings.get("every") if run else None
    text = str(setting.value) if setting and setting.value else ""
    try:
        units.parse_every(text)
    except ValueError:  # of a later version, or written by hand: then we do not know
        return ""
    return text


# --- for programs ------------------------------------------------------------------------------------------------------
def fields(seen: Overview) -> dict[str, Any]:
    """One run in the JSON of `ckptrun status` and `ckptrun ls`: a stable interface."""
    record, progress = seen.record, seen.progress
    return {
        "run": seen.run.name,
        "directory": seen.run.dir,
        "state": seen.state,
        "attempt": seen.attempt,
        "attempts": seen.attempts,
        "outcome": seen.outcome or None,
        "reason": reason(seen) or None,
        "step": seen.step,
        "total": seen.total,
        "epoch": progress.epoch if progress else None,
        "steps_per_second": seen.speed,
        "time_left": seen.left,
        "started": (record.started or None) if record else None,
        "ended": (record.ended or None) if record else None,
        "deadline": _time(progress.deadline if progress else None),
        "last_save": _time(seen.last_save),
        "checkpoint": seen.newest.name if seen.newest else None,
        "next_save": _time(seen.next_save[0]),
        "next_save_step": seen.next_save[1],
        "size": seen.size,
        "host": seen.holder.host if seen.holder else record.host if record else None,
        "pid": seen.holder.pid if seen.holder else None,
        "job": (seen.holder.job if seen.holder else record.job if record else "") or None,
        "heard": seen.heard if seen.holder else None,
        "stopped": {"by": seen.stopped.by, "when": seen.stopped.when or None} if seen.stopped else None,
        "sweep": seen.sweep or None,
        "troubles": seen.troubles,
    }


def reason(seen: Overview) -> str:
    """Why it is in this state, in words; "" where there is nothing to say."""
    if seen.state == SILENT:
        return f"not heard of for {units.duration(seen.heard)}" if seen.heard is not None else "never heard of"
    if seen.state == ENDED and seen.record is not None:
        return (
            seen.record.why if seen.record.outcome else "ended without a word: ckptrun was killed, or its machine was lost"
        )
    return ""


def _time(unix: float | None) -> str | None:
    return None if not unix else records.now_text(unix)
