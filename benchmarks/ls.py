"""What it costs to list ten thousand checkpoints, beside a bare Python loop that reads the same manifests.

    python benchmarks/ls.py [--quick] [--count 10000]

Prints ratios as a table for the README; it is no test. Both take turns in one run on one machine, so that a noisy minute hits both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import xxhash

from ckptrun.client import manifest
from ckptrun.runs import paths, records

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = "ten-thousand"
LOOP = """import json, os, sys
total = 0
for name in os.listdir(sys.argv[1]):
    with open(os.path.join(sys.argv[1], name, "checkpoint.json")) as file:
        total += sum(entry["size"] for entry in json.load(file)["files"])
print(total)
"""


class File:
    """What the manifest says of one file."""

    def __init__(self, path: str, size: int) -> None:
        self.path, self.size, self.digest = path, size, xxhash.xxh3_128_hexdigest(b"state")


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="ckptrun-ls-") as root:
        make(root, options.count)
        contestants = {
            "a bare loop over the manifests": [sys.executable, "-c", LOOP, os.path.join(root, RUN, "checkpoints")],
            "ckptrun ls RUN": [*ckptrun(), "ls", "--root", root, RUN],
            "ckptrun ls RUN --json": [*ckptrun(), "ls", "--root", root, "--json", RUN],
            "ckptrun ls DIR": [*ckptrun(), "ls", os.path.join(root, RUN, "checkpoints")],
            "ckptrun ls": [*ckptrun(), "ls", "--root", root],
            "ckptrun --version": [*ckptrun(), "--version"],
        }
        seconds = take_turns(
            {name: lambda argv=argv: listed(argv) for name, argv in contestants.items()}, 5 if options.quick else 15
        )
    print(table(seconds, options.count))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="what listing many checkpoints costs")
    parser.add_argument("--quick", action="store_true", help="medians of 5 instead of 15")
    parser.add_argument("--count", type=int, default=10_000, help="how many checkpoints")
    return parser.parse_args()


def ckptrun() -> list[str]:
    """The installed command of this interpreter."""
    return [os.path.join(os.path.dirname(sys.executable), "ckptrun")]


def make(root: str, count: int) -> None:
    """A run of `count` checkpoints, two files each, as the script's side writes them; not synced: only reading is measured."""
    run = paths.run_paths(root, RUN)
    paths.create(run)
    records.write_run(run, records.RunRecord(run=RUN, command=["train.py"], cwd=root))
    now = time.time() - count - 3600  # nothing is younger than a minute
    for step in range(count):
        folder = os.path.join(run.checkpoints, f"step-{step:08d}")
        os.mkdir(folder)
        for name in ("model.bin", "optimizer.bin"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b"state")
        fields = {
            "step": step,
            "epoch": step // 100,
            "run": RUN,
            "attempt": 1,
            "attempt_id": "0" * 36,
            "reason": "every",
            "seconds": 0.1,
        }
        files = [File("model.bin", 5), File("optimizer.bin", 5)]
        text = manifest.encode(files, fields, unix=now + step, metrics={"loss": 1 / (step + 1), "acc": step / count})
        with open(os.path.join(folder, "checkpoint.json"), "wb") as file:
            file.write(text)


def listed(argv: list[str]) -> float:
    """Seconds of one listing into a pipe."""
    begun = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.PIPE)
    return time.perf_counter() - begun


def take_turns(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each, after one round that warms the page cache."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, take in contestants.items():
            seconds = take()
            if number:
                taken[name].append(seconds)
    return {name: statistics.median(each) for name, each in taken.items()}


def table(seconds: dict[str, float], count: int) -> str:
    bare = next(iter(seconds.values()))
    rows = [f"| {name} | {taken:.2f} s | {taken / bare:.2f} |" for name, taken in seconds.items()]
    head = [f"| {count:,} checkpoints | median | of the bare loop |", "| --- | ---: | ---: |"]
    return "\n".join(head + rows)


if __name__ == "__main__":
    main()
