"""One training, twelve interruptions of every kind, by itself: complete in the end, the same bits, no step lost or doubled."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import psutil
from support import wait_until
from training import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster import Cluster


def time_limit(slurm: Cluster, training: Training) -> None:
    slurm.run("scontrol", "update", f"JobId={training.job}", "EndTime=now+1")


def requeue(slurm: Cluster, training: Training) -> None:
    slurm.run("scontrol", "requeue", training.job)


def by_hand(slurm: Cluster, training: Training) -> None:
    slurm.run("scancel", "--signal=TERM", training.job)


def preempted(slurm: Cluster, _training: Training) -> None:
    high = slurm.sbatch("true", "--partition=high", "--nodes=3", "--exclusive", "--time=1", cwd=slurm.folder())
    slurm.wait(high, "COMPLETED")


def suspended_then_requeued(slurm: Cluster, training: Training) -> None:
    slurm.admin("scontrol", "suspend", training.job)
    wait_until(lambda: slurm.show(training.job)["JobState"] == "SUSPENDED")
    slurm.admin("scontrol", "resume", training.job)
    done = len(training.log())
    wait_until(lambda: len(training.log()) > done, what="steps after a suspension")
    requeue(slurm, training)


def saved_in_between(slurm: Cluster, training: Training) -> None:
    """A save that was asked for must not be in the way of the stop that follows."""
    slurm.run("ckptrun", "save", "r", cwd=training.folder)
    requeue(slurm, training)


KINDS: list[Callable[[Cluster, Training], None]] = [
    time_limit,
    requeue,
    by_hand,
    preempted,
    suspended_then_requeued,
    saved_in_between,
]
INTERRUPTIONS = 12


def test_twelve_interruptions(slurm: Cluster) -> None:
    drawn = [*KINDS, *KINDS]
    random.Random(7).shuffle(drawn)
    training = Training(slurm, "srun", "--partition=low", "--time=100", steps=300, seconds=0.2)
    for number, happens in enumerate(drawn, 1):
        training.wait_step(2, attempt=number)
        happens(slurm, training)
        slurm.wait_restart(training.job, number)
        training.wait_event("start", number + 1)
    training.hurry()
    record = training.finish()
    training.check_steps()
    assert record["Restarts"] == str(INTERRUPTIONS)
    _check_ledger(training)
    uid = os.stat(training.folder).st_uid
    left = [
        process for process in psutil.process_iter(["uids"]) if process.info["uids"] and process.info["uids"].real == uid
    ]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def _check_ledger(training: Training) -> None:
    """Every attempt began and ended, once, in order, and nothing is unreadable."""
    seen = [line for line in training.ledger() if line["event"] in ("attempt_started", "attempt_ended")]
    numbers = [(line["attempt"], line["event"]) for line in seen]
    attempts = range(1, INTERRUPTIONS + 2)
    assert numbers == [(number, event) for number in attempts for event in ("attempt_started", "attempt_ended")]
    assert [line["outcome"] for line in seen if line["event"] == "attempt_ended"][-1] == "completed"
