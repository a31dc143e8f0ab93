"""Where Slurm gives no notice, or a short one, ckptrun says so at its start, with the remedy (what is lost there: test_endings)."""

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
    ("exec", ("--partition=low",), "KillWait (5.0 s) is all the time there is for a save; save often (--every)"),
    ("srun", ("--partition=lowcut",), "partition lowcut has no GraceTime"),
    ("srun", ("--partition=high",), ""),
    ("plain", (), "write `exec ckptrun train ...` or `srun ckptrun train ...`"),
    ("exec", ("--no-requeue",), "may not be requeued"),
]


def test_what_is_missed_is_said_at_the_start(slurm: Cluster) -> None:
    if slurm.proctrack != "cgroup":
        pytest.skip("only proctrack/cgroup keeps signals from children, and there is no writable freezer here")
    trainings = [Training(slurm, standing, *options, steps=3) for standing, options, _ in PLACES]
    for training, (*place, sentence) in zip(trainings, PLACES, strict=True):
        training.finish()
        warned = [line for line in training.tell().splitlines() if "warning:" in line]
        assert len(warned) == bool(sentence), (place, training.tell())
        assert sentence in "".join(warned), place


def test_above_srun_its_tasks_are_asked_before_a_time_limit(slurm: Cluster) -> None:
    soon = '[ -n "$SLURM_RESTART_COUNT" ] || scontrol update JobId=$SLURM_JOB_ID EndTime=now+16'
    training = Training(slurm, "exec", "--time=100", train="-- srun --ntasks=1 python3", before=soon)
    training.wait_event("stopped")
    training.wait_back()
    training.finish()
    training.check_steps()
    assert training.record(1)["outcome"] == "timed_out"
