"""What a scheduler knows of a run: asked only about runs that have a job of one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import errors
from ckptrun.cli import desk
from ckptrun.runs import jobs, paths, records

if TYPE_CHECKING:
    from ckptrun.platforms.slurm.queue import Standing
    from ckptrun.runs.paths import RunPaths


def job_of(run: RunPaths) -> str:
    """The number of the run's last Slurm job, "" if it never had one: submitted, or that an attempt ran in."""
    try:
        submitted = jobs.latest(run)
        numbers = paths.attempts(run)
        record = records.read_attempt(run.attempt(numbers[-1])) if numbers else None
    except errors.CkptrunError:  # what is damaged is told by whoever shows the run
        return ""
    ran = record.job if record is not None and record.platform == "slurm" else ""
    if submitted is None:
        return ran
    later = record is not None and record.started >= submitted.submitted
    return ran if later and ran else submitted.job


def look(run: RunPaths) -> Standing | None:
    """The run's job while it waits or runs; None if there is none, or nobody can tell."""
    job = job_of(run)
    if not job:
        return None
    from ckptrun.platforms.slurm import queue  # noqa: PLC0415  # only for runs that have a job

    return queue.look(job, os.environ, desk.now())


def cancel(run: RunPaths) -> str:
    """Cancel the run's job if it waits in the queue; what was done, in words, "" = nothing."""
    standing = look(run)
    if standing is None or not standing.waits:
        return ""
    from ckptrun.platforms.slurm import queue  # noqa: PLC0415  # as above

    refused = queue.cancel(standing.job, os.environ)
    return (
        f"job {standing.job} could not be cancelled: {refused}" if refused else f"its queued job {standing.job} is cancelled"
    )
