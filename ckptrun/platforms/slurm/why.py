"""Why were we signalled? From the job's record alone. PURE.

A signal says nothing: a warning, a preemption, a time limit, a requeue by anybody and a scancel all look the same to a
process. What the record shows in each case was seen on Slurm 22.05.
"""

from __future__ import annotations

from ckptrun import names, units
from ckptrun.platforms.base import Why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ckptrun.platforms.slurm.record import JobRecord

NEAR_SECONDS = 3600.0  # a limit farther away than this is not what a signal warns of
_ALIVE = ("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "CONFIGURING", "RESIZING", "STAGE_OUT")


def explain(record: JobRecord | None, *, mine: int, now: float) -> Why:
    """Why Slurm signals this job's run number `mine` (0 = the first), and whether it will run again by itself.

    Args:
        record: the job's record, asked for after the signal; None = nobody could tell.
        mine: SLURM_RESTART_COUNT, or 0.
        now: Unix time.
    """
    if record is None:
        return Why(sentence="Slurm does not say why")
    if record.restarts > mine:
        return _requeued(record)
    if record.state in _ALIVE:
        return _still_running(record, now)
    if record.reason == "TimeLimit" or record.state == "TIMEOUT":
        return Why(cause=names.TIMED_OUT, sentence="the job's time limit")
    if record.preempted is not None or record.state == "PREEMPTED":
        return Why(cause=names.PREEMPTED, sentence="preempted by another job, to be cancelled")
    if record.reason in ("NodeDown", "NodeFail") or record.state == "NODE_FAIL":
        return Why(cause=names.PREEMPTED, sentence="a node of the job failed")
    if record.state == "PENDING":  # the controller counts a restart late
        return Why(cause=names.PREEMPTED, sentence="Slurm has put the job back into the queue", comes_back=True)
    return Why(cause=names.STOPPED_BY_USER, sentence="the job was cancelled (scancel)")


def _requeued(record: JobRecord) -> Why:
    lost = record.state == "PENDING" or record.reason in ("NodeDown", "NodeFail")
    sentence = "a node was lost, and Slurm has requeued the job" if lost else "Slurm has requeued the job"
    return Why(cause=names.PREEMPTED, sentence=sentence, comes_back=True)


def _still_running(record: JobRecord, now: float) -> Why:
    left = None if record.end is None else record.end - now
    if record.preempted is not None:
        time = "" if left is None else f", which ends in {units.duration(max(0.0, left))}"
        return Why(cause=names.PREEMPTED, sentence=f"preempted by another job: its grace time{time}")
    if left is not None and left <= NEAR_SECONDS:
        return Why(cause=names.TIMED_OUT, sentence=f"a warning: the time limit comes in {units.duration(max(0.0, left))}")
    return Why(cause=names.PREEMPTED, sentence="a signal that somebody sent; the job itself goes on")
