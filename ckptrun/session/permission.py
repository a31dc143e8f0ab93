"""The right to remove something from a run without being its holder: what `ckptrun prune` asks before each rename.

Nobody runs it: the run's lock is taken, so that no start can choose what is just being removed, and let go several times a second:
a start that finds it locked by nobody who lives tries again for a second, and must not be turned away by a prune.
Somebody runs it: allowed as long as it is the same attempt, and only once that has begun: until then it may still be moving checkpoints.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ckptrun import errors
from ckptrun.runs import holder, lock, records
from ckptrun.runs.takeover import leased

if TYPE_CHECKING:
    from ckptrun.model import Holder, Identity
    from ckptrun.runs.paths import RunPaths

HOLD_SECONDS = 0.25
GAP_SECONDS = 0.12  # a start looks every 0.05 s


class Changed(errors.CkptrunError):
    """Somebody started or ended the run since it was looked at: what was decided may be wrong by now."""


def of(run: RunPaths | None, me: Identity) -> Permission | Free:
    """The right to remove from `run`, which is asked for before anything is looked at; outside of runs nobody is asked.

    Raises:
        errors.Leased: it is being started by somebody else at this moment.
    """
    return Free() if run is None else Permission(run, me)


class Free:
    """Where there is no run there is no holder."""

    idle = False

    def __call__(self) -> None:
        """Always allowed."""

    def close(self) -> None:
        """Nothing is held."""


class Permission:
    """Called before each removal; `close` it after the last."""

    def __init__(self, run: RunPaths, me: Identity) -> None:
        self._run = run
        self._lock = lock.Lock(run.lease_lock)
        self._seen = holder.read_holder(run)
        self._since: float | None = None
        self.idle = self._seen is None or holder.alive(run, self._seen, me) is False
        if not self.idle:
            self._require_begun()

    def __call__(self) -> None:
        """Return if the next removal is allowed.

        Raises:
            Changed: look again, decide again.
            errors.IoFailure: nobody can tell.
        """
        if self.idle and (self._since is None or time.monotonic() - self._since > HOLD_SECONDS):
            self._take_again()
        elif not self.idle:
            self._require_same()

    def _take_again(self) -> None:
        if self._since is not None:
            self.close()
            time.sleep(GAP_SECONDS)
        if self._lock.acquire() == lock.REFUSED:
            raise Changed(f"run {self._run.name} is being started by somebody else at this moment")
        self._since = time.monotonic()
        self._require_same()

    def _require_same(self) -> None:
        now = holder.read_holder(self._run)
        if _who(now) != _who(self._seen):
            raise Changed(f"run {self._run.name} was started or has ended meanwhile")

    def _require_begun(self) -> None:
        """Until its attempt.json is written, an attempt may be setting checkpoints aside."""
        assert self._seen is not None
        if not self._seen.attempt or records.read_attempt(self._run.attempt(self._seen.attempt)) is None:
            raise leased(self._run, self._seen)

    def close(self) -> None:
        """Let the run's lock go."""
        if self._since is not None:
            self._since = None
            self._lock.release()


def _who(found: Holder | None) -> tuple[str, str, int] | None:
    return None if found is None else (found.attempt_id, found.state, found.attempt)
