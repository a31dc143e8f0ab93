"""Who we are, on the machine that the tests run on."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest
import support

from ckptrun import platforms
from ckptrun.model import Holder
from ckptrun.platforms import machine
from ckptrun.platforms.local import Local

ASK = "from ckptrun.platforms import base; i = base.identity(); print(i.pid, i.start_ticks, i.boot_id, i.pid_ns, i.host)"


def test_identity_is_what_the_kernel_says():
    me = Local({}).identity()
    assert (me.pid, me.host, me.uid) == (os.getpid(), os.uname().nodename, os.geteuid())
    started = psutil.boot_time() + me.start_ticks / os.sysconf("SC_CLK_TCK")
    assert started == pytest.approx(psutil.Process().create_time(), abs=2)
    with open("/proc/self/cgroup") as file:
        assert me.cgroup == file.read()


def test_processes_of_one_boot_share_its_id_and_differ_in_their_start():
    mine = Local({}).identity()
    pid, ticks, boot, namespace, _ = support.run([sys.executable, "-c", ASK], cwd="/").stdout.split()
    assert (boot, namespace) == (mine.boot_id, mine.pid_ns)
    assert int(pid) != mine.pid
    assert int(ticks) > mine.start_ticks


def test_a_process_whose_name_looks_like_a_stat_line(tmp_path):
    script = (
        "import ctypes\nctypes.CDLL(None).prctl(15, b') R 1 2 (x 7', 0, 0, 0)\n"
        "from ckptrun.platforms import machine\nprint(machine.start_ticks())"
    )
    ticks = int(support.run([sys.executable, "-c", script], cwd=tmp_path).stdout)
    assert ticks >= machine.start_ticks()


def test_a_container_has_a_pid_namespace_of_its_own_and_the_same_boot():
    command = ["unshare", "--pid", "--fork", "--kill-child", "--uts", sys.executable, "-c", ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=support.clean_env())
    if done.returncode:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    pid, _, boot, namespace, _ = done.stdout.split()
    mine = Local({}).identity()
    assert (pid, boot) == ("1", mine.boot_id)
    assert namespace != mine.pid_ns


def test_what_a_system_does_not_say_is_empty(monkeypatch):
    def nothing(path, *_, **__):
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "open", nothing)
    monkeypatch.setattr(os, "readlink", nothing)
    me = Local({}).identity()
    assert (me.boot_id, me.start_ticks, me.pid_ns, me.cgroup) == ("", 0, "", "")
    assert machine.parent_name() == ""


def test_where_no_scheduler_is_recognised_nothing_is_known_and_nobody_starts_us_again():
    place = platforms.detect({})
    assert isinstance(place, Local)
    assert place.end_time() == (None, "")
    assert place.grace() is None
    assert place.is_over(Holder(host="node7", pid=1, boot_id="x", job="77")) is None
    assert (place.job().platform, place.job().job, place.job().automatic) == ("local", "", False)
    assert platforms.detect({"CKPTRUN_SUBMITTED": "1"}).job().automatic
    assert platforms.detect({"SLURM_JOB_ID": ""}).job().platform == "local"
