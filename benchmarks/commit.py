"""What a save costs: a commit against writing the same bytes, and should_save while nothing is asked. Prints ratios, tests nothing.

    python benchmarks/commit.py [--quick] [--tmpfs DIR] [--disk DIR] [--mib 1024]

Both sides of a row are measured in turn, in one process, medians of 15 (5 with --quick). Before each, the files of the
other are removed and everything is synced, so that neither pays for the other.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.client.place import Place
from ckptrun.client.run import Run
from ckptrun.policy.cadence import Every

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 4


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="medians of 5, a quarter of the bytes")
    options.add_argument("--tmpfs", default="/dev/shm", help="a directory in memory")
    options.add_argument("--disk", default="/var/tmp", help="a directory on a disk")
    options.add_argument("--mib", type=int, default=1024, help="MiB in one checkpoint")
    given = options.parse_args()
    times, size = 15, given.mib << 20
    if given.quick:
        times, size = 5, size // 4
    print(f"{'':34} {'ours':>12} {'against':>12} {'ratio':>7} {'limit':>7}")
    rows(given.tmpfs, given.disk, times, size)


def rows(tmpfs: str, disk: str, times: int, size: int) -> None:
    body = memoryview(bytearray(os.urandom(1 << 20) * (size // FILES >> 20)))
    with tempfile.TemporaryDirectory(dir=tmpfs) as place:
        row("commit in memory / write", *commits(place, body, times, sync=False), 1.15)
    with tempfile.TemporaryDirectory(dir=disk) as place:
        row("commit on disk / write + fsync", *commits(place, body, times, sync=True), 1.10)
    with tempfile.TemporaryDirectory(dir=tmpfs) as place:
        asked = min(should_save(place) for _ in range(times))
    print(f"{'should_save, nothing asked':34} {asked * 1e6:9.2f} µs {'':>12} {'':>7} {5:4} µs")


def row(what: str, ours: float, against: float, limit: float) -> None:
    print(f"{what:34} {ours * 1e3:9.1f} ms {against * 1e3:9.1f} ms {ours / against:7.2f} {limit:7.2f}", flush=True)


def commits(place: str, body: memoryview, times: int, *, sync: bool) -> tuple[float, float]:
    """Seconds of a save, block and commit, and of writing the same files (and fsyncing them)."""
    steps = iter(range(10**9))
    run = attach(place)

    def save() -> float:
        began = time.perf_counter()
        with run.checkpoint(next(steps)) as folder:
            for number in range(FILES):
                write(os.path.join(folder, f"part-{number}"), body, sync=False)
        return time.perf_counter() - began

    def bare() -> float:
        home = os.path.join(place, "bare")
        os.mkdir(home)
        began = time.perf_counter()
        for number in range(FILES):
            write(os.path.join(home, f"part-{number}"), body, sync=sync)
        return time.perf_counter() - began

    return alternate(save, bare, times, lambda: clear(place))


def write(path: str, body: memoryview, *, sync: bool) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(body)
        if sync:
            os.fsync(file.fileno())


def clear(place: str) -> None:
    for name in (names.CHECKPOINTS, "bare"):
        shutil.rmtree(os.path.join(place, name), ignore_errors=True)
    os.sync()


def should_save(place: str, calls: int = 20_000) -> float:
    """Seconds of one call, under ckptrun, with a request file to look for and a socket that nobody reads."""
    run = attach(place)
    began = time.perf_counter()
    for step in range(calls):
        run.should_save(step, total=10**9)
    return (time.perf_counter() - began) / calls


def attach(place: str) -> Run:
    with open(os.path.join(place, names.LEASE_JSON), "w") as file:
        json.dump({"attempt_id": "x"}, file)
    env = {
        names.ENV: "1",
        names.ENV_RUN_DIR: place,
        names.ENV_ATTEMPT_ID: "x",
        names.ENV_CHECKPOINT_DIR: os.path.join(place, names.CHECKPOINTS),
        names.ENV_REQUEST_FILE: os.path.join(place, names.REQUEST),
        names.ENV_NOTIFY: os.path.join(place, names.NOTIFY_SOCKET),
    }
    return Run(Place(env), Every("1000000"), agree=None, signals=False)


def alternate(
    ours: Callable[[], float], against: Callable[[], float], times: int, between: Callable[[], None]
) -> tuple[float, float]:
    """Medians of both, measured in turn, the first of each thrown away."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(times + 1):
        for kept, measure in zip(found, (ours, against), strict=True):
            between()
            kept.append(measure())
    between()
    return statistics.median(found[0][1:]), statistics.median(found[1][1:])


if __name__ == "__main__":
    main()
