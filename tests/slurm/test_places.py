"""Where Slurm gives no notice, ckptrun says so at its start, with the remedy; and what is lost there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from training import Training

if TYPE_CHECKING:
    from cluster import Cluster

# How ckptrun stands, options of the job, and a part of the sentence that is said ("" = none).
PLACES = [
    ("exec", (), ""),
    ("srun", (), ""),
    ("forwarded", (), ""),
    ("srun", ("--partition=lowgrace",), ""),
    ("exec", ("--partition=lowgrace",), "hears of it only after GraceTime"),
    ("exec", ("--no-requeue",), "may not be requeued"),
]


@pytest.mark.parametrize(("standing", "options", "sentence"), PLACES)
def test_what_is_missed_is_said_at_the_start(slurm: Cluster, standing: str, options: tuple[str, ...], sentence: str) -> None:
    training = Training(slurm, standing, *options, steps=3)
    training.finish()
    warned = [line for line in training.tell().splitlines() if "warning:" in line]
    assert len(warned) == bool(sentence), training.tell()
    assert sentence in "".join(warned)


def test_a_plain_child_of_the_shell_hears_nothing_and_says_so(slurm: Cluster) -> None:
    if slurm.proctrack != "cgroup":
        pytest.skip("only proctrack/cgroup keeps signals from children, and there is no writable freezer here")
    training = Training(slurm, "plain", "--time=5")
    training.wait_step()
    assert "write `exec ckptrun train ...` or `srun ckptrun train ...`" in training.tell()
    slurm.run("scontrol", "requeue", training.job)
    training.wait_back()
    training.finish()
    assert training.record(1)["outcome"] == "killed"  # nobody had told it
    assert training.record(1)["checkpoints"] == []


def test_above_srun_its_tasks_are_asked_before_a_time_limit(slurm: Cluster) -> None:
    soon = '[ -n "$SLURM_RESTART_COUNT" ] || scontrol update JobId=$SLURM_JOB_ID EndTime=now+16'
    training = Training(slurm, "exec", "--time=100", train="-- srun --ntasks=1 python3", before=soon)
    training.wait_event("stopped")
    training.wait_back()
    training.finish()
    training.check_steps()
    assert training.record(1)["outcome"] == "timed_out"
