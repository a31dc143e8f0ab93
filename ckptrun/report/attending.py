"""Standing by a run that others run: has this attempt ended, is there a newer one, will there be another?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.report import overview
from ckptrun.runs import control, records
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import AttemptRecord, Identity
    from ckptrun.runs.paths import RunPaths

# After these somebody is meant to start the run again: a scheduler, or whoever sees exit code 75. "" = nobody wrote down an end.
COMES_BACK = (names.PREEMPTED, names.TIMED_OUT, "")
_QUIET_SECONDS = 3.0  # an attempt's directory is made a moment before its holder is written down


class Glance(Noun, frozen=True, kw_only=True):
    """A run's last attempt at one moment."""

    number: int = 0  # 0: there is none yet
    record: AttemptRecord | None = None
    held: bool = False  # somebody runs the run, or may
    stopped: bool = False  # the user's durable mark is there

    @property
    def outcome(self) -> str:
        """How it ended, "" if it did not, or if nobody wrote it down."""
        return self.record.outcome if self.record else ""

    @property
    def comes_back(self) -> bool:
        """Whether another attempt is to be expected."""
        return self.held or (self.outcome in COMES_BACK and not self.stopped)

    @property
    def between(self) -> bool:
        """Whether it is known to have ended and to come back, not only still held by an attempt that closes its books."""
        return self.comes_back and (not self.held or self.outcome in COMES_BACK)


class Watch:
    """Looks at a run again and again."""

    def __init__(self, run: RunPaths, me: Identity, monotonic: Callable[[], float]) -> None:
        self._run, self._me, self._monotonic = run, me, monotonic
        self._quiet_since: dict[int, float] = {}  # by attempt

    def look(self) -> Glance:
        """The run now.

        Raises:
            errors.IoFailure: it cannot be read.
        """
        held = overview.held(self._run, self._me)  # first: what is written before the lease is released is seen below
        numbers = run_paths.attempts(self._run)
        record = records.read_attempt(self._run.attempt(numbers[-1])) if numbers else None
        stopped = control.stopped(self._run) is not None
        return Glance(number=numbers[-1] if numbers else 0, record=record, held=held, stopped=stopped)

    def record(self, number: int) -> AttemptRecord | None:
        """The record of one attempt."""
        return records.read_attempt(self._run.attempt(number))

    def over(self, number: int) -> bool:
        """Whether attempt `number` writes nothing more.

        Raises:
            errors.IoFailure: as `look`.
        """
        seen = self.look()
        return seen.number > number or bool(seen.outcome) or self.abandoned(seen)

    def abandoned(self, seen: Glance) -> bool:
        """Whether nobody has held the run for longer than a start needs from its number to its lease."""
        if seen.held:
            self._quiet_since.pop(seen.number, None)
            return False
        now = self._monotonic()
        return now - self._quiet_since.setdefault(seen.number, now) >= _QUIET_SECONDS
