"""How often Slurm's controller is asked: it serves thousands of jobs, and slows down for all of them if each asks all the time."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from training import Training

if TYPE_CHECKING:
    from cluster import Cluster

# A scontrol on PATH that writes down how it is called, and is the real one otherwise.
COUNTING = f"""\
mkdir -p bin
printf '%s\\n' '#!/bin/sh' 'echo "$*" >> calls' 'exec {shutil.which("scontrol")} "$@"' > bin/scontrol
chmod +x bin/scontrol
PATH=$PWD/bin:$PATH"""


@pytest.mark.parametrize(("standing", "option"), [("exec", "--batch"), ("srun", "")])
def test_slurm_is_asked_once_at_the_start_and_once_after_a_signal(slurm: Cluster, standing: str, option: str) -> None:
    training = Training(slurm, standing, "--time=100", before=COUNTING)
    training.wait_step()
    assert _calls(training) == ["-o"]  # job, partition and configuration in one
    slurm.run("scancel", "--signal=USR1", *([option] if option else []), training.job)
    training.wait_back()
    training.finish()
    assert _calls(training) == ["-o", f"show job -o {training.job}", f"requeue {training.job}", "-o"]


def _calls(training: Training) -> list[str]:
    with open(os.path.join(training.folder, "calls"), encoding="utf-8") as file:
        return file.read().splitlines()
