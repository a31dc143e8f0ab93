"""The scontrol that a script finds: a real sh runs it, and a recorder stands where the real one would be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support import Started, wait_until, write_files

from ckptrun import names
from ckptrun.platforms.slurm import shim

ENVIRON = {"SLURM_JOB_ID": "70", "SLURM_ARRAY_JOB_ID": "68", "SLURM_ARRAY_TASK_ID": "2"}
LISTENER = "import signal, sys\nsignal.signal(signal.SIGCONT, lambda *_: print('woken', flush=True))\nprint('ready', flush=True)\nwhile True: signal.pause()\n"
RECORDER = "#!/bin/sh\nprintf '<%s>' \"$@\"\ncat\nexit 7\n"
OURS = [
    ("requeue", "70"),
    ("requeue", "68_2"),
    ("requeue", "68_[2]"),
    ("requeue", "JobId=70"),
    ("requeue", "job=68_2"),
    ("requeue", "Incomplete", "70"),
    ("requeue", "70", "68_2"),
    ("-Q", "--verbose", "requeue", "70"),
    ("req", "70"),
]
THEIRS = [
    (),
    ("show", "job", "70"),
    ("show", "hostnames", "a[1-3],*"),
    ("requeue",),
    ("requeue", "71"),
    ("requeue", "68"),  # the whole array
    ("requeue", "68_3"),
    ("requeue", "70,71"),
    ("requeue", "70", "71"),
    ("requeuehold", "70"),
    ("requeuehold", "State=SpecialExit", "70"),
    ("release", "70"),
    ("-M", "other", "requeue", "70"),
    ("update", "JobId=70", "Requeue=1"),
    ("two words", "", "$HOME", "'\""),
]


class Place:
    """A directory with our scontrol, one with the recorder, and a process that stands for ckptrun."""

    def __init__(self, folder: str) -> None:
        self.own, self.real = os.path.join(folder, "it's ours"), os.path.join(folder, "real")
        write_files(self.real, {"scontrol": RECORDER, "listener.py": LISTENER})
        os.chmod(os.path.join(self.real, "scontrol"), 0o755)
        os.makedirs(self.own)
        self.ckptrun = Started([sys.executable, os.path.join(self.real, "listener.py")], cwd=folder)
        self.ckptrun.wait_for("ready")
        self.install(ENVIRON, "68_2")

    def install(self, environ: dict[str, str], target: str) -> None:
        write_files(self.own, {"scontrol": shim.program(environ, target, self.ckptrun.pid)})
        os.chmod(os.path.join(self.own, "scontrol"), 0o700)

    def run(self, *words: str, path: str = "{own}:{real}:/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
        env = {"PATH": path.format(own=self.own, real=self.real)}
        return subprocess.run(["scontrol", *words], env=env, input="typed", capture_output=True, text=True, check=False)

    @property
    def asked(self) -> str | None:
        try:
            with open(os.path.join(self.own, names.REQUEUE_ASKED), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None


@pytest.fixture
def place(tmp_path):
    made = Place(str(tmp_path))
    with made.ckptrun:
        yield made


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_a_requeue_of_its_own_job_is_a_request(place, words):
    ran = place.run(*words)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "job 68_2 is requeued when this attempt has ended" in ran.stderr
    assert place.asked == f"scontrol {' '.join(words)}\n"
    place.ckptrun.wait_for("woken")


@pytest.mark.parametrize("words", THEIRS, ids=" ".join)
def test_everything_else_is_passed_on_unchanged(place, words):
    ran = place.run(*words)
    assert (ran.returncode, ran.stderr) == (7, "")
    assert ran.stdout == "".join(f"<{word}>" for word in words or ("",)) + "typed"
    assert place.asked is None


def test_without_ckptrun_the_real_one_requeues(place):
    os.kill(place.ckptrun.pid, signal.SIGKILL)
    place.ckptrun.finish()
    assert place.run("requeue", "70").stdout == "<requeue><70>typed"
    assert place.asked is None


def test_where_nothing_can_be_written_the_real_one_requeues(place):
    os.mkdir(os.path.join(place.own, names.REQUEUE_ASKED))
    assert place.run("requeue", "70").stdout == "<requeue><70>typed"


def test_a_surrounding_one_hears_what_is_not_ours(place, tmp_path):
    inner = tmp_path / "inner"
    write_files(inner, {"scontrol": shim.program({"SLURM_JOB_ID": "5"}, "5", place.ckptrun.pid)})
    os.chmod(inner / "scontrol", 0o700)
    ran = place.run("requeue", "70", path=f"{inner}:{{own}}:{{real}}:/usr/bin:/bin")
    assert ran.returncode == 0
    wait_until(lambda: place.asked is not None)


def test_where_there_is_no_other(place):
    ran = place.run("show", "job", path="{own}:/nowhere")
    assert (ran.returncode, ran.stderr) == (127, "scontrol: there is no other one on PATH\n")


def test_a_job_without_a_number_has_none():
    assert shim.program({}, "", 1) == ""
    assert shim.program({"SLURM_JOB_ID": "7; rm -rf /"}, "7; rm -rf /", 1) == ""
