"""`ckptrun doctor` on a cluster."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from training import Training

if TYPE_CHECKING:
    from cluster import Cluster


def test_a_cluster_and_a_script_are_examined(slurm: Cluster) -> None:
    folder = slurm.folder()
    with open(os.path.join(folder, "job.sh"), "w", encoding="utf-8") as file:
        file.write("#!/bin/bash\nckptrun train t.py\n")
    ran = slurm.run("ckptrun", "doctor", "--json", "job.sh", cwd=folder, check=False)
    assert ran.returncode == 1
    found = json.loads(ran.stdout)["findings"]
    texts = {finding["about"]: [] for finding in found}
    for finding in found:
        texts[finding["about"]].append((finding["level"], finding["text"]))
    assert any(level == "problem" for level, _ in texts["script"])
    assert any("KillWait: 5.0 s" in text for _, text in texts["slurm"])
    assert any("partition lowcancel: preemption by CANCEL" in text for _, text in texts["slurm"])
    healthy = slurm.run("ckptrun", "doctor", cwd=folder)
    assert healthy.returncode == 0
    for text in ("Slurm 2", "JobFileAppend=0", "preempt_send_user_signal is not set", "JobRequeue=1"):
        assert text in healthy.stdout


def test_a_configuration_that_is_another_one(slurm: Cluster) -> None:
    slurm.configure(
        JobFileAppend="1", SlurmctldParameters="preempt_send_user_signal", RequeueExit="93", RequeueExitHold="75", JobRequeue="0", OverTimeLimit="2"
    )  # fmt: skip
    said = slurm.run("ckptrun", "doctor", cwd=slurm.folder(), check=False)
    assert said.returncode == 1
    for text in (
        "ok: what a job writes is kept",
        "ok: preempt_send_user_signal",
        "note: RequeueExit has 93",
        "problem: RequeueExitHold has 75",
        "note: jobs are not requeued unless they ask for it",
        "OverTimeLimit: jobs may run 2m 00s",
    ):
        assert text in said.stdout, said.stdout


# Ways to start ckptrun, and whether the doctor says that work would be lost.
WAYS = {
    "waits once": ("trap 'kill -TERM $pid' TERM\n{command} & pid=$!\nwait $pid", True),
    "waits again": ("trap 'kill -TERM $pid' TERM\n{command} & pid=$!\nwait $pid; wait $pid", False),
    "pipeline": ("exec {command} 2>&1 | cat", True),
    "function": ("main() {{\n  exec {command}\n}}\nmain", False),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_it_says_of_a_script_is_what_happens(slurm: Cluster, way: str) -> None:
    body, loses = WAYS[way]
    if slurm.proctrack != "cgroup":
        pytest.skip("with proctrack/linuxproc signals reach everything")
    training = Training(slurm, body)
    said = slurm.run("ckptrun", "doctor", "job.sh", cwd=training.folder, check=False)
    assert (said.returncode, "script\tproblem" in said.stdout) == (int(loses), loses), said.stdout
    training.wait_step()
    slurm.run("scontrol", "requeue", training.job)
    training.wait_back()
    training.finish()
    assert training.record(1)["checkpoints"] == [] if loses else len(training.record(1)["checkpoints"]) == 1


def test_a_cluster_that_does_not_answer_is_a_problem_and_not_a_wait(slurm: Cluster) -> None:
    ran = slurm.run("ckptrun", "doctor", cwd=slurm.folder(), check=False, env={"SLURM_CONF": "/nowhere/slurm.conf"})
    assert ran.returncode == 1
    assert "Slurm cannot be asked" in ran.stdout
