"""A job as its owner asks about it from outside: waiting for what, running where, requeued how often, how long to go."""

from __future__ import annotations

from ckptrun import units
from ckptrun.model import Noun
from ckptrun.platforms.slurm import array, ask, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ckptrun.platforms.slurm.ask import Answer
    from ckptrun.platforms.slurm.record import JobRecord

_WAITS = ("PENDING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
_FORGOTTEN = "Invalid job id specified"
_RUNS = ("RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING", "STOPPED")


class Standing(Noun, frozen=True, kw_only=True):
    """What to show of a job that is not over."""

    job: str
    waits: bool  # it is in the queue
    state: str  # Slurm's word for it
    reason: str = ""  # and for why it waits
    text: str


class Looked(Noun, frozen=True, kw_only=True):
    """What a look into the queue has found, and why it may be less than there is."""

    jobs: dict[str, Standing] = {}
    trouble: str = ""


def look(jobs: Collection[str], environ: Mapping[str, str], now: float) -> Looked:
    """Those of the jobs (`7`, or `7_2` for one task) that are not over. May take 5 s.

    One question for all: an array of hundreds is one line of it.
    """
    if not jobs:
        return Looked()
    asked = "".join(f"show job {job}\n" for job in sorted({job.partition("_")[0] for job in jobs}))
    said = ask.ask(
        ["scontrol", "-o"], {**environ, "SLURM_BITSTR_LEN": "0"}, asked.encode()
    )  # 0: numbers of tasks, all of them
    found = {name: each for line in said.out.splitlines() if (each := record.parse(line)) for name in _names(each)}
    left = {job: found[job] for job in jobs if job in found and found[job].state in (*_WAITS, *_RUNS)}
    return Looked(jobs={job: _standing(job, each, now) for job, each in left.items()}, trouble=_trouble(said))


def cancel(jobs: Sequence[str], environ: Mapping[str, str]) -> str:
    """Take the jobs out of the queue; "" or why that did not work."""
    said = ask.ask(["scancel", *jobs], environ)
    return "" if said.code == 0 else said.why


def _trouble(said: Answer) -> str:
    """Why Slurm could not be asked; a job that it has forgotten is over, and where there is no Slurm nothing waits."""
    if said.code in (0, ask.MISSING):
        return ""
    if said.code == ask.HANGS:
        return said.why
    lines = [line for line in said.err.splitlines() if line.strip() and _FORGOTTEN not in line]
    return lines[0].strip() if lines else ""


def _names(found: JobRecord) -> list[str]:
    """What the job can be asked for by; tasks of an array that wait have one record together."""
    tasks = array.numbers(found.array_task) if found.array_job else None
    return [f"{found.array_job}_{task}" for task in tasks] if tasks else [found.job]


def _standing(job: str, found: JobRecord, now: float) -> Standing:
    waits = found.state in _WAITS
    text = _waiting(job, found, now) if waits else _running(job, found, now)
    return Standing(job=job, waits=waits, state=found.state, reason=_reason(found) if waits else "", text=text)


def _reason(found: JobRecord) -> str:
    return "" if found.reason in ("", "None") else found.reason


def _waiting(job: str, found: JobRecord, now: float) -> str:
    why = f" ({reason})" if (reason := _reason(found)) else ""
    start = f", estimated to start in {units.duration(found.start - now)}" if found.start and found.start > now else ""
    return f"job {job} is {found.state.lower()}{why}{start}{_requeued(found)}"


def _running(job: str, found: JobRecord, now: float) -> str:
    left = f", {units.duration(found.end - now)} to its time limit" if found.end and found.end > now else ""
    return f"job {job} is {found.state.lower()} on {found.nodes}{left}{_requeued(found)}"


def _requeued(found: JobRecord) -> str:
    times = "once" if found.restarts == 1 else f"{found.restarts} times"
    return f", requeued {times}" if found.restarts else ""
