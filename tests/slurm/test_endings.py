"""Every way a job ends, on a real Slurm, in every way ckptrun can stand in it: what is asked and when, what is saved, what comes back.

One row of EVENTS is one test, and each column of it a job of its own, all at the same time.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cluster as clusters
import pytest
from support import wait_until
from training import STANDING, Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster import Cluster

    Jobs = list[str]

# What can become of a job:
BACK = "asked at once, saved, and back by itself: no step lost, none done twice"
LATE = "the same, but asked only when GraceTime is over"
SAVED = "asked at once to save, saved, and goes on while there is time"
DEAF = "not reached by it: goes on as if nothing had been"
STOPPED = "asked at once, saved, and over for good"
LOST = "killed without a word; Slurm starts it again, from what was saved before"
KILLED = "killed without a word, and over for good"


# --- what happens ----------------------------------------------------------------------------------------------------------
def time_limit(slurm: Cluster, jobs: Jobs) -> None:
    for job in jobs:
        slurm.run("scontrol", "update", f"JobId={job}", "EndTime=now+1")


def warned(slurm: Cluster, jobs: Jobs) -> None:
    """--signal is due at once, and comes with the next look."""
    for job in jobs:
        slurm.run("scontrol", "update", f"JobId={job}", "EndTime=now+80")


def nothing_more(_slurm: Cluster, _jobs: Jobs) -> None:
    """The end was known from the beginning."""


def requeue(slurm: Cluster, jobs: Jobs) -> None:
    slurm.run("scontrol", "requeue", ",".join(jobs))


def requeue_and_hold(slurm: Cluster, jobs: Jobs) -> None:
    slurm.run("scontrol", "requeuehold", ",".join(jobs))
    for job in jobs:
        slurm.wait(job, "PENDING")
    slurm.run("scontrol", "release", ",".join(jobs))


def preempt(slurm: Cluster, _jobs: Jobs) -> None:
    slurm.sbatch("sleep 0.5", "--partition=high", "--nodes=3", "--exclusive", "--time=1", cwd=slurm.folder())


def node_down(slurm: Cluster, jobs: Jobs) -> None:
    for node in {slurm.show(job)["NodeList"] for job in jobs}:
        slurm.admin("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")


def controller_restarts(slurm: Cluster, jobs: Jobs) -> None:
    slurm.end_controller(signal.SIGTERM)  # killed, it would not know a job that is two seconds old
    slurm.start_controller()
    requeue(slurm, jobs)


def suspend(slurm: Cluster, jobs: Jobs) -> None:
    slurm.admin("scontrol", "suspend", ",".join(jobs))
    wait_until(lambda: all(slurm.frozen(job) for job in jobs), what="every job is frozen")


def suspend_and_resume(slurm: Cluster, jobs: Jobs) -> None:
    suspend(slurm, jobs)
    slurm.admin("scontrol", "resume", ",".join(jobs))


def suspend_and_requeue(slurm: Cluster, jobs: Jobs) -> None:
    suspend(slurm, jobs)
    requeue(slurm, jobs)
    for job in jobs:
        assert slurm.wait(job, "PENDING")["Reason"] == "JobHeldAdmin"  # who suspends a job takes its priority away
    slurm.admin("scontrol", "release", ",".join(jobs))


def suspend_and_cancel(slurm: Cluster, jobs: Jobs) -> None:
    suspend(slurm, jobs)
    slurm.run("scancel", *jobs)


def scancel(*options: str) -> Callable[[Cluster, Jobs], None]:
    def cancel(slurm: Cluster, jobs: Jobs) -> None:
        slurm.run("scancel", *options, *jobs)

    return cancel


# --- the matrix: what happens, options of the jobs, the outcome of what was asked, and what becomes of it, by STANDING -------
AT_THE_END = "timed_out"
AWAY = "preempted"
BY_HAND = "stopped"
EVENTS: dict[str, tuple[Callable[[Cluster, Jobs], None], tuple[str, ...], str, tuple[str, str, str, str]]] = {
    #                                                                                         exec, srun, forwarded, plain
    "a time limit that is known": (nothing_more, ("--time=100",), AT_THE_END, (BACK, BACK, BACK, BACK)),
    "a time limit that was shortened": (time_limit, ("--time=2",), AT_THE_END, (BACK, BACK, BACK, KILLED)),
    "--signal": (warned, ("--time=5", "--signal=USR1@60"), "completed", (DEAF, SAVED, DEAF, DEAF)),
    "--signal=B:": (warned, ("--time=5", "--signal=B:USR1@60"), "completed", (SAVED, DEAF, SAVED, KILLED)),
    "scancel": (scancel(), (), BY_HAND, (STOPPED, STOPPED, STOPPED, KILLED)),
    "scancel --signal=TERM": (scancel("--signal=TERM"), ("--time=100",), AWAY, (DEAF, BACK, DEAF, DEAF)),
    "scancel --signal=TERM --batch": (scancel("--signal=TERM", "-b"), ("--time=100",), AWAY, (BACK, DEAF, BACK, KILLED)),
    "scancel --signal=TERM --full": (scancel("--signal=TERM", "-f"), ("--time=100",), AWAY, (BACK, KILLED, BACK, KILLED)),
    "scancel --signal=USR1": (scancel("--signal=USR1"), ("--time=100",), AWAY, (DEAF, BACK, DEAF, DEAF)),
    "scancel --signal=USR1 --batch": (scancel("--signal=USR1", "-b"), ("--time=100",), AWAY, (BACK, DEAF, BACK, KILLED)),
    "scancel --signal=USR1 --full": (scancel("--signal=USR1", "-f"), ("--time=100",), AWAY, (BACK, BACK, BACK, KILLED)),
    "requeue": (requeue, (), AWAY, (BACK, BACK, BACK, LOST)),
    "requeuehold, release": (requeue_and_hold, (), AWAY, (BACK, BACK, BACK, LOST)),
    "preempted": (preempt, ("--partition=low",), AWAY, (BACK, BACK, BACK, LOST)),
    "preempted with grace": (preempt, ("--partition=lowgrace",), AWAY, (LATE, BACK, LATE, LOST)),
    "preempted to be cancelled": (preempt, ("--partition=lowcut",), AWAY, (BACK, BACK, BACK, KILLED)),
    "preempted to be cancelled with grace": (preempt, ("--partition=lowcancel",), AWAY, (LATE, BACK, LATE, KILLED)),
    "node down": (node_down, (), AWAY, (BACK, BACK, BACK, LOST)),
    "controller restarted, requeue": (controller_restarts, (), AWAY, (BACK, BACK, BACK, LOST)),
    "suspended and resumed": (suspend_and_resume, (), "", (DEAF, DEAF, DEAF, DEAF)),
    "requeued while suspended": (suspend_and_requeue, (), "", (LOST, LOST, LOST, LOST)),
    "cancelled while suspended": (suspend_and_cancel, (), "", (KILLED, KILLED, KILLED, KILLED)),
}
# The controller gives the job an end that is near; this must happen before ckptrun asks, once.
NEAR = '[ -n "$SLURM_RESTART_COUNT" ] || scontrol update JobId=$SLURM_JOB_ID EndTime=now+12'


@pytest.mark.parametrize("event", EVENTS)
def test_a_job_ends(slurm: Cluster, event: str) -> None:
    if slurm.proctrack != "cgroup":
        pytest.skip("only proctrack/cgroup keeps signals from children, and there is no writable freezer here")
    happens, options, outcome, cells = EVENTS[event]
    before = NEAR if happens is nothing_more else ""
    trainings = [Training(slurm, standing, *options, before=before) for standing in STANDING]
    for training in trainings:
        training.wait_step()
    begun = time.time()
    happens(slurm, [training.job for training in trainings])
    columns = list(zip(trainings, cells, strict=True))
    with ThreadPoolExecutor(len(columns)) as at_once:
        for hear in (True, False):  # who hears nothing is looked at when all others have heard it
            seen = [
                (standing, at_once.submit(CHECKS[cell], slurm, training, outcome, begun))
                for standing, (training, cell) in zip(STANDING, columns, strict=True)
                if (cell != DEAF) == hear
            ]
            wrong = {standing: error for standing, check in seen if (error := check.exception()) is not None}
            assert not wrong, "\n\n".join(f"{standing}: {error}" for standing, error in wrong.items())


# --- what becomes of it ------------------------------------------------------------------------------------------------------
def _back(slurm: Cluster, training: Training, outcome: str, begun: float) -> None:
    _returned(slurm, training, outcome)
    assert _asked(training) - begun < clusters.GRACE, training.tell()


def _late(slurm: Cluster, training: Training, outcome: str, begun: float) -> None:
    _returned(slurm, training, outcome)
    assert _asked(training) - begun >= clusters.GRACE - 1, training.tell()


def _returned(slurm: Cluster, training: Training, outcome: str) -> None:
    training.wait_back()
    training.finish()
    training.check_steps()
    first = training.record(1)
    assert (first["outcome"], len(first["checkpoints"])) == (outcome, 1), training.tell()
    assert slurm.show(training.job)["Restarts"] == "1"


def _saved(slurm: Cluster, training: Training, _outcome: str, _begun: float) -> None:
    training.wait_event("saved")
    _deaf(slurm, training, "", 0.0)
    assert len(training.record(1)["checkpoints"]) == 2  # and the last step's


def _deaf(slurm: Cluster, training: Training, _outcome: str, _begun: float) -> None:
    done = len(training.log())
    wait_until(lambda: len(training.log()) > done + 1, what="it goes on")
    training.hurry()
    assert training.finish()["Restarts"] == "0"
    training.check_steps()
    assert not [line for line in training.log() if line["event"] == "stopped"]


def _stopped(slurm: Cluster, training: Training, outcome: str, _begun: float) -> None:
    record = slurm.wait(training.job, "CANCELLED", "COMPLETED", "FAILED")
    assert (record["JobState"], record["Restarts"]) == ("CANCELLED", "0"), training.tell()
    first = training.record(1)
    assert (first["outcome"], first["exit_code"], len(first["checkpoints"])) == (outcome, 93, 1)


def _lost(_slurm: Cluster, training: Training, _outcome: str, _begun: float) -> None:
    training.wait_back()
    training.finish()
    first = training.record(1)
    assert (first["outcome"], first["checkpoints"]) == ("killed", []), training.tell()
    assert [line["step"] for line in training.log() if line["event"] == "start"] == [0, 0]


def _killed(slurm: Cluster, training: Training, _outcome: str, _begun: float) -> None:
    record = slurm.wait(training.job, "CANCELLED", "FAILED", "TIMEOUT", "PREEMPTED")
    assert record["Restarts"] == "0"
    first = training.record(1)
    assert (first["outcome"], first["checkpoints"]) == ("", []), training.tell()  # nobody is left to write it


CHECKS = {BACK: _back, LATE: _late, SAVED: _saved, DEAF: _deaf, STOPPED: _stopped, LOST: _lost, KILLED: _killed}


def _asked(training: Training) -> float:
    """When the script ended because it was asked to."""
    return float(next(line["time"] for line in training.log() if line["event"] == "stopped"))
