"""What it costs to look at a directory that a framework wrote, beside the framework's own start.

    pip install '.[benchmarks]'
    python benchmarks/directory.py [--quick] [--count 1000] [--far]

A thousand Orbax steps with metrics: `ckptrun ls`, with and without sizes, beside a CheckpointManager that is opened on them. Whole
processes, and the look alone after everything is loaded. With --far every open, stat and opendir of both takes a millisecond more, as
on a busy parallel filesystem (a library that is preloaded; needs a C compiler). Prints a table for the README; it is no test.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

# Reaches what Python calls for files: posix.open, scandir, stat, lstat, DirEntry.stat; C++ of others calls the same.
FAR = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define NEXT(f) static __typeof__(&f) next; if (!next) next = dlsym(RTLD_NEXT, #f)
static void wait_for(const char *p) { const char *far = getenv("BENCH_FAR"); if (p && far && strstr(p, far)) usleep(1000); }
int stat64(const char *p, struct stat64 *s) { NEXT(stat64); wait_for(p); return next(p, s); }
int lstat64(const char *p, struct stat64 *s) { NEXT(lstat64); wait_for(p); return next(p, s); }
int fstatat64(int d, const char *p, struct stat64 *s, int f) { NEXT(fstatat64); wait_for(p); return next(d, p, s, f); }
DIR *opendir(const char *p) { NEXT(opendir); wait_for(p); return next(p); }
int open64(const char *p, int f, ...)
{ va_list a; va_start(a, f); int m = va_arg(a, int); va_end(a); NEXT(open64); wait_for(p); return next(p, f, m); }
int open(const char *p, int f, ...)
{ va_list a; va_start(a, f); int m = va_arg(a, int); va_end(a); NEXT(open); wait_for(p); return next(p, f, m); }
"""
# What orbax-checkpoint 0.12.8 leaves of a small state and its metrics.
FILES = (
    "commit_success.txt",
    "default/_METADATA",
    "default/commit_success.txt",
    "default/manifest.ocdbt",
    "default/d/0a",
    "default/ocdbt.process_0/manifest.ocdbt",
    *(f"default/ocdbt.process_0/d/{name}" for name in ("1b", "2c", "3d", "4e")),
    "metrics/commit_success.txt",
)
ALONE = """
import sys, time
{load}
begun = time.perf_counter()
{look}
print(time.perf_counter() - begun)
"""
ORBAX = (
    "import orbax.checkpoint as ocp",
    (
        "ocp.CheckpointManager(sys.argv[1], item_names=('default', 'metrics'), options=ocp.CheckpointManagerOptions("
        "best_fn=lambda metrics: metrics['loss'], best_mode='min', max_to_keep=None, read_only=True)).best_step()"
    ),
)
OURS = (
    (
        "import gc\ngc.disable()\nfrom ckptrun.report import gather\nimport ckptrun.checkpoints.foreign, ckptrun.layouts.frameworks\n"
        "from ckptrun.layouts import catalogue; catalogue.frameworks()"
    ),
    "gather.directory_listing(sys.argv[1], gather.Wish(sizes={sizes}))",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="what looking at somebody else's directory costs")
    parser.add_argument("--quick", action="store_true", help="medians of 5 instead of 15")
    parser.add_argument("--count", type=int, default=1000, help="how many steps")
    parser.add_argument("--far", action="store_true", help="with a millisecond for each open and stat")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ckptrun-directory-") as root:
        steps = os.path.join(root, "steps")
        make(steps, options.count)
        env = far(root, steps) if options.far else {}
        print(table(take_turns(contestants(steps), 5 if options.quick else 15, env), options.count))


def far(root: str, steps: str) -> dict[str, str]:
    """What makes looks at the steps take their time."""
    compiler = shutil.which("cc")
    assert compiler, "--far needs a C compiler"
    source, library = os.path.join(root, "far.c"), os.path.join(root, "far.so")
    write(source, FAR)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": library, "BENCH_FAR": steps}


def make(root: str, count: int) -> None:
    """Steps as Orbax writes them; not synced: only reading is measured."""
    for step in range(count):
        for name in FILES:
            write(os.path.join(root, str(step), name), "x" * 200)
        write(os.path.join(root, str(step), "metrics/metrics"), json.dumps({"loss": 1 / (step + 1), "acc": 0.5}))
        told = {"init_timestamp_nsecs": 1, "commit_timestamp_nsecs": 2, "item_handlers": {}, "custom_metadata": {}}
        write(os.path.join(root, str(step), "_CHECKPOINT_METADATA"), json.dumps(told))


def write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def contestants(root: str) -> dict[str, tuple[list[str], bool]]:
    """What is run, and whether it prints its own seconds."""
    ckptrun = os.path.join(os.path.dirname(sys.executable), "ckptrun")
    orbax, sized, bare = (
        script(*ORBAX),
        script(OURS[0], OURS[1].format(sizes=True)),
        script(OURS[0], OURS[1].format(sizes=False)),
    )
    return {
        "Orbax's CheckpointManager, the process": ([sys.executable, "-c", orbax, root], False),
        "ckptrun ls": ([ckptrun, "ls", root], False),
        "ckptrun ls --no-size": ([ckptrun, "ls", "--no-size", root], False),
        "Orbax's CheckpointManager, once it is loaded": ([sys.executable, "-c", orbax, root], True),
        "the look of `ckptrun ls`, once it is loaded": ([sys.executable, "-c", sized, root], True),
        "the look of `ckptrun ls --no-size`, once it is loaded": ([sys.executable, "-c", bare, root], True),
    }


def script(load: str, look: str) -> str:
    return ALONE.format(load=load, look=look)


def take_turns(those: dict[str, tuple[list[str], bool]], rounds: int, env: dict[str, str]) -> dict[str, float]:
    """The median of each, after one round that warms the page cache."""
    taken: dict[str, list[float]] = {name: [] for name in those}
    for number in range(rounds + 1):
        for name, (argv, tells) in those.items():
            seconds = measured(argv, env, tells=tells)
            if number:
                taken[name].append(seconds)
    return {name: statistics.median(each) for name, each in taken.items()}


def measured(argv: list[str], env: dict[str, str], *, tells: bool) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        argv, check=True, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return float(done.stdout.split()[-1]) if tells else time.perf_counter() - begun


def table(seconds: dict[str, float], count: int) -> str:
    names = list(seconds)
    rows = []
    for number, name in enumerate(names):
        orbax = seconds[names[0] if number < 3 else names[3]]
        rows.append(f"| {name} | {seconds[name]:.2f} s | {orbax / seconds[name]:.1f} |")
    return "\n".join([f"| {count:,} Orbax steps with metrics | median | times as fast |", "| --- | ---: | ---: |", *rows])


if __name__ == "__main__":
    main()
