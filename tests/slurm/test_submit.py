"""`ckptrun submit` on a real Slurm: one line makes a job that runs, is requeued, and is complete in the end."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING

from support import wait_until

if TYPE_CHECKING:
    from cluster import Cluster

HERE = os.path.dirname(os.path.abspath(__file__))
NASTY = ["it's", 'a "b"', "$HOME `id` \\", "line\nbreak", "", "äß目", "-x", "*"]
SHOW = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('shown.json', 'w'))"


def submit(slurm: Cluster, folder: str, *words: str, code: int = 0, **env: str) -> str:
    """Its stdout (or, if it is to fail, what it said)."""
    ran = slurm.run("ckptrun", "submit", *words, cwd=folder, check=False, env=env)
    assert ran.returncode == code, (ran.stdout, ran.stderr)
    return ran.stderr if code else ran.stdout.strip()


def test_a_submitted_run_is_requeued_until_it_is_complete(slurm: Cluster) -> None:
    folder = slurm.folder()
    shutil.copy(os.path.join(HERE, "puppet.py"), folder)
    job = submit(slurm, folder, "--run", "r", "--time=2", "--partition=low", "puppet.py", "400", "0.05")
    log = os.path.join(folder, "steps.jsonl")
    wait_until(lambda: os.path.exists(log))
    slurm.sbatch("true", "--partition=high", "--nodes=3", "--exclusive", "--time=1", cwd=slurm.folder())
    slurm.wait_restart(job, 1)
    with open(os.path.join(folder, "hurry"), "w", encoding="utf-8"):
        pass
    slurm.wait(job, "COMPLETED")
    with open(log, encoding="utf-8") as file:
        steps = [line["step"] for line in map(json.loads, file) if line["event"] == "step"]
    assert steps == list(range(400))
    kept = os.path.join(folder, "runs", "r", "jobs")
    assert sorted(os.listdir(kept)) == ["0001.json", "0001.sh", f"{job}.out"]
    with open(os.path.join(kept, "0001.json"), encoding="utf-8") as file:
        assert json.load(file)["job"] == job


def test_arguments_and_environment_arrive_as_they_are_and_secrets_do_not(slurm: Cluster) -> None:
    folder = slurm.folder()
    job = submit(slurm, folder, "--", "python3", "-c", SHOW, *NASTY, MY_TOKEN="x", MY_NUMBER="7")
    slurm.wait(job, "COMPLETED")
    with open(os.path.join(folder, "shown.json"), encoding="utf-8") as file:
        arguments, environ = json.load(file)
    assert arguments == NASTY
    assert environ["MY_NUMBER"] == "7"
    assert "MY_TOKEN" not in environ


def test_options_of_sbatch_reach_the_job_from_the_line_and_from_the_file(slurm: Cluster) -> None:
    folder = slurm.folder()
    with open(os.path.join(folder, "ckptrun.yaml"), "w", encoding="utf-8") as file:
        file.write("grace: 20s\nslurm:\n  partition: low\n  time: 0:07:00\n  hold: yes\n  cpus_per_task: 2\n")
    comment = 'it\'s a "b" #1 \\'
    job = submit(slurm, folder, "-t", "5", "--comment", comment, "--sbatch", "--nice=3 --no-requeue", "--", "true")
    record = slurm.run("scontrol", "show", "job", "-o", job).stdout
    for wanted in ("Partition=low", "TimeLimit=00:05:00", "Reason=JobHeldUser", "CPUs/Task=2", "Nice=3", "Requeue=0"):
        assert wanted in record
    assert f"Comment={comment}" in record


def test_sbatchs_refusal_is_shown_as_it_is(slurm: Cluster) -> None:
    folder = slurm.folder()
    said = submit(slurm, folder, "--run", "r", "--partition=nowhere", "--", "true", code=1)
    assert "invalid partition specified: nowhere" in said
    assert os.path.join("runs", "r", "jobs", "0001.sh") in said
    said = submit(slurm, folder, "--time=soon", "--", "true", code=1)
    assert "Invalid --time specification" in said


def test_print_shows_the_script_and_submits_nothing(slurm: Cluster) -> None:
    folder = slurm.folder()
    text = submit(slurm, folder, "--run", "r", "--print", "--gpu", "2", "--", "true")
    assert text.startswith("#!/bin/bash\n")
    assert "#SBATCH --gpus=2\n" in text
    assert os.listdir(folder) == []
    assert slurm.run("squeue", "--noheader").stdout == ""


def test_a_mistake_is_told_before_anything_is_queued(slurm: Cluster) -> None:
    folder = slurm.folder()
    assert "no such script" in submit(slurm, folder, "trian.py", code=2)
    assert "--grace" in submit(slurm, folder, "--grace", "soon", "--", "true", code=2)
    with open(os.path.join(folder, "ckptrun.yaml"), "w", encoding="utf-8") as file:
        file.write("slurm: {partition: {a: b}}\n")
    assert "ckptrun.yaml:1:" in submit(slurm, folder, "--", "true", code=78)


def test_a_queued_run_is_seen_and_can_be_stopped(slurm: Cluster) -> None:
    folder = slurm.folder()
    job = submit(slurm, folder, "--run", "r", "--hold", "--", "true")
    seen = slurm.run("ckptrun", "status", "r", cwd=folder).stdout
    assert f"job {job} is pending (JobHeldUser)" in seen
    said = slurm.run("ckptrun", "stop", "r", cwd=folder)
    assert f"its queued job {job} is cancelled" in said.stdout + said.stderr
    slurm.wait(job, "CANCELLED")
    assert "is pending" not in slurm.run("ckptrun", "status", "r", cwd=folder).stdout


def test_status_knows_the_job_that_runs(slurm: Cluster) -> None:
    folder = slurm.folder()
    job = submit(slurm, folder, "--run", "r", "--time=5", "--", "sh", "-c", "touch ready; exec sleep 60")
    wait_until(lambda: os.path.exists(os.path.join(folder, "ready")))
    slurm.run("scontrol", "requeue", job)
    slurm.wait_restart(job, 1)
    wait_until(
        lambda: re.search(r"attempt\s+2", slurm.run("ckptrun", "status", "r", cwd=folder).stdout),
        timeout=20,
        what="attempt 2",
    )
    seen = slurm.run("ckptrun", "status", "r", cwd=folder).stdout
    assert f"job {job} is running on {slurm.nodes[0]}" in seen
    assert "to its time limit, requeued once" in seen
