"""Two jobs for one run: by `--if-held` the second ends with 69, or waits for the first, no longer than its own time limit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from support import wait_until
from training import Training

if TYPE_CHECKING:
    from cluster import Cluster

COMMAND = "exec ckptrun train --run r {options} puppet.py 400 0.05"


def second(slurm: Cluster, first: Training, options: str, before: str = "") -> str:
    """A job for the same run, whose output lies beside that of the first."""
    script = "\n".join([before, COMMAND.format(options=options)])
    return slurm.sbatch(script, "--time=100", "--output=out-2", cwd=first.folder)


def told(first: Training) -> str:
    try:
        with open(os.path.join(first.folder, "out-2"), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def test_the_second_ends_with_69(slurm: Cluster) -> None:
    first = Training(slurm, "exec", "--time=100")
    first.wait_step()
    record = slurm.wait(second(slurm, first, ""), "FAILED")
    assert record["ExitCode"] == "69:0"
    assert f"slurm job {first.job}" in told(first)
    assert record["Restarts"] == "0"


def test_the_second_waits_and_goes_on_where_the_first_was_ended(slurm: Cluster) -> None:
    first = Training(slurm, "exec", "--no-requeue", "--time=100")
    first.wait_step()
    job = second(slurm, first, "--if-held wait")
    wait_until(lambda: "waiting until it is free, for" in told(first))
    assert f"slurm job {first.job}" in told(first)
    slurm.run("scancel", "--signal=USR1", "--batch", first.job)
    assert slurm.wait(first.job, "FAILED", "COMPLETED")["ExitCode"] == "75:0"
    first.wait_event("start", 2)
    first.hurry()
    assert slurm.wait(job, "COMPLETED", "FAILED")["JobState"] == "COMPLETED", told(first)
    first.check_steps()


def test_a_cancelled_wait_is_over_at_once(slurm: Cluster) -> None:
    first = Training(slurm, "exec", "--time=100")
    first.wait_step()
    job = second(slurm, first, "--if-held wait")
    wait_until(lambda: "waiting until it is free" in told(first))
    slurm.run("scancel", job)
    slurm.wait(job, "CANCELLED")
    wait_until(lambda: "it stays so" in told(first))
    assert "nothing was run [exit 75]" in told(first)
    first.hurry()
    first.finish()


def test_the_job_s_end_ends_the_wait_and_it_is_tried_again(slurm: Cluster) -> None:
    first = Training(slurm, "exec", "--time=100")
    first.wait_step()
    soon = '[ -n "$SLURM_RESTART_COUNT" ] || scontrol update JobId=$SLURM_JOB_ID EndTime=now+8'
    job = second(slurm, first, "--if-held wait", before=soon)
    slurm.wait_restart(job, 1)
    assert f"the time limit of Slurm job {job} has come before run r was free: nothing was run [exit 75]" in told(first)
    first.hurry()
    first.finish()
    assert slurm.wait(job, "COMPLETED", "FAILED")["JobState"] == "COMPLETED", told(first)
    assert "run r is complete" in told(first)
    first.check_steps()
