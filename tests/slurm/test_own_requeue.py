"""Scripts that requeue their own job: one authority does it, once, with the real Lightning and the real submitit."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from support import wait_until

if TYPE_CHECKING:
    from cluster import Cluster

_HERE = os.path.dirname(os.path.abspath(__file__))


def ledger(folder: str, event: str, run: str = "r") -> list[dict]:
    with open(os.path.join(folder, "runs", run, "ledger.jsonl"), encoding="utf-8") as file:
        return [entry for line in file if (entry := json.loads(line))["event"] == event]


def read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(folder: str, name: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8"):
        pass


# From bash, from a shell below it, and as a task of srun: the directory on PATH is inherited.
ASKS = (
    "scontrol requeue $SLURM_JOB_ID",
    "sh -c 'scontrol requeue JobId=$SLURM_JOB_ID; true'",
    "srun --overlap scontrol -Q requeue $SLURM_JOB_ID",
)


def test_a_requeue_from_inside_is_one_requeue_at_the_end(slurm: Cluster) -> None:
    folder = slurm.folder()
    cases = "\n".join(f"{number}) {ask} && {ask};;" for number, ask in enumerate(ASKS, 1))
    with open(os.path.join(folder, "work.sh"), "w", encoding="utf-8") as file:
        file.write(f"case $CKPTRUN_ATTEMPT in\n{cases}\n*) exit 0;;\nesac\n[ $CKPTRUN_ATTEMPT = 1 ] && exec sleep 1000\n")
    job = slurm.sbatch("exec ckptrun train --run r -- bash work.sh", "--time=100", cwd=folder)
    for attempt in range(1, len(ASKS) + 1):
        slurm.wait_restart(job, attempt)
    record = slurm.wait(job, "COMPLETED", "FAILED")
    assert (record["JobState"], record["Restarts"]) == ("COMPLETED", str(len(ASKS))), slurm.tell(job)
    ended = ledger(folder, "attempt_ended")
    assert [entry["outcome"] for entry in ended] == ["preempted"] * len(ASKS) + ["completed"], ended
    assert all(entry["why"].startswith("the script asked to be requeued") for entry in ended[:-1])
    assert {entry["attempt"] for entry in ledger(folder, "requeue_asked")} == set(range(1, len(ASKS) + 1))
    assert f"ckptrun: job {job} is requeued when this attempt has ended" in slurm.tell(job)


def test_any_of_several_tasks_may_ask(slurm: Cluster) -> None:
    folder = slurm.folder()
    with open(os.path.join(folder, "work.sh"), "w", encoding="utf-8") as file:
        file.write(
            "[ $CKPTRUN_ATTEMPT = 2 ] && exit 0\n[ $SLURM_PROCID = 1 ] && scontrol requeue $SLURM_JOB_ID\nexec sleep 1000\n"
        )
    script = "trap : TERM USR1 USR2\nsrun ckptrun train --run r --grace 1s -- bash work.sh\nexit $?"
    job = slurm.sbatch(script, "--nodes=2", "--ntasks=2", "--time=100", cwd=folder)
    slurm.wait_restart(job, 1)
    record = slurm.wait(job, "COMPLETED", "FAILED")
    assert (record["JobState"], record["Restarts"]) == ("COMPLETED", "1"), slurm.tell(job)
    assert ledger(folder, "attempt_ended")[0]["why"].startswith("the script asked to be requeued (task 1")
    assert [entry["task"] for entry in ledger(folder, "requeue_asked")] == [1]


def test_everything_else_is_the_real_scontrols(slurm: Cluster) -> None:
    folder = slurm.folder()
    other = slurm.sbatch("sleep 1000", "--output=other", cwd=slurm.folder())
    slurm.wait(other, "RUNNING")
    work = f"scontrol show hostnames 'a[1-3]'; echo show job $SLURM_JOB_ID | scontrol -o; scontrol show job 999999; echo code $?; scontrol requeue {other}"
    with open(os.path.join(folder, "work.sh"), "w", encoding="utf-8") as file:
        file.write(work)
    job = slurm.sbatch("exec ckptrun train --run r -- sh work.sh", cwd=folder)
    assert slurm.wait(job, "COMPLETED", "FAILED")["JobState"] == "COMPLETED", slurm.tell(job)
    said = slurm.tell(job)
    assert "\na1\na2\na3\n" in said
    assert f"JobId={job} " in said
    assert "slurm_load_jobs error: Invalid job id specified\ncode 1\n" in said
    assert slurm.show(other)["Restarts"] == "1"
    assert slurm.show(job)["Restarts"] == "0"


def test_the_setting_leaves_it_out(slurm: Cluster) -> None:
    folder = slurm.folder()
    script = "export CKPTRUN_TRAIN_CATCH_REQUEUE=no\nexec ckptrun train --run r -- sh -c 'command -v scontrol'"
    job = slurm.sbatch(script, cwd=folder)
    slurm.wait(job, "COMPLETED")
    assert "/usr/bin/scontrol" in slurm.tell(job).splitlines()


def test_only_the_task_of_an_array_is_requeued(slurm: Cluster) -> None:
    folder = slurm.folder()
    own = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    with open(os.path.join(folder, "work.sh"), "w", encoding="utf-8") as file:  # the last task's number is the whole array's
        file.write(
            f"[ $CKPTRUN_ATTEMPT = 2 ] || case $SLURM_ARRAY_TASK_ID in 2) scontrol requeue {own};; 3) scontrol requeue $SLURM_JOB_ID;; esac"
        )
    job = slurm.sbatch("exec ckptrun train --run 'sweep-{array_task}' -- bash work.sh", "--array=1-3", cwd=folder)
    for task, restarts in ((1, "0"), (2, "1"), (3, "1")):
        wait_until(lambda task=task, restarts=restarts: slurm.show(f"{job}_{task}")["Restarts"] == restarts)
        slurm.wait(f"{job}_{task}", "COMPLETED")
    assert [slurm.show(f"{job}_{task}")["Restarts"] for task in (1, 2, 3)] == ["0", "1", "1"]


def test_lightning_is_requeued_once_and_only_by_a_stop(slurm: Cluster) -> None:
    slurm.software.add_everything()
    folder = slurm.folder()
    shutil.copy(os.path.join(_HERE, "lightning_script.py"), folder)
    command = "ckptrun train --run r --signal-means save lightning_script.py '{checkpoint_dir}' 400"
    job = slurm.sbatch(f"exec {command}", "--ntasks=1", "--time=100", cwd=folder)
    wait_until(lambda: read(folder, "steps.jsonl").count("\n") > 3, what="steps")
    slurm.run("ckptrun", "save", "r", cwd=folder)  # its handler asks to be requeued after every save
    wait_until(lambda: ledger(folder, "requeue_asked"), what="a requeue was asked for")
    there = read(folder, "steps.jsonl").count("\n")
    wait_until(lambda: read(folder, "steps.jsonl").count("\n") > there + 3, what="it goes on")
    slurm.run("scancel", "--signal=USR1", "--batch", job)
    slurm.wait_restart(job, 1)
    write(folder, "hurry")
    record = slurm.wait(job, "COMPLETED", "FAILED")
    assert (record["JobState"], record["Restarts"]) == ("COMPLETED", "1"), slurm.tell(job)
    assert sorted(os.listdir(os.path.join(folder, "runs", "r", "checkpoints"))) == ["hpc_ckpt_1.ckpt", "hpc_ckpt_2.ckpt"]
    steps = [json.loads(line)["step"] for line in read(folder, "steps.jsonl").splitlines()]
    assert steps[0] == 0
    assert steps.count(0) == 1, "it began again"
    assert set(steps) == set(range(400))


def test_submitit_is_requeued_once(slurm: Cluster) -> None:
    slurm.software.add_everything()
    folder = slurm.folder()
    shutil.copy(os.path.join(_HERE, "submitit_script.py"), folder)
    job = slurm.run("python", "submitit_script.py", cwd=folder).stdout.strip()
    wait_until(lambda: read(folder, "steps.jsonl").count("\n") > 3, what="steps")
    slurm.run("scancel", "--signal=USR1", job)
    slurm.wait_restart(job, 1)
    write(folder, "hurry")
    slurm.wait(job, "COMPLETED", "FAILED")
    assert slurm.show(job)["Restarts"] == "1"
    assert ledger(folder, "attempt_ended")[0]["outcome"] == "preempted"
    assert [entry["words"] for entry in ledger(folder, "requeue_asked")] == [f"scontrol requeue {job}"]
    assert os.path.exists(os.path.join(folder, "logs", f"{job}_0_result.pkl"))
    steps = [json.loads(line)["step"] for line in read(folder, "steps.jsonl").splitlines()]
    assert sorted(set(steps)) == list(range(400))
