"""What a scheduler knows of a run: asked only about runs that have a job of one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckptrun import errors
from ckptrun.cli import desk
from ckptrun.model import Noun
from ckptrun.runs import jobs, paths, records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckptrun.platforms.slurm.queue import Standing
    from ckptrun.runs.paths import RunPaths


def job_of(run: RunPaths) -> str:
    """The run's last Slurm job (`7`, or `7_2`), "" if it never had one: submitted, or that an attempt ran in."""
    try:
        submitted = jobs.latest(run)
        numbers = paths.attempts(run)
        record = records.read_attempt(run.attempt(numbers[-1])) if numbers else None
    except errors.CkptrunError:  # what is damaged is told by whoever shows the run
        return ""
    ran = (record.target or record.job) if record is not None and record.platform == "slurm" else ""
    if submitted is None:
        return ran
    later = record is not None and record.started >= submitted.submitted
    return ran if later and ran else submitted.job


class Found(Noun, frozen=True, kw_only=True):
    """The jobs of those runs whose job waits or runs, by the run's directory; and why there may be more that are not known."""

    jobs: dict[str, Standing] = {}
    trouble: str = ""


def look(runs: Iterable[RunPaths]) -> Found:
    """What waits or runs; Slurm is asked once for all, and only if one of the runs has had a job."""
    jobs_of = {run.dir: job for run in runs if (job := job_of(run))}
    if not jobs_of:
        return Found()
    from ckptrun.platforms.slurm import queue  # noqa: PLC0415  # only for runs that have a job

    found = queue.look(set(jobs_of.values()), os.environ, desk.now())
    there = {directory: found.jobs[job] for directory, job in jobs_of.items() if job in found.jobs}
    return Found(
        jobs=there, trouble=f"Slurm cannot be asked what waits in its queue: {found.trouble}" if found.trouble else ""
    )


def fields(standing: Standing | None) -> dict[str, Any] | None:
    """A job that is not over, for programs."""
    if standing is None:
        return None
    return {
        "job": standing.job,
        "waits": standing.waits,
        "state": standing.state,
        "reason": standing.reason or None,
        "text": standing.text,
    }


def cancel(runs: Iterable[RunPaths]) -> dict[str, str]:
    """Cancel the jobs of those runs whose job waits in the queue; what was done, in words, by the run's directory."""
    runs = list(runs)
    found = look(runs)
    waiting = {directory: each for directory, each in found.jobs.items() if each.waits}
    if found.trouble:
        return {run.dir: found.trouble for run in runs if job_of(run)}
    if not waiting:
        return {}
    from ckptrun.platforms.slurm import queue  # noqa: PLC0415  # as above

    refused = queue.cancel([each.job for each in waiting.values()], os.environ)
    told = "could not be cancelled: " + refused if refused else "is cancelled"
    return {directory: f"its queued job {each.job} {told}" for directory, each in waiting.items()}
