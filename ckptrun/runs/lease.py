"""The right to run a run: who may write, taking it, keeping it, noticing that it is lost.

Three things guard it, because each alone can lie: the kernel's lock (not on every network filesystem), the heartbeat in
lease.json (clocks and caches), and the attempt's number, a directory that only one can make. The highest number wins.
"""

from __future__ import annotations

import os
import time

from ckptrun import errors
from ckptrun.model import Holder, Noun
from ckptrun.runs import documents, durable, lock, paths, records, takeover
from ckptrun.runs.holder import HELD, RELEASED, alive, describe, read_holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Identity, JobIdentity

__all__ = ["Lease", "acquire", "alive", "awake_mark", "read_holder", "slept"]

_DIGITS = 20
_RETRY_SECONDS = 1.0  # a killed holder's lock goes when the kernel has buried it, a moment after its process


def acquire(  # time, patience, a voice and the scheduler's opinion are arguments
    run: paths.RunPaths,
    me: Identity,
    job: JobIdentity,
    *,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
    is_over: Callable[[Holder], bool | None],
) -> Lease:
    """The lease of a run whose directory exists, or who has it. Waits for at most 90 s, to see whether a holder lives.

    Raises:
        errors.Leased: somebody holds the run, or nobody can tell; with who, where, since when and what it does.
        errors.CannotCreate, errors.IoFailure: the lock file cannot be made; lease.json cannot be read.
    """
    guard = lock.Lock(run.lease_lock)
    locked = _lock(guard, run, me, sleep, is_over)
    try:
        previous = _read(run)
        senses = takeover.Senses(monotonic=monotonic, sleep=sleep, tell=tell, is_over=is_over, locked=locked)
        why = takeover.judge(run, previous, me, senses) if previous else ""
        return Lease(run, Claim(me=me, job=job, lock=guard, previous=previous, previous_ended=why), clock)
    except BaseException:
        guard.release()
        raise


class Claim(Noun, frozen=True, kw_only=True):
    """What a lease rests on: who we are, the lock that we got, and who held the run before."""

    me: Identity
    job: JobIdentity
    lock: lock.Lock
    previous: Holder | None
    previous_ended: str


class Lease:
    """A run that is ours until `held()` says no.

    `previous` is who held it before, None if nobody did; `previous_ended` says in a few words why it no longer holds it.
    `holder` is what we wrote, None until `take`. `trouble` is why the last heartbeat could not be written, "" if it could.
    """

    def __init__(self, run: paths.RunPaths, claim: Claim, clock: Callable[[], float]) -> None:
        self.previous = claim.previous
        self.previous_ended = claim.previous_ended
        self.holder: Holder | None = None
        self.trouble = ""
        self._run, self._claim, self._clock = run, claim, clock
        self._fd = self._offset = -1
        self._beats = 0

    def next_attempt(self) -> int:
        """The number to hand to `paths.new_attempt`: above every directory and every holder, so that none is used twice."""
        known = [holder.attempt for holder in (self.previous, self.holder) if holder]
        return max([0, *paths.attempts(self._run), *known]) + 1

    def take(self, attempt: int, attempt_id: str) -> None:
        """Write ourselves into lease.json as holder with this number. From here on the number decides.

        Raises:
            errors.LeaseLost: somebody has a higher number already.
            errors.IoFailure: lease.json cannot be written.
        """
        if self._successor(attempt):
            raise self._lost()
        me, job = self._claim.me, self._claim.job
        self._write(
            Holder(
                host=me.host,
                pid=me.pid,
                boot_id=me.boot_id,
                start_ticks=me.start_ticks,
                pid_ns=me.pid_ns,
                job=job.job,
                target=job.target,
                restart=job.restart,
                cluster=job.cluster,
                platform=job.platform,
                attempt=attempt,
                attempt_id=attempt_id,
                since=records.now_text(self._clock()),
                heartbeat=self._stamp(),
            )
        )

    def held(self) -> bool:
        """Whether lease.json still bears our attempt and nobody has a higher number.

        Raises:
            errors.IoFailure: it cannot be read: unknown.
        """
        ours = self.holder
        try:
            found = read_holder(self._run)
        except documents.Unreadable:
            return False
        if ours is None:
            return _who(found) == _who(self.previous)
        if found is None or self._successor(ours.attempt):
            return False
        if found.attempt < ours.attempt:  # a predecessor that slept between its look and its write: the higher number wins
            self._write(ours)
            return True
        return found.attempt_id == ours.attempt_id and found.state == HELD

    def beat(self) -> bool:
        """Show that we live; False = the lease is lost and nothing more may be written.

        What cannot be read or written just now is not lost: it goes into `trouble`. The digits go into the file that we
        opened, never into one that a successor put in its place.
        """
        try:
            if not self.held():
                return False
            os.pwrite(self._fd, self._stamp().encode(), self._offset)
            _sync_data(self._fd)  # or other hosts would not see it
            self.trouble = ""
        except errors.CkptrunError as error:
            self.trouble = error.message
        except OSError as error:
            self.trouble = durable.io_error(error, self._run.lease_json).message
        return True

    def require(self) -> None:
        """Look before a write that only the holder may do.

        Raises:
            errors.LeaseLost: with who has it now.
            errors.IoFailure: nobody can tell at the moment.
        """
        if not self.held():
            raise self._lost()

    def release(self) -> None:
        """Give the run back; a lease that is lost is left as it is.

        Raises:
            errors.IoFailure: lease.json could not be written, or the lock not be let go.
        """
        try:
            if self.holder is not None and self.held():
                self._write(_with_state(self.holder, RELEASED, self._stamp()))
        finally:
            self._close()
            self._claim.lock.release()

    def _write(self, holder: Holder) -> None:
        data = documents.encode(holder)
        fd = durable.replace_open(self._run.lease_json, data)
        self._close()
        self._fd, self._offset = fd, data.rindex(holder.heartbeat.encode())
        self.holder = holder

    def _successor(self, attempt: int) -> bool:
        return os.path.lexists(self._run.attempt(attempt + 1).dir)

    def _stamp(self) -> str:
        """Nanoseconds since 1970, and always more than before, also when the clock was set back."""
        self._beats = max(self._beats + 1, int(self._clock() * 1e9))
        return f"{self._beats:0{_DIGITS}d}"

    def _lost(self) -> errors.LeaseLost:
        try:
            found = read_holder(self._run)
        except errors.CkptrunError:
            found = None
        by = f" by {describe(found)}" if found and found.state == HELD else ""
        return errors.LeaseLost(
            f"run {self._run.name} was taken over{by} while this attempt was suspended or out of reach: it writes nothing more"
        )

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def awake_mark() -> float:
    """What `slept` compares with: seconds by which the clock that counts suspension is ahead of the one that does not."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return 0.0 if boot is None else time.clock_gettime(boot) - time.monotonic()


def slept(since: float) -> float:
    """Seconds that this machine was suspended since `since` (from `awake_mark`); 0.0 where the system does not tell."""
    return max(0.0, awake_mark() - since)


def _lock(
    guard: lock.Lock,
    run: paths.RunPaths,
    me: Identity,
    sleep: Callable[[float], None],
    is_over: Callable[[Holder], bool | None],
) -> bool:
    """True = locked, False = this filesystem has no locks, or a holder that its scheduler has given up still has this one."""
    waited = 0.0
    while (got := guard.acquire()) == lock.REFUSED:
        found = _read(run)
        gone = found is None or alive(run, found, me) is False
        if not gone and found is not None and found.job and is_over(found):
            return False  # a lost node's processes live on beside their successors: the attempt's number fences them
        if not gone or waited >= _RETRY_SECONDS:
            raise takeover.leased(run, None if gone else found)
        sleep(0.05)
        waited += 0.05
    return got == lock.HELD


def _read(run: paths.RunPaths) -> Holder | None:
    try:
        return read_holder(run)
    except documents.Unreadable as error:
        raise takeover.unknown(run, error) from error


def _who(holder: Holder | None) -> tuple[str, str] | None:
    return None if holder is None else (holder.attempt_id, holder.state)


def _with_state(holder: Holder, state: str, heartbeat: str) -> Holder:
    import msgspec  # noqa: PLC0415  # loaded long ago: this only names it

    return msgspec.structs.replace(holder, state=state, heartbeat=heartbeat)


_sync_data = getattr(os, "fdatasync", os.fsync)
