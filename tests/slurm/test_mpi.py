"""MPI: an allreduce in each step, interrupted and started again, ends with the same bits."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster import Cluster

SOURCE = os.path.join(os.path.dirname(__file__), "mpi_training.c")
NEEDED = ("mpicc", "mpirun")
INSTALL = "apt-get install --no-install-recommends libopenmpi-dev openmpi-bin"
STEPS, RANKS = 120, 3
ENV = {"OMPI_MCA_mpi_yield_when_idle": "1"}  # there may be fewer cores than ranks, which wait by spinning


def uninterrupted(steps: int, ranks: int) -> bytes:
    """The state after so many steps of mpi_training.c."""
    numbers, whole = [rank + 1 for rank in range(ranks)], (1 << 64) - 1
    for step in range(steps):
        total = sum(numbers)
        numbers = [
            ((number ^ total & whole) * 6364136223846793005 + step + rank + 1) & whole for rank, number in enumerate(numbers)
        ]
    return struct.pack(f"={ranks}Q", *numbers)


class Mpi:
    """A job that runs mpi_training.c in a directory of its own."""

    def __init__(self, slurm: Cluster, program: str, script: str, *options: str) -> None:
        self.slurm, self.folder = slurm, slurm.folder()
        shutil.copy(program, self.folder)
        script = script.format(train="ckptrun train --run r", program=f"./mpi_training {STEPS} 0.02")
        self.job = slurm.sbatch(script, *options, cwd=self.folder, env=ENV)

    def log(self) -> list[dict[str, Any]]:
        try:
            with open(os.path.join(self.folder, "steps.jsonl"), encoding="utf-8") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def wait_step(self) -> None:
        try:
            wait_until(lambda: len(self.log()) > 3, timeout=30, what="steps")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.slurm.tell(self.job)}\n{self.slurm.show(self.job)}") from None

    def wait_back(self) -> None:
        self.slurm.wait_restart(self.job, 1)
        with open(os.path.join(self.folder, "hurry"), "w", encoding="utf-8"):
            pass

    def check(self) -> None:
        """It was complete in the second attempt, did each step once, with all ranks, and ends with the right state."""
        record = self.slurm.wait(self.job, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        said = self.slurm.tell(self.job)
        assert record["JobState"] == "COMPLETED", said
        assert [line["step"] for line in self.log() if line["event"] == "step"] == list(range(STEPS)), said
        assert {line["ranks"] for line in self.log()} == {RANKS}
        with open(os.path.join(self.folder, "runs", "r", "attempts", "0002", "output", "final"), "rb") as file:
            assert file.read() == uninterrupted(STEPS, RANKS), said


@pytest.fixture(scope="module")
def program(_cluster: Cluster) -> str:
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        pytest.skip(f"MPI needs {', '.join(absent)}: {INSTALL}")
    path = os.path.join(_cluster.base, "mpi_training")
    subprocess.run(["mpicc", "-O1", "-o", path, SOURCE], check=True)
    return path


def warned(slurm: Cluster, mpi: Mpi) -> None:
    slurm.run("scancel", "--signal=USR1", "--batch", mpi.job)


def ranks_warned(slurm: Cluster, mpi: Mpi) -> None:
    slurm.run("scancel", "--signal=USR1", mpi.job)  # to every task


def requeued(slurm: Cluster, mpi: Mpi) -> None:
    slurm.run("scontrol", "requeue", mpi.job)


def preempted(slurm: Cluster, mpi: Mpi) -> None:
    slurm.sbatch("true", "--partition=high", "--nodes=3", "--exclusive", "--time=1", cwd=slurm.folder())


# How ckptrun stands to the ranks, options of the job, and what comes. mpirun starts its daemons as a step of Slurm's, and those end
# their ranks when Slurm signals them, so that below it only a warning, which goes to the batch script, leaves time for a save.
BELOW = {
    "srun": ("exec {train} -- srun --mpi=pmix_v4 {program}", ("--nodes=3", "--ntasks=3"), preempted),
    "mpirun": ("exec {train} -- mpirun -n 3 {program}", ("--nodes=1", "--ntasks=3"), warned),
}


@pytest.mark.parametrize("case", BELOW)
def test_ranks_below_one_ckptrun(slurm: Cluster, program: str, case: str) -> None:
    script, options, comes = BELOW[case]
    mpi = Mpi(slurm, program, script, "--partition=low", *options)
    mpi.wait_step()
    comes(slurm, mpi)
    mpi.wait_back()
    mpi.check()


# One ckptrun for each rank; the shell lives through the signals that Slurm sends it as well.
EACH = "trap : TERM USR1 USR2\nsrun --mpi=pmix_v4 {train} -- {program}\nexit $?"


@pytest.mark.parametrize("comes", [ranks_warned, requeued, preempted])
def test_a_ckptrun_for_each_rank(slurm: Cluster, program: str, comes: Callable[[Cluster, Mpi], None]) -> None:
    mpi = Mpi(slurm, program, EACH, "--partition=low", "--nodes=3", "--ntasks=3")
    mpi.wait_step()
    comes(slurm, mpi)
    mpi.wait_back()
    mpi.check()
