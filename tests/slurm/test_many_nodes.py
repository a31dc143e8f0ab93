"""One training on several nodes of a real Slurm: one ckptrun on each, the first leads; all stop, come back and end together."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support import EXAMPLES, REPO, wait_until

if TYPE_CHECKING:
    from cluster import Cluster

RANKS = """\
import hashlib, json, os, sys, time
import ckptrun
rank, size = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_STEP_NUM_TASKS"])
run = ckptrun.attach()
state, start = b"", 0
if run.resume_from:
    state, start = (run.resume_from / "state").read_bytes(), run.resume_step + 1
with open(f"rank-{rank}", "a") as log:
    print("start", run.attempt, start, os.environ["SLURMD_NODENAME"], file=log, flush=True)
    for step in range(start, 600):
        time.sleep(0.001 if os.path.exists("hurry") else 0.02)
        state = hashlib.sha256(state + str(step).encode()).digest()
        print("step", run.attempt, step, file=log, flush=True)
        if run.should_save(step, total=600):
            with run.checkpoint(step) as folder:
                if rank == 0:
                    (folder / "state").write_bytes(state)
        if run.should_stop:
            break
    else:
        run.done()
"""


class Ranks:
    """`srun ckptrun train ranks.py` with so many tasks on so many nodes."""

    def __init__(self, cluster: Cluster, *sbatch: str, srun: str = "srun") -> None:
        self.cluster, self.folder = cluster, cluster.folder()
        with open(os.path.join(self.folder, "ranks.py"), "w", encoding="utf-8") as file:
            file.write(RANKS)
        script = f"trap : TERM USR1 USR2\n{srun} ckptrun train --run r ranks.py\nexit $?"
        self.job = cluster.sbatch(script, *sbatch, cwd=self.folder)

    def lines(self, rank: int, word: str) -> list[list[str]]:
        try:
            with open(os.path.join(self.folder, f"rank-{rank}"), encoding="utf-8") as file:
                return [line.split() for line in file if line.endswith("\n") and line.startswith(word)]
        except FileNotFoundError:
            return []

    def wait_steps(self, size: int, attempt: int = 1) -> None:
        def all_step() -> bool:
            return all(any(line[1] == str(attempt) for line in self.lines(rank, "step")[-1:]) for rank in range(size))

        wait_until(all_step, what=f"steps of attempt {attempt} on {size} tasks\n{self.cluster.tell(self.job)}")

    def hurry(self) -> None:
        with open(os.path.join(self.folder, "hurry"), "w", encoding="utf-8"):
            pass

    def check(self, size: int) -> None:
        for rank in range(size):
            assert [int(line[2]) for line in self.lines(rank, "step")] == list(range(600)), (
                rank,
                self.cluster.tell(self.job),
            )

    def record(self, attempt: int) -> dict[str, Any]:
        path = os.path.join(self.folder, "runs", "r", "attempts", f"{attempt:04d}", "attempt.json")
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))


def test_tasks_of_a_node_and_of_many_stop_and_come_back_together(slurm: Cluster) -> None:
    ranks = Ranks(slurm, "--nodes=3", "--ntasks-per-node=2", "--time=100")
    ranks.wait_steps(6)
    slurm.run("scancel", "--signal=TERM", ranks.job)
    slurm.wait_restart(ranks.job, 1)
    ranks.hurry()
    slurm.wait(ranks.job, "COMPLETED")
    ranks.check(6)
    first = ranks.record(1)
    assert (first["outcome"], len(first["checkpoints"]), len(first["tasks"])) == ("preempted", 1, 6)
    assert len({task["node"] for task in first["tasks"]}) == 3


def test_a_task_that_fails_is_named_and_its_node_left_out_when_it_does_so_again(slurm: Cluster) -> None:
    folder = slurm.folder()
    dies = (
        f"import os, sys, time\nif os.environ['SLURMD_NODENAME'] == '{slurm.nodes[1]}':\n    sys.exit(9)\ntime.sleep(0.5)\n"
    )
    with open(os.path.join(folder, "dies.py"), "w", encoding="utf-8") as file:
        file.write(dies)
    script = "trap : TERM\nsrun ckptrun train --run r dies.py\nexit $?"
    job = slurm.sbatch(
        script, "--nodes=3", "--ntasks-per-node=1", "--partition=wide", f"--nodelist={slurm.nodes[0]}", cwd=folder
    )
    slurm.wait(job, "COMPLETED", timeout=90)
    assert f"task 1 on {slurm.nodes[1]} failed first" in slurm.tell(job)
    assert f"node {slurm.nodes[1]} is left out from now on" in slurm.tell(job)


def test_a_directory_that_is_not_shared_is_found_out(slurm: Cluster) -> None:
    folder = slurm.folder()
    script = "srun bash -c 'exec ckptrun train --run r --root /tmp/not-shared-$SLURMD_NODENAME -- true'\nexit $?"
    job = slurm.sbatch(script, "--nodes=2", "--ntasks-per-node=1", cwd=folder)
    assert slurm.wait(job, "FAILED", "COMPLETED")["ExitCode"] == "73:0"
    assert "is not in one place for all its tasks" in slurm.tell(job)
    assert not [name for name in os.listdir("/tmp") if name.startswith("not-shared-")]


@pytest.fixture
def with_torch(slurm: Cluster) -> Cluster:
    """A cluster whose user has PyTorch."""
    slurm.software.add_torch()
    return slurm


@pytest.mark.timeout(300)  # PyTorch is imported nine times
def test_ddp_goes_on_on_other_nodes_bit_for_bit(with_torch: Cluster) -> None:
    """The template for torchrun: preempted on one of its nodes, it is requeued and ends on others as if nothing had happened."""
    slurm = with_torch
    folder, undisturbed = slurm.folder(), slurm.folder()
    for name in ("digits_ddp.py", "digits_torch.py", "digits_data.py"):
        shutil.copy(os.path.join(EXAMPLES, name), folder)
        shutil.copy(os.path.join(EXAMPLES, name), undisturbed)
    script = ["digits_ddp.py", "--steps", "40", "--hidden", "2", "--log-every", "1"]
    with open(os.path.join(REPO, "slurm", "torchrun.sbatch"), encoding="utf-8") as file:
        template = file.read().replace("train.py", " ".join([*script, "--step-seconds", "0.3"]))
    job = slurm.sbatch(template, "--nodes=3", "--partition=wide", "--job-name=r", cwd=folder)
    wait_until(lambda: "step 3 " in slurm.tell(job), what="steps")
    before = _expanded(slurm, slurm.show(job)["NodeList"])
    slurm.sbatch("sleep 99", "--partition=high", f"--nodelist={before[0]}", "--exclusive", cwd=slurm.folder())
    after = _expanded(slurm, slurm.wait_restart(job, 1)["NodeList"])
    assert before[0] not in after
    slurm.wait(job, "COMPLETED", timeout=90)
    assert "continuing after step" in slurm.tell(job)
    alone = slurm.run("torchrun", "--standalone", "--nproc-per-node=3", *script, cwd=undisturbed, timeout=120)
    assert "accuracy" in alone.stdout
    with open(os.path.join(undisturbed, "output", "final.pt"), "rb") as file:
        assert _final(folder) == file.read(), "the weights are others"
    steps = [line.split()[1] for line in slurm.tell(job).splitlines() if line.startswith("step ")]
    assert steps == [str(step) for step in range(40)], "a step was lost or doubled"


def test_submit_starts_one_on_each_node_and_torchruns_agents_meet(slurm: Cluster) -> None:
    folder = slurm.folder()
    show = 'echo "$SLURMD_NODENAME $PET_NNODES $PET_RDZV_BACKEND $PET_RDZV_ENDPOINT $MASTER_ADDR:$MASTER_PORT" >> met'
    words = ["submit", "--run", "r", "--nodes=3", "--", "sh", "-c", show]
    job = slurm.run("ckptrun", *words, cwd=folder).stdout.strip()
    slurm.wait(job, "COMPLETED")
    with open(os.path.join(folder, "met"), encoding="utf-8") as file:
        met = sorted(line.split() for line in file)
    assert [line[0] for line in met] == slurm.nodes[:3]
    assert {line[3] for line in met} == {met[0][4]}
    assert {tuple(line[1:3]) for line in met} == {("3", "c10d")}


def _expanded(slurm: Cluster, nodes: str) -> list[str]:
    return slurm.run("scontrol", "show", "hostnames", nodes).stdout.split()


def _final(folder: str) -> bytes:
    attempts = os.path.join(folder, "runs", "r", "attempts")
    found = [
        path for name in os.listdir(attempts) if os.path.exists(path := os.path.join(attempts, name, "output", "final.pt"))
    ]
    assert len(found) == 1
    with open(found[0], "rb") as file:
        return file.read()
