"""A job as its owner asks about it from outside: waiting for what, running where, requeued how often, how long to go."""

from __future__ import annotations

from ckptrun import units
from ckptrun.model import Noun
from ckptrun.platforms.slurm import ask, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckptrun.platforms.slurm.record import JobRecord

_WAITS = ("PENDING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
_RUNS = ("RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING", "STOPPED")


class Standing(Noun, frozen=True, kw_only=True):
    """What to show of a job that is not over."""

    job: str
    waits: bool  # it is in the queue
    text: str


def look(job: str, environ: Mapping[str, str], now: float) -> Standing | None:
    """The job as it is now; None when it is over, or Slurm cannot be asked. May take 5 s."""
    if not job:
        return None
    said = ask.ask(["scontrol", "show", "job", "-o", job], environ)
    found = record.parse(said.out) if said.code == 0 else None
    if found is None or found.state not in (*_WAITS, *_RUNS):
        return None
    waits = found.state in _WAITS
    return Standing(job=job, waits=waits, text=_waiting(found, now) if waits else _running(found, now))


def cancel(job: str, environ: Mapping[str, str]) -> str:
    """Take the job out of the queue; "" or why that did not work."""
    said = ask.ask(["scancel", job], environ)
    return "" if said.code == 0 else said.why


def _waiting(found: JobRecord, now: float) -> str:
    why = f" ({found.reason})" if found.reason not in ("", "None") else ""
    start = f", estimated to start in {units.duration(found.start - now)}" if found.start and found.start > now else ""
    return f"job {found.job} is {found.state.lower()}{why}{start}{_requeued(found)}"


def _running(found: JobRecord, now: float) -> str:
    left = f", {units.duration(found.end - now)} to its time limit" if found.end and found.end > now else ""
    return f"job {found.job} is {found.state.lower()} on {found.nodes}{left}{_requeued(found)}"


def _requeued(found: JobRecord) -> str:
    times = "once" if found.restarts == 1 else f"{found.restarts} times"
    return f", requeued {times}" if found.restarts else ""
