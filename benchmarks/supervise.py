"""What `benchmarks/launch.py` does not ask: a signal's way by the size of the tree, and output's way beside a bare pipe.

    python benchmarks/supervise.py [--quick]

Medians of 15 starts (5 with --quick). The other contestants take turns in the same run. Prints tables; it is no test.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

CATCHER = """import os, signal, subprocess, sys, time
def caught(*_):
    now = time.monotonic_ns()
    open(sys.argv[1], 'w').write(str(now))
    for child in children: child.kill(); child.wait()
    sys.exit()
signal.signal(signal.SIGUSR1, caught)
children = [subprocess.Popen(["sleep", "600"]) for _ in range(int(sys.argv[2]))]
open(sys.argv[1] + '-ready', 'w').write('ready')
while True: signal.pause()
"""
BURST = "import os\nchunk = bytes(range(256)) * 4096\nfor _ in range(%d): os.write(1, chunk)\n"
MEGABYTES = 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    times = 5 if parser.parse_args().quick else 15
    with tempfile.TemporaryDirectory() as folder:
        print("| processes below ckptrun | signal to handler, median | slowest |\n| --- | --- | --- |")
        for size in (2, 20, 200):
            took = [_latency(folder, n, size) for n in range(times)]
            print(f"| {size} | {statistics.median(took):.1f} ms | {max(took):.1f} ms |")
        rounds = [(_burst(folder, n, wrapped=False), _burst(folder, n, wrapped=True)) for n in range(max(times // 3, 2))]
        bare, wrapped = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"\n{MEGABYTES} MB of output through a pipe: {bare:.2f} s; shown and kept by ckptrun: {wrapped:.2f} s ({wrapped / bare:.1f} x)"
        )


def _ckptrun(folder: str, n: int, *command: str) -> list[str]:
    script = os.path.join(os.path.dirname(sys.executable), "ckptrun")
    return [
        script,
        "train",
        "-q",
        "--root",
        os.path.join(folder, "runs"),
        "--run",
        f"r{time.monotonic_ns()}-{n}",
        "--",
        *command,
    ]


def _latency(folder: str, n: int, size: int) -> float:
    """Milliseconds from `kill` to the first statement of the handler; a bash is between."""
    mark = os.path.join(folder, f"mark-{size}-{n}")
    line = f"{sys.executable} -c '{CATCHER.replace(chr(39), chr(34))}' {mark} {size - 2}; exit"
    process = subprocess.Popen(_ckptrun(folder, n, "bash", "-c", line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not os.path.exists(mark + "-ready"):
        time.sleep(0.01)
    time.sleep(0.2)
    sent = time.monotonic_ns()
    process.send_signal(signal.SIGUSR1)
    process.wait()
    with open(mark) as file:
        return (int(file.read()) - sent) / 1e6


def _burst(folder: str, n: int, *, wrapped: bool) -> float:
    command = [sys.executable, "-c", BURST % MEGABYTES]
    began = time.monotonic()
    process = subprocess.Popen(_ckptrun(folder, n, *command) if wrapped else command, stdout=subprocess.PIPE)
    while os.read(process.stdout.fileno(), 1 << 20):
        pass
    process.wait()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
