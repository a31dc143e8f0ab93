"""Each template of slurm/, as a user would submit a copy of it."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import container  # of this room
import pytest
from support import REPO, wait_until

if TYPE_CHECKING:
    from cluster import Cluster

TEMPLATES = os.path.join(REPO, "slurm")
TRAIN = (
    "import sys, puppet\nsys.argv[1:] = ['400', '0.05', '--log', f'steps{\"-\".join(sys.argv[1:])}.jsonl']\npuppet.main()\n"
)


class Copied:
    """A template submitted from a directory of its own that holds train.py."""

    def __init__(self, slurm: Cluster, name: str, *options: str, image: str = "") -> None:
        self.slurm, self.folder = slurm, slurm.folder()
        self.env = {"CONTAINER": container.command(image, self.folder)} if image else {}
        self.template = shutil.copy(os.path.join(TEMPLATES, name), self.folder)
        shutil.copy(os.path.join(os.path.dirname(__file__), "puppet.py"), self.folder)
        with open(os.path.join(self.folder, "train.py"), "w", encoding="utf-8") as file:
            file.write(TRAIN)
        self.job = self.submit(*options)

    def submit(self, *options: str) -> str:
        ran = self.slurm.run("sbatch", "--parsable", "--output=out", *options, self.template, cwd=self.folder, env=self.env)
        return ran.stdout.strip()

    def log(self, name: str = "steps.jsonl") -> list[dict[str, Any]]:
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def wait_steps(self, name: str = "steps.jsonl") -> None:
        wait_until(lambda: any(line["event"] == "step" for line in self.log(name)), what=f"steps in {name}")

    def hurry(self) -> None:
        with open(os.path.join(self.folder, "hurry"), "w", encoding="utf-8"):
            pass

    def check(self, name: str = "steps.jsonl") -> None:
        assert [line["step"] for line in self.log(name) if line["event"] == "step"] == list(range(400))


@pytest.mark.parametrize(
    ("name", "partition"), [("single.sbatch", "low"), ("spot.sbatch", "low"), ("spot.sbatch", "lowcancel")]
)
def test_one_training_is_preempted_and_comes_back(slurm: Cluster, name: str, partition: str) -> None:
    copied = Copied(slurm, name, f"--partition={partition}")
    copied.wait_steps()
    slurm.sbatch("true", "--partition=high", "--nodes=3", "--exclusive", "--time=1", cwd=slurm.folder())
    slurm.wait_restart(copied.job, 1)
    copied.hurry()
    slurm.wait(copied.job, "COMPLETED")
    copied.check()


def test_an_array_has_a_run_for_each_task(slurm: Cluster) -> None:
    copied = Copied(slurm, "array.sbatch", "--array=0-2")
    for task in range(3):
        copied.wait_steps(f"steps--seed-{task}.jsonl")
    slurm.run("scontrol", "requeue", f"{copied.job}_1")
    slurm.wait_restart(f"{copied.job}_1", 1)
    copied.hurry()
    for task in range(3):
        slurm.wait(f"{copied.job}_{task}", "COMPLETED")
        copied.check(f"steps--seed-{task}.jsonl")
    assert sorted(os.listdir(os.path.join(copied.folder, "runs"))) == ["sweep-0", "sweep-1", "sweep-2"]


def test_a_chain_goes_on_in_the_next_job_and_ends_when_complete(slurm: Cluster) -> None:
    copied = Copied(slurm, "chain.sbatch")
    following = [copied.submit(), copied.submit()]
    copied.wait_steps()
    slurm.run("scancel", "--signal=USR1", "--batch", copied.job)
    assert slurm.wait(copied.job, "FAILED")["ExitCode"] == "75:0"
    slurm.wait(following[0], "RUNNING")
    copied.hurry()
    for job in following:
        slurm.wait(job, "COMPLETED")
    copied.check()


def test_a_chain_that_was_stopped_stays_so(slurm: Cluster) -> None:
    copied = Copied(slurm, "chain.sbatch")
    following = copied.submit()
    copied.wait_steps()
    slurm.run("ckptrun", "stop", "train", cwd=copied.folder)
    assert slurm.wait(copied.job, "FAILED")["ExitCode"] == "93:0"
    assert slurm.wait(following, "FAILED")["ExitCode"] == "93:0"


# --- in a container ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def image(_cluster: Cluster) -> str:
    if why := container.missing():
        pytest.skip(why)
    path = os.path.join(_cluster.base, "image")
    container.build(path)
    return path


def test_a_container_is_looked_through_and_its_job_comes_back(slurm: Cluster, image: str) -> None:
    copied = Copied(slurm, "container.sbatch", "--partition=low", image=image)
    copied.wait_steps()
    slurm.sbatch("true", "--partition=high", "--nodes=3", "--exclusive", "--time=1", cwd=slurm.folder())
    slurm.wait_restart(copied.job, 1)
    copied.hurry()
    slurm.wait(copied.job, "COMPLETED")
    copied.check()


def test_a_container_comes_back_after_a_time_limit(slurm: Cluster, image: str) -> None:
    copied = Copied(slurm, "container.sbatch", "--time=100", image=image)
    copied.wait_steps()
    slurm.run("scontrol", "update", f"JobId={copied.job}", "EndTime=now+5")
    slurm.wait_restart(copied.job, 1)
    copied.hurry()
    slurm.wait(copied.job, "COMPLETED")
    copied.check()
    assert "attempt 1 timed out: " in slurm.tell(copied.job)


def test_inside_a_container_a_warning_brings_the_job_back(slurm: Cluster, image: str) -> None:
    copied = Copied(slurm, "container-inside.sbatch", "--time=100", image=image)
    copied.wait_steps()
    slurm.run("scancel", "--signal=USR1", copied.job)  # as --signal has it, to the task
    slurm.wait_restart(copied.job, 1)
    copied.hurry()
    slurm.wait(copied.job, "COMPLETED")
    copied.check()
    assert "[exit 75]" in slurm.tell(copied.job)


def test_inside_a_container_the_exit_code_is_enough_for_a_site_that_requeues_it(slurm: Cluster, image: str) -> None:
    slurm.configure(RequeueExit="75")
    copied = Copied(slurm, "container-inside.sbatch", "--no-requeue", image=image)  # so that scontrol requeue is refused
    copied.wait_steps()
    slurm.run("scancel", "--signal=USR1", copied.job)
    slurm.wait_restart(copied.job, 1)
    copied.hurry()
    slurm.wait(copied.job, "COMPLETED")
    copied.check()


@pytest.mark.parametrize("name", ["container.sbatch", "container-inside.sbatch"])
def test_a_cancelled_container_has_saved_and_stays_cancelled(slurm: Cluster, image: str, name: str) -> None:
    copied = Copied(slurm, name, image=image)
    copied.wait_steps()
    slurm.run("scancel", copied.job)
    assert slurm.wait(copied.job, "CANCELLED")["Restarts"] == "0"
    assert any(line["event"] == "saved" for line in copied.log())


def test_every_template_is_tried_here() -> None:
    here = os.path.dirname(__file__)
    text = ""
    for name in ("test_templates.py", "test_many_nodes.py"):
        with open(os.path.join(here, name), encoding="utf-8") as file:
            text += file.read()
    assert [name for name in os.listdir(TEMPLATES) if f'"{name}"' not in text] == []
