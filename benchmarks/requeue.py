"""What ckptrun adds to being requeued by Slurm: from the batch script to the training's first line, from its save to the requeue.

    python benchmarks/requeue.py [--quick]

Brings the three-node Slurm of tests/slurm up, for which one must be root; says so otherwise. Prints a table; it is no test.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests"))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "slurm"))

import cluster as clusters  # noqa: E402  # after the path

SCRIPT = """import time; now = time.time()
import json, ckptrun
def say(what, at):
    with open("times.jsonl", "a") as file: file.write(json.dumps([what, at]) + "\\n")
say("first line", now)
run = ckptrun.attach()
start = run.resume_step + 1 if run.resume_from else 0
for step in range(start, 1_000_000):
    time.sleep(0.01)
    if run.should_save(step):
        with run.checkpoint(step) as folder: (folder / "state").write_text(str(step))
        say("saved", time.time())
    if run.should_stop: break
"""
BARE = (
    'import time; now = time.time()\nimport json; open("times.jsonl", "a").write(json.dumps(["first line", now]) + "\\n")\n'
)
# A scontrol on PATH that says when it is called, and is the real one otherwise.
SCONTROL = """#!/bin/sh
[ "$1" != requeue ] || echo "[\\"requeue\\", $(date +%s.%N)]" >> times.jsonl
exec {scontrol} "$@"
"""
BATCH = 'echo "[\\"batch\\", $(date +%s.%N)]" >> times.jsonl\nPATH=$PWD/bin:$PATH exec {command}\n'
PARTS = ("start", "end", "own", "slurm", "cycle")


def main() -> None:
    parser = argparse.ArgumentParser(description="what ckptrun adds to being requeued by Slurm")
    parser.add_argument("--quick", action="store_true", help="medians of 5 instead of 15")
    rounds = 5 if parser.parse_args().quick else 15
    if why := clusters.missing():
        raise SystemExit(why)
    with clusters.Cluster.running() as slurm:
        print(table(cycles(slurm, rounds)))


def bare_start(slurm: clusters.Cluster) -> float:
    """Seconds from the batch script to the first line of Python in its place."""
    folder = prepare(slurm, BARE)
    slurm.wait(slurm.sbatch(BATCH.format(command="python3 script.py"), cwd=folder), "COMPLETED")
    (_, batch), (_, first) = times(folder)
    return first - batch


def cycles(slurm: clusters.Cluster, rounds: int) -> dict[str, list[float]]:
    """What each part of a cycle took: asked by a signal, saved, requeued, back and training."""
    folder = prepare(slurm, SCRIPT)
    command = "ckptrun train -q --run r script.py"
    job = slurm.sbatch(BATCH.format(command=command), "--time=100", cwd=folder)
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    for turn in range(1, rounds + 2):  # the first one warms the disk's cache and is not counted
        wait_for(folder, "first line", turn)
        slurm.run("scancel", "--signal=USR1", "--batch", job)
        wait_for(folder, "first line", turn + 1)
        one = {f"{what}{at}": when for at, part in enumerate(turns(folder)[turn - 1 : turn + 1]) for what, when in part}
        bare = bare_start(slurm)  # takes its turn, so that a noisy minute hits both
        if turn > 1:
            end, start = one["requeue0"] - one["saved0"], one["first line1"] - one["batch1"] - bare
            slurms, whole = one["batch1"] - one["requeue0"], one["first line1"] - one["saved0"]
            for part, seconds in zip(PARTS, (start, end, start + end, slurms, whole), strict=True):
                found[part].append(seconds)
    return found


def turns(folder: str) -> list[list[tuple[str, float]]]:
    """What was recorded, by run of the job."""
    found: list[list[tuple[str, float]]] = []
    for what, when in times(folder):
        if what == "batch":
            found.append([])
        found[-1].append((what, when))
    return found


def times(folder: str) -> list[tuple[str, float]]:
    path = os.path.join(folder, "times.jsonl")
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        return [tuple(json.loads(line)) for line in file if line.endswith("\n")]


def wait_for(folder: str, what: str, count: int) -> None:
    end = time.monotonic() + 120
    while sum(each == what for each, _ in times(folder)) < count:
        if time.monotonic() > end:
            raise SystemExit(f"the job did not come back: {times(folder)[-4:]}")
        time.sleep(0.05)


def prepare(slurm: clusters.Cluster, script: str) -> str:
    folder = slurm.folder()
    os.mkdir(os.path.join(folder, "bin"))
    scontrol = os.path.join(folder, "bin", "scontrol")
    for path, text in (
        (os.path.join(folder, "script.py"), script),
        (scontrol, SCONTROL.format(scontrol=shutil.which("scontrol"))),
    ):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    os.chmod(scontrol, 0o755)
    return folder


def table(found: dict[str, list[float]]) -> str:
    rows = [
        ("from the batch script to the training's first line, over bare Python", "start", ""),
        ("from the script's save to the call of scontrol requeue", "end", ""),
        ("ckptrun's own: both", "own", "≤ 0.3 s"),
        (
            f"Slurm's: from the call to the batch script of the next run (cred_expire=5, KillWait={clusters.KILL_WAIT})",
            "slurm",
            "",
        ),
        ("a whole cycle: from the save to the next run's first line", "cycle", "≤ 10 s"),
    ]
    lines = [
        f"| {text} | {statistics.median(found[part]):.2f} s | {max(found[part]):.2f} s | {target} |"
        for text, part, target in rows
    ]
    return "\n".join(["| being requeued | median | slowest | target |", "| --- | ---: | ---: | ---: |", *lines])


if __name__ == "__main__":
    main()
