"""What `scontrol show config` means for a job. Pure."""

from __future__ import annotations

from ckptrun.model import Noun
from ckptrun.platforms.slurm import record


class Partition(Noun, frozen=True, kw_only=True):
    """What of a partition decides how its jobs are preempted."""

    name: str = ""
    grace: float = 0.0  # GraceTime, seconds
    preempt_mode: str = ""  # OFF, CANCEL, REQUEUE, …


class Site(Noun, frozen=True, kw_only=True):
    """A cluster's settings that decide how a job ends and comes back. Times are seconds."""

    version: str = ""
    kill_wait: float | None = None  # from SIGTERM to SIGKILL
    over_time_limit: float = 0.0  # a job may run so much longer than its limit
    job_requeue: bool = True  # what a job without --requeue or --no-requeue gets
    requeue_codes: frozenset[int] = frozenset()
    proctrack: str = ""
    preempt_type: str = ""
    preempt_mode: str = ""
    user_signal_at_preemption: bool = False  # --signal is also sent when a preemption begins
    fields: dict[str, str] = {}


def partition(text: str) -> Partition | None:
    """From the first line of `scontrol show partition -o`, None if there is none."""
    line = next((line for line in text.splitlines() if line.startswith("PartitionName=")), "")
    fields = record.split(line)
    if not fields:
        return None
    grace = fields.get("GraceTime", "")
    return Partition(
        name=fields["PartitionName"],
        grace=float(grace) if grace.isdigit() else 0.0,
        preempt_mode=fields.get("PreemptMode", ""),
    )


def parse(text: str) -> Site:
    """From scontrol's answer; what is missing keeps its default."""
    fields = record.settings(text)
    parameters = f"{fields.get('SlurmctldParameters', '')},{fields.get('PreemptParameters', '')}"
    return Site(
        version=fields.get("SLURM_VERSION", ""),
        kill_wait=_amount(fields.get("KillWait", ""), 1.0),
        over_time_limit=_amount(fields.get("OverTimeLimit", ""), 60.0) or 0.0,
        job_requeue=fields.get("JobRequeue", "1") != "0",
        requeue_codes=record.codes(fields.get("RequeueExit", "")),
        proctrack=fields.get("ProctrackType", ""),
        preempt_type=fields.get("PreemptType", ""),
        preempt_mode=fields.get("PreemptMode", ""),
        user_signal_at_preemption="send_user_signal" in parameters,
        fields=fields,
    )


def _amount(text: str, unit: float) -> float | None:
    """`5 sec`, `0 min`: the number in seconds."""
    number = text.split(" ")[0]
    return int(number) * unit if number.isascii() and number.isdigit() else None
