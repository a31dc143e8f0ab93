"""What it costs to remove ten thousand checkpoints, beside `rm -rf` of the same.

    python benchmarks/prune.py [--quick] [--count 10000]

Until `ckptrun prune` returns (everything is renamed into the trash, and that is durable), and until the last name is unlinked. Prints a
table for the README; it is no test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

import ls

from ckptrun.runs import paths

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    options = parse()
    taken: dict[str, list[float]] = {}
    for _ in range(3 if options.quick else 15):
        for name, remove in CONTESTANTS.items():
            with tempfile.TemporaryDirectory(prefix="ckptrun-prune-") as root:
                ls.make(root, options.count)
                for which, seconds in remove(paths.run_paths(root, ls.RUN), root).items():
                    taken.setdefault(f"{name}{which}", []).append(seconds)
    print(table({name: statistics.median(each) for name, each in taken.items()}, options.count))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="what removing many checkpoints costs")
    parser.add_argument("--quick", action="store_true", help="medians of 3 instead of 15")
    parser.add_argument("--count", type=int, default=10_000, help="how many checkpoints")
    return parser.parse_args()


def bare(run: paths.RunPaths, _root: str) -> dict[str, float]:
    """`rm -rf` of all checkpoints."""
    begun = time.perf_counter()
    subprocess.run(["rm", "-rf", run.checkpoints], check=True)
    return {"": time.perf_counter() - begun}


def ours(run: paths.RunPaths, root: str) -> dict[str, float]:
    """`ckptrun prune` to the last one (and the best, which is the last here)."""
    begun = time.perf_counter()
    argv = [*ls.ckptrun(), "prune", "--root", root, ls.RUN, "--keep-last", "1", "--yes"]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    returned = time.perf_counter() - begun
    left = os.listdir(run.checkpoints)
    assert len(left) == 1, f"{len(left)} are left"
    while os.listdir(run.trash):
        time.sleep(0.01)
    return {", until it returns": returned, ", until all is unlinked": time.perf_counter() - begun}


CONTESTANTS: dict[str, Callable[[paths.RunPaths, str], dict[str, float]]] = {"rm -rf": bare, "ckptrun prune": ours}


def table(seconds: dict[str, float], count: int) -> str:
    first = next(iter(seconds.values()))
    rows = [f"| {name} | {taken:.2f} s | {taken / first:.2f} |" for name, taken in seconds.items()]
    return "\n".join([f"| {count:,} checkpoints | median | of rm -rf |", "| --- | ---: | ---: |", *rows])


if __name__ == "__main__":
    main()
