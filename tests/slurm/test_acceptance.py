"""One real training, twelve interruptions drawn from all kinds, by itself: complete in the end, the same bits, no step lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest
from cluster import KILL_WAIT
from support import wait_until
from training import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster import Cluster

INTERRUPTIONS = 12
STEPS = 300
MINUTES = 100  # the job's time limit; whoever shortens a run's end shortens it for all later runs
CYCLE = 10.0  # seconds from the script's end to its start in the next run, cred_expire=5 being most of it
SEED = "ACCEPTANCE_SEED"  # of an earlier failure, to see it again


# --- what happens ----------------------------------------------------------------------------------------------------------
def time_limit(slurm: Cluster, training: Training) -> None:
    slurm.run("scontrol", "update", f"JobId={training.job}", "EndTime=now+1")


def warned(slurm: Cluster, training: Training) -> None:
    """--signal=USR1@60 is due at once, and comes with the next look."""
    slurm.run("scontrol", "update", f"JobId={training.job}", "EndTime=now+4")


def requeue(slurm: Cluster, training: Training) -> None:
    slurm.run("scontrol", "requeue", training.job)


def term_by_hand(slurm: Cluster, training: Training) -> None:
    slurm.run("scancel", "--signal=TERM", training.job)


def usr1_by_hand(slurm: Cluster, training: Training) -> None:
    slurm.run("scancel", "--signal=USR1", training.job)


def preempted(slurm: Cluster, training: Training) -> None:
    node = slurm.show(training.job)["NodeList"]
    slurm.sbatch("true", "--partition=high", f"--nodelist={node}", "--exclusive", "--time=1", cwd=slurm.folder())


def node_down(slurm: Cluster, training: Training) -> None:
    node = slurm.show(training.job)["NodeList"]
    slurm.admin("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")


def slurmd_killed(slurm: Cluster, training: Training) -> None:
    """The job's processes live on, cut off for a while, as a lost node's are; `_back` lets them go on beside the next run."""
    os.kill(training.record(training.attempt())["pid"], signal.SIGSTOP)
    slurm.end_node(slurm.show(training.job)["NodeList"])
    node_down(slurm, training)


def ckptrun_killed(_slurm: Cluster, training: Training) -> None:
    """With all that is below it; 137 is in RequeueExit here."""
    top = psutil.Process(training.record(training.attempt())["pid"])
    for process in [top, *top.children(recursive=True)]:
        process.kill()


def controller_restarted(slurm: Cluster, training: Training) -> None:
    slurm.end_controller(signal.SIGTERM)  # killed, it would not know what it did in the last seconds
    slurm.start_controller()
    requeue(slurm, training)


def suspended(slurm: Cluster, training: Training) -> None:
    """What comes before a resume has taken effect overtakes it, and kills (test_endings): so the training must go on first."""
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


class Kind(NamedTuple):
    """A kind of interruption."""

    happens: Callable[[Cluster, Training], None]
    partition: str = "main"  # where the job must be for it
    announced: bool = True  # else the steps since the last save are done again


KINDS = {
    "time limit": Kind(time_limit),
    "--signal": Kind(warned),
    "scontrol requeue": Kind(requeue),
    "scancel --signal=TERM": Kind(term_by_hand),
    "scancel --signal=USR1": Kind(usr1_by_hand),
    "preempted": Kind(preempted, "low"),
    "preempted with grace": Kind(preempted, "lowgrace"),
    "preempted to be cancelled": Kind(preempted, "lowcut"),
    "preempted to be cancelled with grace": Kind(preempted, "lowcancel"),
    "node down": Kind(node_down),
    "slurmd killed": Kind(slurmd_killed, announced=False),
    "ckptrun killed": Kind(ckptrun_killed, announced=False),
    "controller restarted": Kind(controller_restarted),
    "suspended": Kind(suspended),
    "saved in between": Kind(saved_in_between),
}


@pytest.mark.timeout(240)  # a minute where nothing else runs
def test_twelve_interruptions(slurm: Cluster) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(1, 1_000_000))
    drawn = random.Random(seed).sample(sorted(KINDS), INTERRUPTIONS)
    print(f"{SEED}={seed}: {'; '.join(drawn)}")
    final = _uninterrupted(slurm)
    slurm.configure(RequeueExit="137")
    options = (f"--partition={KINDS[drawn[0]].partition}", f"--time={MINUTES}", "--signal=USR1@60")
    training = Training(slurm, "srun", *options, steps=STEPS, seconds=0.3, script="network.py")
    for number, name in enumerate(drawn, 1):
        training.wait_step(2, attempt=number)
        now = time.monotonic()
        KINDS[name].happens(slurm, training)
        _back(slurm, training, number, KINDS[drawn[number]].partition if number < INTERRUPTIONS else "main")
        _nodes_back(slurm, now)
    training.hurry()
    assert training.finish(final)["Restarts"] == str(INTERRUPTIONS)
    _check_steps(training, drawn)
    _check_ledger(training, drawn)
    _check_processes(training)


def _uninterrupted(slurm: Cluster) -> bytes:
    """The final weights of the same training by itself, without ckptrun around it."""
    folder = slurm.folder()
    for name in ("puppet.py", "network.py"):
        shutil.copy(os.path.join(os.path.dirname(__file__), name), folder)
    slurm.run("python3", "network.py", str(STEPS), "0", cwd=folder)
    with open(os.path.join(folder, "output", "final"), "rb") as file:
        return file.read()


def _back(slurm: Cluster, training: Training, number: int, partition: str) -> None:
    """Until it trains again, in the partition that what comes next needs. A node that was lost stays so."""
    slurm.wait(training.job, "PENDING", skip_delay=False)
    slurm.admin("scontrol", "update", f"JobId={training.job}", f"Partition={partition}", f"TimeLimit={MINUTES}")
    slurm.wait_restart(training.job, number)
    training.wait_event("start", number + 1)
    lost = training.record(number)["pid"]
    if psutil.pid_exists(lost) and psutil.Process(lost).status() == psutil.STATUS_STOPPED:
        os.kill(lost, signal.SIGCONT)
        wait_until(lambda: not _runs(lost), what="the lost node's ckptrun has found its lease taken")


def _nodes_back(slurm: Cluster, happened: float) -> None:
    """A lost node is used again only when its slurmd has stopped waiting for the job's end: KillWait after it was told to end
    the job, it kills whatever runs under the job's number, and would take the next run of the job for the last one's rest."""
    if slurm.lost():
        wait_until(lambda: time.monotonic() > happened + KILL_WAIT + 2)
        slurm.resume()


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


# --- judging -----------------------------------------------------------------------------------------------------------------
def _check_steps(training: Training, drawn: list[str]) -> None:
    """Every attempt went on after the last step that was done, or, if nothing had announced the end, after the last save."""
    log, done, saved = training.log(), -1, -1
    for attempt, before in enumerate(["", *drawn], 1):
        mine = [line for line in log if line["attempt"] == attempt]
        start = next(line for line in mine if line["event"] == "start")
        steps = [line["step"] for line in mine if line["event"] == "step"]
        announced = not before or KINDS[before].announced
        assert start["step"] == (done if announced else saved) + 1, (before, attempt, training.tell())
        assert steps == list(range(start["step"], start["step"] + len(steps))), (before, attempt)
        if before and announced:
            stopped = next(line for line in log if line["attempt"] == attempt - 1 and line["event"] == "stopped")
            assert start["time"] - stopped["time"] <= CYCLE, (before, attempt, training.tell())
        done, saved = steps[-1], max([saved, *(line["step"] for line in mine if line["event"] == "saved")])
    assert done == STEPS - 1


def _check_ledger(training: Training, drawn: list[str]) -> None:
    """Every attempt began and, unless it was killed without a word, ended, once, in order."""
    seen = [line for line in training.ledger() if line["event"] in ("attempt_started", "attempt_ended")]
    ends = [*(KINDS[name].announced for name in drawn), True]
    wanted = [
        (attempt, event)
        for attempt, ended in enumerate(ends, 1)
        for event in ("attempt_started", *(["attempt_ended"] if ended else []))
    ]
    assert [(line["attempt"], line["event"]) for line in seen] == wanted
    assert seen[-1]["outcome"] == "completed"


def _check_processes(training: Training) -> None:
    """Nothing of the user's is left on any node."""
    uid = os.stat(training.folder).st_uid

    def left() -> list[psutil.Process]:
        every = psutil.process_iter(["uids", "status"])
        mine = [one for one in every if one.info["uids"] and one.info["uids"].real == uid]
        return [one for one in mine if one.info["status"] != psutil.STATUS_ZOMBIE]

    wait_until(lambda: not left(), what="nothing is left")
