"""Runs to play with: puppets that hold leases, directories that other users can reach, a disk that is soon full."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
import support

from ckptrun.model import JobIdentity
from ckptrun.platforms import base
from ckptrun.runs import lease, paths

SCRIPT = os.path.join(os.path.dirname(__file__), "lease_puppet.py")
NOBODY = 65534


class Puppet:
    """A process that does what it is told: `puppet("acquire")` returns what it answered, without its "ok"."""

    def __init__(self, root, name="digits", **options):
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, os.fspath(root), name, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=support.clean_env({"PYTHONDONTWRITEBYTECODE": "1"}),
            cwd=os.path.dirname(SCRIPT),
        )
        self.pid = self.process.pid
        self.told = []
        assert self._line() == "ready"

    def __call__(self, command):
        self.say(command)
        return self.hear()

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self._line()
        while line.startswith("told "):
            self.told.append(line[5:])
            line = self._line()
        return line.removeprefix("ok ")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _line(self):
        line = self.process.stdout.readline()
        assert line, f"the puppet ended with {self.process.wait()}"
        return line.rstrip("\n")


@pytest.fixture
def puppets():
    """Starts puppets, and ends them all."""
    started = []

    def start(*args, **options):
        started.append(Puppet(*args, **options))
        return started[-1]

    yield start
    for puppet in started:
        puppet.end()


class Time:
    """A clock that passes only by sleeping; `then` is called at each sleep."""

    def __init__(self, then=lambda: None):
        self.now, self.then, self.slept = 1_800_000_000.0, then, []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        self.then()


@pytest.fixture
def make_time():
    """Makes clocks that only sleeping moves; see `Time`."""
    return Time


@pytest.fixture
def run(tmp_path):
    """An empty run's directory."""
    made = paths.run_paths(str(tmp_path / "runs"), "digits")
    paths.create(made)
    return made


@pytest.fixture
def hold():
    """Acquires a run's lease here, with no patience lost; releases all in the end."""
    held = []

    def acquire(run, me=None, time=None, over=None, tell=lambda _: None, job=None):
        time = time or Time()
        got = lease.acquire(
            run,
            me or base.identity(),
            job or JobIdentity(),
            clock=time.clock,
            monotonic=time.clock,
            sleep=time.sleep,
            tell=tell,
            is_over=lambda _: over,
        )
        held.append(got)
        return got

    yield acquire
    for got in held:
        got.release()


@pytest.fixture
def anybody(tmp_path_factory):
    """A directory that every user can reach and enter, unlike pytest's own."""
    path = tempfile.mkdtemp(prefix="ckptrun-", dir="/tmp")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a tmpfs of so many kB; skips where that is not allowed."""
    mounted = []

    def mount(kilobytes):
        where = tmp_path / "disk"
        where.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(where)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
        mounted.append(where)
        return where

    yield mount
    for where in mounted:
        subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.fixture
def as_root():
    """For tests that become another user or make files of one."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


@pytest.fixture
def strace():
    """The path of strace; skips where there is none or it may not trace."""
    found = shutil.which("strace")
    if not found:
        pytest.skip("strace is not installed")
    if subprocess.run([found, "-qq", "-o", os.devnull, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return found


@pytest.fixture(scope="session")
def steady_env(tmp_path_factory):
    """An environment in which the puppet's system calls before its first answer are the same each time: all is compiled."""
    env = support.clean_env({"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled")), "PYTHONHASHSEED": "0"})
    command = [sys.executable, SCRIPT, str(tmp_path_factory.mktemp("warm")), "warm", "{}"]
    subprocess.run(command, input="all\n", text=True, env=env, stdout=subprocess.DEVNULL, check=True)
    return env
