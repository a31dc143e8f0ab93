"""Who holds a run: the body of lease.json, whether that process can still be alive, and saying so."""

from __future__ import annotations

import os
import signal

from ckptrun.model import Holder
from ckptrun.runs import documents, durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ckptrun.model import Identity
    from ckptrun.runs.paths import RunPaths

HELD = "held"
RELEASED = "released"
_LIMIT = 64 << 10  # bytes
_STOPPED_STATES = "Tt"
_ENDED_STATES = "ZX"  # a zombie is dead; some init processes reap them minutes later


def read_holder(paths: RunPaths) -> Holder | None:
    """Who is written in lease.json, None where there is none (never held).

    Raises:
        documents.Unreadable: it is there and cannot be understood. That is unknown, not dead.
        errors.IoFailure: it could not be read, which says nothing.
    """
    return documents.read(paths.lease_json, Holder, limit=_LIMIT)


def alive(paths: RunPaths, holder: Holder, me: Identity) -> bool | None:  # noqa: ARG001  # the run's paths: as all of this room
    """Whether the holder can still write: False = ended or released, True = its process is there, None = cannot be known here.

    Known only on the holder's own kernel (same boot id) and in its own pid namespace; on its host after a reboot it is dead.
    """
    if holder.state == RELEASED:
        return False
    if holder.boot_id != me.boot_id:
        return False if holder.host == me.host and holder.boot_id and me.boot_id else None
    if holder.host != me.host and not me.boot_id:
        return None
    if holder.pid_ns != me.pid_ns:
        return None
    return _runs(holder.pid, holder.start_ticks)


def nudge(paths: RunPaths, holder: Holder, me: Identity) -> bool:
    """Have a holder on this machine look into its inbox at once, not only at its next heartbeat; whether it was told.

    SIGCONT is harmless to whoever gets it, and ckptrun looks at everything when it comes. A suspended holder is left suspended.
    """
    if holder.pid == me.pid or alive(paths, holder, me) is not True:
        return False
    seen = start_ticks(holder.pid)
    if seen is None or seen[0] in _STOPPED_STATES or seen[1] != holder.start_ticks:
        return False
    try:
        os.kill(holder.pid, signal.SIGCONT)
    except OSError:  # another user's, or gone by now: it looks at its next heartbeat, or nobody does
        return False
    return True


def describe(holder: Holder) -> str:
    """`node1 (pid 4711, job 77, attempt 3)`."""
    job = f", {holder.platform} job {holder.job}" if holder.job else ""
    attempt = f", attempt {holder.attempt}" if holder.attempt else ""
    return durable.printable(f"{holder.host} (pid {holder.pid}{job}{attempt})")


def beaten_since(holder: Holder, now: float) -> float | None:
    """Seconds since the holder's last heartbeat by its own clock, None if it never beat. Clocks of two hosts may differ."""
    return now - int(holder.heartbeat) / 1e9 if holder.heartbeat.isdigit() and int(holder.heartbeat) else None


def start_ticks(pid: int) -> tuple[str, int] | None:
    """State letter and start time (clock ticks since boot) of a process, None if it cannot be seen. `man 5 proc`, stat."""
    try:
        text = durable.read_proc(f"/proc/{pid}/stat")
        fields = text[text.rindex(b")") + 2 :].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _runs(pid: int, ticks: int) -> bool:
    if not 0 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's: there is one
    seen = start_ticks(pid)
    return seen is None or (seen[0] not in _ENDED_STATES and (not ticks or seen[1] == ticks))
