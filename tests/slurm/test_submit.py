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
    job = submit(slurm, folder, "--run", "r", "--time=2", "--signal=USR1@60", "--partition=low", "puppet.py", "400", "0.05")
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


def test_a_submission_that_slurm_does_not_answer_may_have_been_one(slurm: Cluster) -> None:
    folder = slurm.folder()
    with slurm.controller_hangs():
        said = submit(slurm, folder, "--run", "r", "--hold", "--", "true", code=1)
    assert f"nobody can tell whether {folder}/runs/r/jobs/0001.sh was submitted" in said
    assert "look with `squeue --me`" in said
    wait_until(lambda: slurm.run("squeue", "--noheader", "--me").stdout, what="and it was")


def test_without_munge_nothing_is_submitted_and_what_waits_is_not_known(slurm: Cluster) -> None:
    folder = slurm.folder()
    submit(slurm, folder, "--run", "r", "--hold", "--", "true")
    with slurm.munge_gone():
        said = submit(slurm, folder, "--run", "s", "--", "true", code=1)
        assert "error: sbatch refused " in said
        assert "Munge encode failed" in said
        seen = slurm.run("ckptrun", "status", cwd=folder)
        assert "Slurm cannot be asked what waits in its queue: " in seen.stderr
        stopped = slurm.run("ckptrun", "stop", "r", cwd=folder)
        assert "a scheduler will not start it again (you can); Slurm cannot be asked" in stopped.stderr
    slurm.run("ckptrun", "stop", "r", cwd=folder)
    assert slurm.run("squeue", "--noheader").stdout == ""


def test_without_sbatch_it_is_said_what_to_do(slurm: Cluster) -> None:
    folder = slurm.folder()
    said = submit(slurm, folder, "--run", "r", "--", "./true", code=2, PATH=slurm.software.bin)
    assert "no such script" in said
    said = submit(slurm, folder, "--run", "r", "--", "/bin/true", code=1, PATH=slurm.software.bin)
    assert (
        f"there is no sbatch here: this machine does not belong to a Slurm cluster\nhint: on one that does: sbatch {folder}"
        in said
    )


def test_a_job_of_somebody_else_is_left_where_it_is(slurm: Cluster) -> None:
    folder = slurm.folder()
    submit(slurm, folder, "--run", "r", "--hold", "--", "true")
    theirs = slurm.admin("sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap=true").strip()
    path = os.path.join(folder, "runs", "r", "jobs", "0001.json")
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**document, "job": theirs}, file)
    said = slurm.run("ckptrun", "stop", "r", cwd=folder).stderr
    assert f"its queued job {theirs} could not be cancelled: " in said
    assert "Access/permission denied" in said
    assert slurm.show(theirs)["JobState"] == "PENDING"


def test_a_directory_may_have_any_name(slurm: Cluster) -> None:
    base, jobs = slurm.folder(), {}
    for name in ("50%j 100%", "new\nline", "caf\udce9", 'it\'s a "b" $HOME; äß 目 *#x'):
        folder = os.path.join(base, name)
        os.mkdir(folder)
        slurm.own(folder)
        jobs[folder] = submit(slurm, folder, "--run", "r", "--", "echo", "hello %j $X 'y'")
    for folder, job in jobs.items():
        assert slurm.wait(job, "COMPLETED", "FAILED")["JobState"] == "COMPLETED", folder
        with open(os.path.join(folder, "runs", "r", "jobs", f"{job}.out"), encoding="utf-8") as file:
            assert "hello %j $X 'y'\n" in file.read()


def test_a_directory_with_a_backslash_is_refused_before_the_job_dies_of_it(slurm: Cluster) -> None:
    folder = os.path.join(slurm.folder(), "a\\b")
    os.mkdir(folder)
    slurm.own(folder)
    said = submit(slurm, folder, "--run", "r", "--", "true", code=2)
    assert "Slurm cannot write a job's output below a directory with a backslash in its name" in said
    job = submit(slurm, folder, "--run", "r", "--output=/dev/null", "--", "true")
    assert slurm.wait(job, "COMPLETED", "FAILED")["JobState"] == "COMPLETED"


def test_a_signal_that_would_come_at_once_is_warned_of(slurm: Cluster) -> None:
    folder = slurm.folder()
    ran = slurm.run("ckptrun", "submit", "--print", "--time=5", "--signal=USR1@300", "--", "true", cwd=folder)
    assert ran.stderr.startswith("warning: --signal=USR1@300 with --time=5: Slurm sends it as soon as the job starts")
    assert "#SBATCH --signal=USR1@300\n" in ran.stdout


def test_what_a_user_may_take_for_an_option_of_sbatch(slurm: Cluster) -> None:
    folder = slurm.folder()
    assert "hint: -q is ckptrun's own (--quiet); sbatch's is --qos=low" in submit(slurm, folder, "-q", "low", "true", code=2)
    assert "--wait cannot be given" in submit(slurm, folder, "-W", "--", "true", code=2)
    with open(os.path.join(folder, "ckptrun.yaml"), "w", encoding="utf-8") as file:
        file.write("slurm: {wait: yes}\n")
    assert "`ckptrun wait RUN` waits" in submit(slurm, folder, "--", "true", code=2)


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
