"""What it costs to start a script under ckptrun, and to have ckptrun beside it while it runs; others' launchers beside it.

    python benchmarks/launch.py [--quick] [--submitit DIR]

Prints ratios as a table for the README; it is no test. All contestants take turns in one run on one machine, so that a noisy minute
hits all of them. DIR is where `pip install --target DIR submitit` put it, if it is not importable anyway.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import psutil

import ckptrun

FIRST_LINE = "import time; now = time.monotonic_ns()\nimport sys; open(sys.argv[1], 'w').write(str(now))\n"
SLEEPER = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(3600)\n"
CATCHER = """import signal, subprocess, sys, time
children = [subprocess.Popen(["sleep", "600"]) for _ in range(18)]
def caught(*_):
    now = time.monotonic_ns()
    for child in children: child.kill(); child.wait()
    open(sys.argv[1], 'w').write(str(now))
    sys.exit()
signal.signal(signal.SIGUSR1, caught)
open(sys.argv[1] + '-ready', 'w').write('ready')
while True: signal.pause()
"""
SUBMIT = """import sys, submitit
executor = submitit.LocalExecutor(folder=sys.argv[1])
executor.update_parameters(timeout_min=60)
executor.submit(submitit.helpers.CommandFunction(sys.argv[2:])).result()
"""
WINDOW = 10.0  # seconds of watching a running launcher


class Contestant(NamedTuple):
    """One way to start `python SCRIPT ARG`."""

    name: str
    argv: list[str]  # what stands before the script's own words
    env: dict[str, str]


class Beside(NamedTuple):
    """What a launcher costs while the script runs."""

    cpu: float  # share of a core
    resident: float  # MiB, all of its processes
    wakeups: int  # voluntary context switches in the window
    processes: int


def main() -> None:
    options = parse()
    compileall.compile_dir(os.path.dirname(ckptrun.__file__), quiet=2)  # as pip does when it installs
    with tempfile.TemporaryDirectory(prefix="ckptrun-launch-") as folder:
        contestants, missing = find(options.submitit, folder)
        starts, click = take_turns(contestants, folder, 5 if options.quick else 15)
        caught = reaction(contestants[1], folder, 5 if options.quick else 15)
        beside = {one.name: watch(one, folder) for one in contestants if one.name != "python"}
    print(launch_table(starts, click))
    print()
    print(beside_table(beside))
    print(f"\nsignal to handler, with 20 processes below ckptrun: {caught:.1f} ms (target ≤ 10 ms)")
    for line in missing:
        print(f"\n{line}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="what a launcher costs at the start and while the script runs")
    parser.add_argument("--quick", action="store_true", help="medians of 5 instead of 15")
    parser.add_argument("--submitit", metavar="DIR", default="", help="where `pip install --target DIR submitit` put it")
    return parser.parse_args()


def find(submitit: str, folder: str) -> tuple[list[Contestant], list[str]]:
    """Who is there to be compared, and a line for everybody who is not."""
    python = sys.executable
    ckptrun = os.path.join(os.path.dirname(python), "ckptrun")
    found = [
        Contestant("python", [python], {}),
        Contestant("ckptrun", [ckptrun, "train", "-q", "--root", f"{folder}/runs", "--run", "{run}"], {}),
    ]
    missing = []
    if tini := shutil.which("tini"):
        found.append(Contestant("tini", [tini, "-s", "--", python], {}))
    else:
        missing.append("tini is not installed here: apt-get install tini")
    if submitit or importlib.util.find_spec("submitit"):
        write(f"{folder}/submit.py", SUBMIT)
        found.append(
            Contestant("submitit", [python, f"{folder}/submit.py", f"{folder}/submitit", python], {"PYTHONPATH": submitit})
        )
    else:
        missing.append("submitit is not installed here: pip install --target DIR submitit, then --submitit DIR")
    if importlib.util.find_spec("torch"):
        found.append(
            Contestant("torchrun", [python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"], {})
        )
    else:
        missing.append("torch is not installed here: pip install 'ckptrun[examples-torch]'")
    return found, missing


def take_turns(contestants: list[Contestant], folder: str, rounds: int) -> tuple[dict[str, float], float]:
    """Median milliseconds to the script's first line for each, and for the whole of `python -c "import click"`."""
    script = write(f"{folder}/first_line.py", FIRST_LINE)
    times: dict[str, list[float]] = {one.name: [] for one in contestants}
    clicks = []
    for turn in range(rounds + 1):  # the first one warms the disk's cache and is not counted
        for one in contestants:
            times[one.name].append(first_line(one, script, f"{folder}/at-{one.name}-{turn}"))
        begin = time.monotonic_ns()
        subprocess.run([sys.executable, "-c", "import click"], check=True)
        clicks.append((time.monotonic_ns() - begin) / 1e6)
    return {name: statistics.median(values[1:]) for name, values in times.items()}, statistics.median(clicks[1:])


def first_line(one: Contestant, script: str, told: str) -> float:
    """Milliseconds from starting the launcher to the script's first line; CLOCK_MONOTONIC is the same in all processes."""
    begin = time.monotonic_ns()
    subprocess.run(
        words(one, told, script, told),
        env=os.environ | one.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    with open(told, encoding="ascii") as file:
        return (int(file.read()) - begin) / 1e6


def reaction(ckptrun: Contestant, folder: str, rounds: int) -> float:
    """Median milliseconds from SIGUSR1 sent to ckptrun to the script's handler: bash → the script → 18 that do not catch it."""
    script = write(f"{folder}/catcher.py", CATCHER)
    seen = []
    for turn in range(rounds):
        told = f"{folder}/caught-{turn}"
        shell = ["--", "bash", "-c", '"$@"; exit', "bash", sys.executable, script, told]
        top = subprocess.Popen(words(ckptrun, told, *shell), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_file(f"{told}-ready")
        begin = time.monotonic_ns()
        top.send_signal(signal.SIGUSR1)
        top.wait()
        with open(told, encoding="ascii") as file:
            seen.append((int(file.read()) - begin) / 1e6)
    return statistics.median(seen)


def watch(one: Contestant, folder: str) -> Beside:
    """Let a script sleep under the launcher, and look at all of the launcher's processes for a while."""
    script = write(f"{folder}/sleeper.py", SLEEPER)
    told = f"{folder}/pid-{one.name}"
    top = psutil.Popen(
        words(one, told, script, told), env=os.environ | one.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_file(told)
        time.sleep(5)  # whatever it still does after the start is not what it costs for hours
        with open(told, encoding="ascii") as file:
            sleeper = int(file.read())
        launcher = [process for process in family(top, one, folder) if process.pid != sleeper]
        before = [spent(p.pid) for p in launcher]
        time.sleep(WINDOW)
        after = [spent(p.pid) for p in launcher]
        resident = sum(p.memory_info().rss for p in launcher) / 2**20
    finally:
        for process in reversed(family(top, one, folder)):
            process.kill()
        top.wait()
    ran = sum(late[0] - early[0] for early, late in zip(before, after, strict=True))
    woke = sum(late[1] - early[1] for early, late in zip(before, after, strict=True))
    return Beside(ran / 1e9 / WINDOW, resident, woke, len(launcher))


def family(top: psutil.Process, one: Contestant, folder: str) -> list[psutil.Process]:
    """The launcher's processes: descendants, and those of its own that it let go (submitit's controller)."""
    found = {process.pid: process for process in [top, *top.children(recursive=True)]}
    for process in psutil.process_iter(["cmdline"]):
        if one.name == "submitit" and any(folder in word for word in process.info["cmdline"] or []):
            found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())


def spent(pid: int) -> tuple[int, int]:
    """Nanoseconds on a core and voluntary context switches so far, of all threads.

    From schedstat, because /proc/PID/stat counts in hundredths of a second.
    """
    ran = woke = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            ran += int(file.read().split()[0])
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8", errors="replace") as file:
            woke += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return ran, woke


def words(one: Contestant, run: str, *tail: str) -> list[str]:
    """The whole command; every start of ckptrun is a run of its own, with a name of its own."""
    return [word.replace("{run}", os.path.basename(run)) for word in one.argv] + list(tail)


def wait_for_file(path: str) -> None:
    end = time.monotonic() + 60
    while not os.path.exists(path) or not os.path.getsize(path):
        if time.monotonic() > end:
            raise SystemExit(f"the script did not start: {path}")
        time.sleep(0.02)


def launch_table(starts: dict[str, float], click: float) -> str:
    """Added milliseconds to the first line, and ckptrun's as a ratio to each."""
    added = {name: value - starts["python"] for name, value in starts.items() if name != "python"}
    ours = added["ckptrun"]
    targets = {"submitit": "≤ 0.5", "torchrun": "≤ 0.1"}
    rows = [f'| `python -c "import click"`, the whole of it | {click:.0f} ms | {ours / click:.2f} | ≤ 2.0 |']
    rows += [f"| {name} | {value:+.0f} ms | {ratio(ours, value, targets.get(name))} |" for name, value in added.items()]
    head = f"| to the script's first line (bare python: {starts['python']:.0f} ms) | time | ckptrun ÷ it | target |\n| --- | --- | --- | --- |"
    return "\n".join([head, *rows])


def ratio(ours: float, theirs: float, target: str | None) -> str:
    """The last two columns; empty where a ratio says nothing (ckptrun itself, and tini, which does next to nothing)."""
    return f"{ours / theirs:.2f} | {target}" if target else " | "


def beside_table(beside: dict[str, Beside]) -> str:
    rows = [
        f"| {name} | {it.cpu:.3%} | {it.resident:.0f} MiB in {it.processes} | {it.wakeups} |" for name, it in beside.items()
    ]
    head = f"| while the script runs | of a core | resident | wake-ups in {WINDOW:.0f} s |\n| --- | --- | --- | --- |"
    return "\n".join([head, *rows, "| target for ckptrun | ≤ 0.1 % | ≤ 32 MiB | 1 |"])


def write(path: str, text: str) -> str:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


if __name__ == "__main__":
    main()
