"""What `scontrol show config` means for a job. Pure."""

from __future__ import annotations

from ckptrun.model import Noun
from ckptrun.platforms.slurm import record


class Partition(Noun, frozen=True, kw_only=True):
    """What of a partition decides how its jobs are preempted."""

    name: str = ""
    grace: float = 0.0  # GraceTime, seconds
    preempt_mode: str = ""  # OFF, CANCEL, REQUEUE, …
    tier: int = 0  # PriorityTier: jobs of a higher one preempt those of a lower one
    top: bool = False  # none is higher


class Site(Noun, frozen=True, kw_only=True):
    """A cluster's settings that decide how a job ends and comes back. Times are seconds."""

    version: str = ""
    kill_wait: float | None = None  # from SIGTERM to SIGKILL
    over_time_limit: float = 0.0  # a job may run so much longer than its limit
    job_requeue: bool = True  # what a job without --requeue or --no-requeue gets
    requeue_codes: frozenset[int] = frozenset()
    hold_codes: frozenset[int] = frozenset()  # these bring a job back held, until somebody releases it
    appends: bool = False  # what a job writes is appended to its file unless it says otherwise
    proctrack: str = ""
    preempt_type: str = ""
    preempt_mode: str = ""
    user_signal_at_preemption: bool = False  # --signal is also sent when a preemption begins
    fields: dict[str, str] = {}

    def preempts(self, partition: Partition) -> bool:
        """Whether jobs of a partition may have to make room for others, be it that they are suspended and go on."""
        highest = partition.top and self.preempt_type.endswith("partition_prio")
        return not highest and not self.preempt_type.endswith("none") and partition.preempt_mode not in ("OFF", "")

    def ends(self, partition: Partition) -> bool:
        """Whether they are ended then."""
        return self.preempts(partition) and ("REQUEUE" in partition.preempt_mode or "CANCEL" in partition.preempt_mode)


def partitions(text: str) -> list[Partition]:
    """From the lines of `scontrol show partition -o`."""
    lines = [record.split(line) for line in text.splitlines() if line.startswith("PartitionName=")]
    highest = max((_whole(fields.get("PriorityTier", "")) for fields in lines), default=0)
    return [_partition(fields, highest) for fields in lines]


def _partition(fields: dict[str, str], highest: int) -> Partition:
    tier = _whole(fields.get("PriorityTier", ""))
    return Partition(
        name=fields["PartitionName"],
        grace=float(_whole(fields.get("GraceTime", ""))),
        preempt_mode=fields.get("PreemptMode", ""),
        tier=tier,
        top=tier == highest,
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
        hold_codes=record.codes(fields.get("RequeueExitHold", "")),
        appends=fields.get("JobFileAppend", "0") == "1",
        proctrack=fields.get("ProctrackType", ""),
        preempt_type=fields.get("PreemptType", ""),
        preempt_mode=fields.get("PreemptMode", ""),
        user_signal_at_preemption="send_user_signal" in parameters,
        fields=fields,
    )


def _amount(text: str, unit: float) -> float | None:
    """`5 sec`, `0 min`: the number in seconds."""
    number = text.split(" ", maxsplit=1)[0]
    return int(number) * unit if number.isascii() and number.isdigit() else None


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
