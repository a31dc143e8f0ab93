"""The cluster itself: what the other tests of this room stand on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import cluster as clusters

if TYPE_CHECKING:
    from cluster import Cluster


def test_three_nodes_run_tasks_of_an_ordinary_user(slurm: Cluster) -> None:
    ran = slurm.run("srun", "--nodes=3", "sh", "-c", "echo $SLURMD_NODENAME $(id -un)")
    assert sorted(ran.stdout.splitlines()) == sorted(f"{node} {slurm.user}" for node in slurm.nodes[: clusters.NODES])


def test_the_user_has_ckptrun_on_a_node(slurm: Cluster) -> None:
    ran = slurm.run("srun", "ckptrun", "--version")
    assert "0." in ran.stdout


def test_a_requeued_job_is_back_at_once(slurm: Cluster) -> None:
    folder = slurm.folder()
    job = slurm.sbatch('echo "run ${SLURM_RESTART_COUNT:-0}"; exec sleep 60', cwd=folder)
    slurm.wait(job, "RUNNING")
    begun = time.monotonic()
    slurm.run("scontrol", "requeue", job)
    slurm.wait_restart(job, 1)
    assert time.monotonic() - begun < clusters.KILL_WAIT
