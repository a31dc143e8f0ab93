"""Slurm, as far as a job's own environment tells, and whether another job is over.

Facts are of Slurm 22.05: SLURM_RESTART_COUNT is absent in a job's first run, SLURM_JOB_END_TIME came with 23.02, and the
batch step has no SLURM_STEP_ID.
"""

from __future__ import annotations

import math

from ckptrun import names
from ckptrun.model import Holder, Identity, JobIdentity
from ckptrun.platforms import base, machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "slurm"
ASK_SECONDS = 5.0  # how long squeue may take; a controller that is gone lets it hang for 18 s
# Slurm's word for a job's state: is the job over, so that nothing of it writes any more? A state that is missing here is
# unknown. So is PENDING (requeued: the run before may live on, on a node that was lost) and NODE_FAIL (the same).
_OVER = {
    "COMPLETED": True,
    "CANCELLED": True,
    "FAILED": True,
    "TIMEOUT": True,
    "PREEMPTED": True,
    "OUT_OF_MEMORY": True,
    "BOOT_FAIL": True,
    "DEADLINE": True,
    "RUNNING": False,
    "SUSPENDED": False,
    "STOPPED": False,
    "SIGNALING": False,
    "STAGE_OUT": False,
}


class Slurm:
    """A process inside a Slurm job."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def identity(self) -> Identity:
        """See `base.Platform`."""
        return base.identity()

    def job(self) -> JobIdentity:
        """The job; automatic if Slurm started it again, or if ckptrun submitted it."""
        environ = self._environ
        restart = _whole(environ.get("SLURM_RESTART_COUNT", ""))
        return JobIdentity(
            platform=NAME,
            job=environ.get("SLURM_JOB_ID", ""),
            cluster=environ.get("SLURM_CLUSTER_NAME", ""),
            restart=restart,
            automatic=restart > 0 or bool(environ.get(names.ENV_SUBMITTED)),
            batch_step="SLURM_STEP_ID" not in environ and machine.parent_name() == "slurmstepd",
        )

    def end_time(self) -> tuple[float | None, str]:
        """The end of the job's time limit, from SLURM_JOB_END_TIME."""
        try:
            end = float(self._environ.get("SLURM_JOB_END_TIME", ""))
        except ValueError:
            return None, ""
        if not math.isfinite(end) or end <= 0:
            return None, ""
        return end, f"the time limit of Slurm job {self.job().job}"

    def grace(self) -> float | None:
        """Unknown: KillWait is the site's, and nothing in the environment says it."""
        return None

    def is_over(self, holder: Holder) -> bool | None:
        """Ask squeue about the holder's job. Our own job's earlier run, and another cluster's job, are unknown."""
        ours = self.job()
        if holder.platform != NAME or holder.cluster != ours.cluster or not holder.job.isdigit() or holder.job == ours.job:
            return None
        return _is_over(holder.job)

    def why_stopped(self) -> str | None:
        """Unknown from the environment alone."""
        return None

    def requeue(self) -> bool:
        """Not asked for here: exit code and `--requeue` are the batch script's."""
        return False


def _is_over(job: str) -> bool | None:
    import subprocess  # noqa: PLC0415  # only when a lease's holder is in doubt

    command = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]
    try:
        ran = subprocess.run(command, capture_output=True, check=False, timeout=ASK_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    if ran.returncode != 0:
        return True if b"Invalid job id" in ran.stderr else None  # the controller has forgotten it: over for minutes
    states = [_OVER.get(word) for word in ran.stdout.decode("ascii", "replace").split()]
    return states[0] if len(states) == 1 else None


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
