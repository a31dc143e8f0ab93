"""Power loss, by a model: a name is there after it only if its directory was synced, a content only if its file was.

The model reads a trace of real system calls, and no filesystem is as forgetful as it is: none that is common drops the name
of a file that was itself synced. A filesystem is allowed to.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

SCRIPT = os.path.join(os.path.dirname(__file__), "lease_puppet.py")
STEPS = [
    "create",
    "acquire",
    "begin",
    "append one",
    "save a",
    "save b",
    "set_aside b a",
    "append two",
    "stop",
    "clear",
    "release",
]
CALLS = "openat,mkdir,rename,unlink,write,pwrite64,fsync,fdatasync"


class Disk:
    """What would be lost if the power went now."""

    def __init__(self):
        self.known, self.names, self.contents, self.moved = set(), set(), set(), {}

    def make(self, path):
        if path not in self.known:
            self.known.add(path)
            self.names.add(path)

    def write(self, path):
        self.contents.add(path)

    def rename(self, old, new):
        assert self.lost_on_the_way_to(os.path.dirname(new)) == [], f"{new} would lie in a directory that may vanish"
        if old in self.contents:
            self.contents.add(new)
        self.contents.discard(old)
        if old not in self.names:
            self.moved[old] = new
        self.names.discard(old)
        self.names.add(new)
        self.known.add(new)

    def unlink(self, path):
        self.names.discard(path)

    def sync(self, path):
        self.contents.discard(path)
        gone = {old: new for old, new in self.moved.items() if os.path.dirname(old) == path}
        assert not [new for new in gone.values() if new in self.names], f"both names of {gone} may vanish"
        self.names = {name for name in self.names if os.path.dirname(name) != path}
        self.moved = {old: new for old, new in self.moved.items() if old not in gone}

    def lost_on_the_way_to(self, path):
        lost = [path] if path in self.contents else []
        while path not in ("/", ""):
            lost += [path] if path in self.names else []
            path = os.path.dirname(path)
        return lost


def replay(trace, required):
    """Follow a trace; at the answer to each step, what `required` names for it must be safe."""
    disk, steps = Disk(), iter(STEPS)
    for line in trace.read_text().splitlines():
        call, arguments = line.split("(", 1)
        quoted = re.findall(r'"([^"]*)"', arguments)
        opened = re.match(r"\d+<([^>]*)>", arguments)
        if " = -1 " in arguments:
            continue
        if call == "write" and arguments.startswith("1<"):
            if quoted[0].startswith("ok "):
                step = next(steps)
                for path in required.get(step, []):
                    assert path in disk.known, f"{path} was never made before {step!r} was answered"
                    assert disk.lost_on_the_way_to(path) == [], f"{step!r} was answered"
        elif call in ("write", "pwrite64"):
            disk.write(opened[1])
        elif call in ("fsync", "fdatasync"):
            disk.sync(opened[1])
        elif call == "mkdir" or (call == "openat" and "O_CREAT" in arguments):
            disk.make(quoted[0])
        elif call == "rename":
            disk.rename(*quoted)
        elif call == "unlink":
            disk.unlink(quoted[0])
    assert next(steps, None) is None


@pytest.fixture
def trace(tmp_path, strace, steady_env):
    where = tmp_path / "trace"
    command = [strace, "-qq", "-y", "-s", "4096", "-o", str(where), "-e", f"trace={CALLS}"]
    command += [sys.executable, SCRIPT, str(tmp_path / "runs"), "digits", "{}"]
    done = subprocess.run(command, input="\n".join(STEPS), capture_output=True, text=True, check=True, env=steady_env)
    assert done.stdout.count("ok ") == len(STEPS), done.stdout
    return where


def required(root):
    run = f"{root}/runs/digits"
    return {
        "begin": [f"{run}/lease.json", f"{run}/attempts/0001"],
        "append one": [f"{run}/ledger.jsonl"],
        "set_aside b a": [f"{run}/superseded/0001-test/checkpoints/{name}" for name in "ab"],
        "append two": [f"{run}/ledger.jsonl"],
        "stop": [f"{run}/control/stopped.json"],
        "release": [f"{run}/lease.json"],
    }


def test_what_was_acknowledged_would_be_there_after_a_loss_of_power(trace, tmp_path):
    replay(trace, required(tmp_path))


@pytest.mark.parametrize("missing", ["fsync of a file", "fsync of a directory"])
def test_the_model_notices_what_is_not_synced(trace, tmp_path, missing):
    """Every sync is there for something: without those of files, or of directories, the model complains."""
    lines = trace.read_text().splitlines(keepends=True)
    directories = re.compile(r"f(data)?sync\(\d+<[^>]*/(runs|digits|attempts|control|checkpoints|superseded|0001-test)>\)")
    files = re.compile(r"f(data)?sync\(\d+<[^>]*\.(json|jsonl|tmp)[^>]*>\)")
    dropped = files if missing == "fsync of a file" else directories
    kept = [line for line in lines if not dropped.match(line)]
    assert len(kept) < len(lines)
    trace.write_text("".join(kept))
    with pytest.raises(AssertionError):
        replay(trace, required(tmp_path))
