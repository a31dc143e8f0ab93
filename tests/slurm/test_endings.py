"""Every way a job ends, on a real Slurm, in every way ckptrun can stand in it: what is saved, and whether it comes back."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from training import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster import Cluster

EVERYWHERE = ("exec", "srun", "forwarded")


def time_limit(slurm: Cluster, job: str) -> None:
    slurm.run("scontrol", "update", f"JobId={job}", "EndTime=now+1")


def requeue(slurm: Cluster, job: str) -> None:
    slurm.run("scontrol", "requeue", job)


def preempt(slurm: Cluster, _job: str) -> None:
    slurm.sbatch("sleep 0.5", "--partition=high", "--nodes=3", "--exclusive", "--time=1", cwd=slurm.folder())


def node_down(slurm: Cluster, job: str) -> None:
    node = slurm.show(job)["NodeList"]
    slurm.admin("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")


def controller_restarts(slurm: Cluster, job: str) -> None:
    slurm.end_controller(signal.SIGTERM)  # killed, it would not know a job that is two seconds old
    slurm.start_controller()
    requeue(slurm, job)


# What happens, options of the job, and how the attempt before the last one is judged.
EVENTS: dict[str, tuple[Callable[[Cluster, str], None], tuple[str, ...], str]] = {
    "time limit": (time_limit, ("--time=2",), "timed_out"),
    "requeue": (requeue, (), "preempted"),
    "preempted": (preempt, ("--partition=low",), "preempted"),
    "preempted with grace": (preempt, ("--partition=lowgrace",), "preempted"),
    "preempted to be cancelled": (preempt, ("--partition=lowcancel",), "preempted"),
    "controller restarted": (controller_restarts, (), "preempted"),
}


@pytest.mark.parametrize("standing", EVERYWHERE)
@pytest.mark.parametrize("event", EVENTS)
def test_it_is_saved_and_comes_back_by_itself(slurm: Cluster, event: str, standing: str) -> None:
    happens, options, outcome = EVENTS[event]
    training = Training(slurm, standing, *options)
    training.wait_step()
    happens(slurm, training.job)
    training.wait_back()
    training.finish()
    training.check_steps()
    first = training.record(1)
    assert (first["outcome"], len(first["checkpoints"])) == (outcome, 1), training.tell()
    assert slurm.show(training.job)["Restarts"] == "1"


@pytest.mark.parametrize("standing", EVERYWHERE)
def test_a_cancelled_job_is_saved_and_stays_cancelled(slurm: Cluster, standing: str) -> None:
    training = Training(slurm, standing)
    training.wait_step()
    slurm.run("scancel", training.job)
    record = slurm.wait(training.job, "CANCELLED", "COMPLETED", "FAILED")
    assert (record["JobState"], record["Restarts"]) == ("CANCELLED", "0"), training.tell()
    first = training.record(1)
    assert (first["outcome"], first["exit_code"], len(first["checkpoints"])) == ("stopped", 93, 1)


# Who is signalled by hand, and with which option of scancel.
BY_HAND = [("exec", "--batch"), ("exec", "--full"), ("srun", ""), ("srun", "--full"), ("forwarded", "--batch")]


@pytest.mark.parametrize(("standing", "option"), BY_HAND)
def test_a_signal_by_hand_saves_and_requeues(slurm: Cluster, standing: str, option: str) -> None:
    training = Training(slurm, standing, "--time=100")
    training.wait_step()
    slurm.run("scancel", "--signal=USR1", *([option] if option else []), training.job)
    training.wait_back()
    training.finish()
    training.check_steps()
    assert len(training.record(1)["checkpoints"]) == 1
