"""What a backup costs: beside cp, beside cp -al, and the second one beside restic's second. Prints ratios, tests nothing.

    python benchmarks/backup.py [--quick] [--disk DIR] [--mib 1024]

A checkpoint of 4 large files is copied, one of 1,000 small ones is linked, both in turn with cp, in one process, medians of 15 (5 with
--quick). cp writes to memory and leaves it there; ours is on the disk when it ends, as `cp` and `sync` are, which is the second row. The
last row is two commands, started as a person starts them: nothing has changed since the backup before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.backup import local, making, upkeep
from ckptrun.client.place import Place
from ckptrun.client.run import Run
from ckptrun.policy.cadence import Every
from ckptrun.report import gather
from ckptrun.runs.paths import RunPaths

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Checkpoint


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="medians of 5, a quarter of the bytes")
    options.add_argument("--disk", default="/var/tmp", help="a directory on a disk")
    options.add_argument("--mib", type=int, default=1024, help="MiB in the large checkpoint")
    given = options.parse_args()
    times, size = (5, given.mib << 18) if given.quick else (15, given.mib << 20)
    print(f"{'':44} {'ours':>12} {'against':>12} {'ratio':>7}")
    with tempfile.TemporaryDirectory(dir=given.disk) as place:
        rows(place, times, size)


def rows(place: str, times: int, size: int) -> None:
    large = saved(
        os.path.join(place, "large"), {f"part-{number}": os.urandom(1 << 20) * (size // 4 >> 20) for number in range(4)}
    )
    run, item = large
    row("copy / cp", *alternate(lambda: ours(run, item, copy=True), lambda: cp(item, "-r", sync=False), times, run))
    row("copy / cp and sync", *alternate(lambda: ours(run, item, copy=True), lambda: cp(item, "-r", sync=True), times, run))
    many = saved(os.path.join(place, "many"), {f"part-{number:04d}": b"x" * 100 for number in range(1000)})
    row(
        "link 1,000 files / cp -al and sync",
        *alternate(lambda: ours(*many), lambda: cp(many[1], "-al", sync=True), times, many[0]),
    )
    row("link 1,000 files / cp -al", *alternate(lambda: ours(*many), lambda: cp(many[1], "-al", sync=False), times, many[0]))
    ours(run, item)
    if shutil.which("restic"):
        row("nothing new / restic backup", *second(run, item, times))
    else:
        print("restic is not installed: apt-get install restic")


def row(what: str, ours: float, against: float) -> None:
    print(f"{what:44} {ours * 1e3:9.1f} ms {against * 1e3:9.1f} ms {ours / against:7.2f}", flush=True)


def saved(home: str, files: dict[str, bytes]) -> tuple[RunPaths, Checkpoint]:
    """A run with one checkpoint."""
    run = RunPaths(dir=home)
    for directory in (run.checkpoints, run.attempts):
        os.makedirs(directory)
    with open(run.lease_json, "w") as file:
        file.write('{"attempt_id": "x"}')
    with open(run.run_yaml, "w") as file:
        file.write('format: 1\nrun: "it"\ncommand: ["x"]\n')
    env = {
        names.ENV: "1",
        names.ENV_RUN_DIR: home,
        names.ENV_ATTEMPT_ID: "x",
        names.ENV_CHECKPOINT_DIR: run.checkpoints,
    }
    with Run(Place(env), Every("1"), agree=None, signals=False).checkpoint(1) as folder:
        for name, body in files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(body)
    return run, gather.run_listing(run).checkpoints[0]


def ours(run: RunPaths, item: Checkpoint, *, copy: bool = False) -> float:
    began = time.perf_counter()
    wish = making.Wish(copy=copy)
    made = upkeep.back_up(local.LocalPlace(run.backup), item, run, wish, clock=time.time, tell=lambda _: None)
    assert made.state != making.FAILED, made.reason
    return time.perf_counter() - began


def cp(item: Checkpoint, how: str, *, sync: bool) -> float:
    target = os.path.join(os.path.dirname(item.directory), "backup")
    os.makedirs(target, exist_ok=True)
    began = time.perf_counter()
    subprocess.run(["cp", how, item.path, target], check=True)
    if sync:
        subprocess.run(["sync", "-f", target], check=True)
    return time.perf_counter() - began


def second(run: RunPaths, item: Checkpoint, times: int) -> tuple[float, float]:
    """Seconds of the two commands when there is nothing new."""
    env = {
        **os.environ,
        "RESTIC_PASSWORD": "x",
        "RESTIC_REPOSITORY": os.path.join(run.dir, "restic"),
        "RESTIC_CACHE_DIR": os.path.join(run.dir, "cache"),
    }
    program = os.path.join(os.path.dirname(sys.executable), "ckptrun")

    def took(argv: list[str]) -> float:
        began = time.perf_counter()
        subprocess.run(argv, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - began

    took(["restic", "init"])
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(times + 1):
        found[0].append(took([program, "backup", run.dir]))
        found[1].append(took(["restic", "backup", item.path]))
    return statistics.median(found[0][1:]), statistics.median(found[1][1:])


def alternate(ours: Callable[[], float], against: Callable[[], float], times: int, run: RunPaths) -> tuple[float, float]:
    """Medians of both, measured in turn, the first of each thrown away; everything is removed and synced between."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(times + 1):
        for kept, measure in zip(found, (ours, against), strict=True):
            shutil.rmtree(run.backup, ignore_errors=True)
            os.sync()
            kept.append(measure())
    shutil.rmtree(run.backup, ignore_errors=True)
    return statistics.median(found[0][1:]), statistics.median(found[1][1:])


if __name__ == "__main__":
    main()
