"""Who starts a job again, once there is a choice: the site's RequeueExit, scontrol, a dependent job, or nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

from support import wait_until
from training import Training

if TYPE_CHECKING:
    from cluster import Cluster

# In the second run, before ckptrun asks when the job ends.
SOON = '[ "$SLURM_RESTART_COUNT" != 1 ] || scontrol update JobId=$SLURM_JOB_ID EndTime=now+10'


def test_a_time_limit_needs_no_signal(slurm: Cluster) -> None:
    training = Training(slurm, "exec", "--time=100", before=SOON)
    training.wait_step()
    slurm.run("scancel", "--signal=USR1", "--batch", training.job)  # the first attempt learns how long a save takes
    slurm.wait_restart(training.job, 1)
    training.wait_back(3)
    training.finish()
    training.check_steps()
    second = training.record(2)
    assert second["outcome"] == "timed_out"
    assert "time limit of Slurm job" in second["notice"]
    assert "DUE TO TIME LIMIT" not in training.tell()  # it was over before


def test_the_exit_code_is_enough_where_the_site_says_so(slurm: Cluster) -> None:
    slurm.configure(RequeueExit="75")
    training = Training(slurm, "exec", "--time=100")
    training.wait_step()
    slurm.run("scancel", "--signal=USR1", "--batch", training.job)
    training.wait_back()
    training.finish()
    training.check_steps()
    assert "exit 75 is in RequeueExit" in training.tell()
    assert "scontrol requeue" not in training.tell()


def test_a_job_that_may_not_be_requeued_ends_with_75(slurm: Cluster) -> None:
    training = Training(slurm, "exec", "--no-requeue", "--time=100")
    training.wait_step()
    slurm.run("scancel", "--signal=USR1", "--batch", training.job)
    record = slurm.wait(training.job, "FAILED", "COMPLETED")
    assert (record["ExitCode"], record["Restarts"]) == ("75:0", "0")
    assert len(training.record(1)["checkpoints"]) == 1


def test_a_job_that_may_not_be_requeued_is_if_the_user_insists(slurm: Cluster) -> None:
    training = Training(slurm, "exec", "--no-requeue", "--time=100", train="--restart-by scheduler")
    training.wait_step()
    slurm.run("scancel", "--signal=USR1", "--batch", training.job)
    training.wait_back()
    training.finish()
    training.check_steps()


def test_what_cannot_be_requeued_goes_on_in_another_job(slurm: Cluster) -> None:
    refusing = (
        'case $1 in requeue) echo "Access/permission denied for job $2" >&2; exit 1;; esac; exec /usr/bin/scontrol "$@"'
    )
    before = f"mkdir bin; printf '%s\\n' '#!/bin/sh' '{refusing}' > bin/scontrol; chmod +x bin/scontrol; PATH=$PWD/bin:$PATH"
    training = Training(slurm, "exec", "--time=100", before=f"[ -d bin ] || {{ {before}; }}")
    training.wait_step()
    slurm.run("scancel", "--signal=USR1", "--batch", training.job)
    slurm.wait(training.job, "FAILED")
    training.wait_event("start", 2)
    training.hurry()
    wait_until(lambda: any(line["event"] == "done" for line in training.log()))
    training.check_steps()
    successor = slurm.show(training.record(2)["job"])
    assert successor["JobName"] == slurm.show(training.job)["JobName"]
    assert training.record(2)["automatic"]


def test_a_failure_is_tried_again_and_a_crash_loop_is_not(slurm: Cluster) -> None:
    folder = slurm.folder()
    job = slurm.sbatch("exec ckptrun train --run r -- sh -c 'exit 3'", cwd=folder)
    for _ in range(3):
        slurm.wait(job, "PENDING", "FAILED")
    record = slurm.wait(job, "FAILED")
    assert record["ExitCode"] == "93:0", slurm.tell(job)
    attempts = sorted(os.listdir(os.path.join(folder, "runs", "r", "attempts")))
    assert len(attempts) == 1 + int(record["Restarts"])


def test_a_requeued_job_of_a_complete_run_is_over_at_once(slurm: Cluster) -> None:
    training = Training(slurm, "exec", steps=3)
    training.finish()
    slurm.run("scontrol", "requeue", training.job)
    wait_until(lambda: slurm.show(training.job)["Restarts"] == "1")
    record = slurm.wait(training.job, "COMPLETED", "FAILED")
    assert (record["JobState"], record["Restarts"]) == ("COMPLETED", "1")
    assert "is complete" in training.tell()
    training.check_steps()


def test_only_one_task_of_an_array_is_requeued(slurm: Cluster) -> None:
    folder = slurm.folder()
    shutil.copy(os.path.join(os.path.dirname(__file__), "puppet.py"), folder)
    script = "exec ckptrun train --run 'sweep-{array_task}' puppet.py --log steps-$SLURM_ARRAY_TASK_ID.jsonl 400 0.05"
    job = slurm.sbatch(script, "--array=1-3", "--time=100", cwd=folder)
    for task in (1, 2, 3):
        wait_until(lambda task=task: os.path.exists(os.path.join(folder, f"steps-{task}.jsonl")))
    last = f"{job}_3"
    assert slurm.show(last)["JobId"] == job  # the task whose number is the whole array's
    slurm.run("scancel", "--signal=USR1", "--batch", last)
    slurm.wait_restart(last, 1)
    with open(os.path.join(folder, "hurry"), "w", encoding="utf-8"):
        pass
    for task in (1, 2, 3):
        slurm.wait(f"{job}_{task}", "COMPLETED")
    assert [slurm.show(f"{job}_{task}")["Restarts"] for task in (1, 2, 3)] == ["0", "0", "1"]
    assert sorted(os.listdir(os.path.join(folder, "runs"))) == ["sweep-1", "sweep-2", "sweep-3"]


def test_a_node_where_it_dies_at_once_is_left_out(slurm: Cluster) -> None:
    bad = slurm.nodes[0]
    folder = slurm.folder()
    command = f"[ $SLURMD_NODENAME != {bad} ] && echo on $SLURMD_NODENAME"
    job = slurm.sbatch(f"exec ckptrun train --run r -- sh -c '{command}'", cwd=folder)
    record = slurm.wait(job, "COMPLETED", "FAILED", timeout=90)
    assert record["JobState"] == "COMPLETED", slurm.tell(job)
    assert record["ExcNodeList"] == bad
    assert f"node {bad} is left out" in slurm.tell(job)
    with open(os.path.join(folder, "runs", "r", "attempts", "0003", "attempt.json"), encoding="utf-8") as file:
        assert json.load(file)["node"] != bad


def test_a_controller_that_hangs_is_not_in_the_way_of_the_save(slurm: Cluster) -> None:
    training = Training(slurm, "exec", "--time=100")
    training.wait_step()
    with slurm.controller_hangs():
        begun = time.time()
        os.kill(training.record(1)["pid"], signal.SIGUSR1)
        training.wait_event("stopped")
        assert next(line["time"] for line in training.log() if line["event"] == "stopped") - begun < 2
        wait_until(lambda: "Slurm does not say why" in training.output())
    record = slurm.wait(training.job, "FAILED")
    assert (record["ExitCode"], record["Restarts"]) == ("75:0", "0")
    assert f"scontrol requeue {training.job}" in training.tell()
    assert training.record(1)["outcome"] == "preempted"


def test_two_jobs_cannot_have_one_run(slurm: Cluster) -> None:
    training = Training(slurm, "exec", "--time=100")
    training.wait_step()
    second = slurm.sbatch("exec ckptrun train --run r puppet.py 400 0.05", "--output=second", cwd=training.folder)
    assert slurm.wait(second, "FAILED")["ExitCode"] == "69:0"
    with open(os.path.join(training.folder, "second"), encoding="utf-8") as file:
        assert f"slurm job {training.job}" in file.read()
    training.hurry()
    training.finish()
    training.check_steps()


def test_ckptrun_stop_is_not_requeued_either(slurm: Cluster) -> None:
    training = Training(slurm, "srun", "--time=100")
    training.wait_step()
    slurm.run("ckptrun", "stop", "r", cwd=training.folder)
    record = slurm.wait(training.job, "FAILED", "COMPLETED")
    assert (record["ExitCode"], record["Restarts"]) == ("93:0", "0")
    slurm.run("scontrol", "requeue", training.job)  # a restart by the scheduler finds the mark
    wait_until(lambda: slurm.show(training.job)["Restarts"] == "1")
    assert slurm.wait(training.job, "FAILED", "COMPLETED")["ExitCode"] == "93:0"
    assert len(os.listdir(os.path.join(training.folder, "runs", "r", "attempts"))) == 1
