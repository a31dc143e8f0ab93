"""A sweep on a real Slurm: one line makes an array whose tasks are seen, stopped and gone on with, each with its own values."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

if TYPE_CHECKING:
    from cluster import Cluster

# Writes what it was given, and goes on until somebody asks it to stop, or lets it end.
SCRIPT = """\
import json, os, sys, time
name = f"given-{sys.argv[1]}-{sys.argv[2]}.json"
json.dump([sys.argv[1:], os.environ["CKPTRUN_SWEEP"], os.environ["CKPTRUN_RUN"]], open("." + name, "w"))
os.rename("." + name, name)
while not os.path.exists("enough") and not os.path.exists(os.environ["CKPTRUN_REQUEST_FILE"]):
    time.sleep(0.05)
"""
YAML = "sweep:\n  lr: [0.1, 1e-2]\n  width: [64, '128']\nslurm: {time: 5}\n"


@pytest.fixture
def here(slurm: Cluster) -> str:
    folder = slurm.folder()
    for name, text in (("t.py", SCRIPT), ("ckptrun.yaml", YAML)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return folder


def ckptrun(slurm: Cluster, here: str, *words: str, code: int = 0) -> tuple[str, str]:
    ran = slurm.run("ckptrun", *words, cwd=here, check=False)
    assert ran.returncode == code, (ran.stdout, ran.stderr)
    return ran.stdout, ran.stderr


def submit(slurm: Cluster, here: str, *words: str, code: int = 0) -> tuple[str, str]:
    return ckptrun(slurm, here, "submit", "--run", "r", *words, "t.py", "{lr}", "{width}", code=code)


def status(slurm: Cluster, here: str) -> dict[str, dict[str, Any]]:
    told = json.loads(ckptrun(slurm, here, "status", "--json", "r-*")[0])
    return {run["run"]: run for run in told["runs"]}


def enough(here: str) -> None:
    with open(os.path.join(here, "enough"), "w", encoding="utf-8"):
        pass


def test_every_task_gets_its_values_and_a_run_of_its_own(slurm: Cluster, here: str) -> None:
    job, said = (text.strip() for text in submit(slurm, here))
    assert "submitted 4 runs, r-0 to r-3, as job " in said
    assert "ckptrun status 'r-*'" in said
    with open(os.path.join(here, "ckptrun.yaml"), "w", encoding="utf-8") as file:
        file.write(YAML.replace("0.1", "7"))  # what was submitted stays as it was
    enough(here)
    for task in range(4):
        slurm.wait(f"{job}_{task}", "COMPLETED")
    given = {}
    for name in ("given-0.1-64", "given-0.1-128", "given-1e-2-64", "given-1e-2-128"):
        with open(os.path.join(here, f"{name}.json"), encoding="utf-8") as file:
            _, values, run = json.load(file)
        given[run] = json.loads(values)
    assert given == {
        "r-0": {"lr": 0.1, "width": 64},
        "r-1": {"lr": 0.1, "width": "128"},
        "r-2": {"lr": 0.01, "width": 64},
        "r-3": {"lr": 0.01, "width": "128"},
    }
    seen = status(slurm, here)
    assert {run: each["sweep"] for run, each in seen.items()} == given
    assert {each["outcome"] for each in seen.values()} == {"completed"}
    _, refused = submit(slurm, here, code=2)
    assert "error: run r-0 was started with other values: lr was 0.1, now it is 7" in refused
    assert slurm.run("squeue", "--noheader").stdout == ""


def test_what_waits_is_seen_and_taken_out_of_the_queue(slurm: Cluster, here: str) -> None:
    job = submit(slurm, here, "--array=0-3%2")[0].strip()
    for name in ("given-0.1-64.json", "given-0.1-128.json"):
        wait_until(lambda name=name: os.path.exists(os.path.join(here, name)), what=name)
    wait_until(lambda: {run["state"] for run in status(slurm, here).values()} == {"running", "new"})
    seen = status(slurm, here)
    assert [each["queue"]["waits"] for each in seen.values()] == [False, False, True, True]
    assert seen["r-3"]["queue"]["job"] == f"{job}_3"
    assert seen["r-3"]["queue"]["reason"] == "JobArrayTaskLimit"
    assert seen["r-3"]["sweep"] == {"lr": 0.01, "width": "128"}
    lines = [line.split("\t") for line in ckptrun(slurm, here, "status")[0].splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ["r-0", "lr=0.1 width=64", "running"],
        ["r-1", "lr=0.1 width=128", "running"],
        ["r-2", "lr=0.01 width=64", "queued"],
        ["r-3", "lr=0.01 width=128", "queued"],
    ]
    assert lines[4][10] == f"job {job}_3 is pending (JobArrayTaskLimit)"
    _, said = ckptrun(slurm, here, "stop", "r-3")
    assert f"its queued job {job}_3 is cancelled" in said
    left = slurm.run("squeue", "--noheader", "--array", "--format=%i %t").stdout.splitlines()
    assert sorted(left) == [f"{job}_0 R", f"{job}_1 R", f"{job}_2 PD"]  # and not the whole array
    _, said = ckptrun(slurm, here, "stop", "r-*", code=1)  # the script never saves
    assert said.count("is stopped") == 2
    assert f"its queued job {job}_2 is cancelled" in said
    _, said = ckptrun(slurm, here, "wait", "r-*", code=93)
    assert said.count("was stopped before its first attempt") == 2


def test_a_subset_is_respected_and_what_is_beyond_is_refused(slurm: Cluster, here: str) -> None:
    _, refused = submit(slurm, here, "--array=1-4", code=2)
    assert "error: --array=1-4: task 4 is beyond the sweep of 4 (ckptrun.yaml:1)\n" in refused
    assert not os.path.exists(os.path.join(here, "runs"))
    enough(here)
    document = json.loads(submit(slurm, here, "--json", "-a", "3,1")[0])
    assert [(task["task"], task["run"], task["sweep"]["lr"]) for task in document["tasks"]] == [
        (1, "r-1", 0.1),
        (3, "r-3", 0.01),
    ]
    for task in (1, 3):
        slurm.wait(f"{document['job']}_{task}", "COMPLETED")
    assert list(status(slurm, here)) == ["r-1", "r-3"]


def test_a_task_that_is_requeued_keeps_its_values_and_its_place(slurm: Cluster, here: str) -> None:
    job = submit(slurm, here, "--array=2-3")[0].strip()
    for name in ("given-1e-2-64.json", "given-1e-2-128.json"):
        wait_until(lambda name=name: os.path.exists(os.path.join(here, name)), what=name)
    os.remove(os.path.join(here, "given-1e-2-128.json"))
    slurm.run("scontrol", "requeue", f"{job}_3")
    wait_until(lambda: (queue := status(slurm, here)["r-3"]["queue"]) and queue["waits"], what="it is queued again")
    assert status(slurm, here)["r-3"]["queue"]["job"] == f"{job}_3"
    slurm.wait_restart(f"{job}_3", 1)
    wait_until(lambda: os.path.exists(os.path.join(here, "given-1e-2-128.json")))
    enough(here)
    for task in (2, 3):
        slurm.wait(f"{job}_{task}", "COMPLETED")
    seen = status(slurm, here)
    assert (seen["r-2"]["attempts"], seen["r-3"]["attempts"]) == (1, 2)
