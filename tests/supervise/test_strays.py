"""What an ended attempt left behind is ended by the next start, if it is surely its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid

import psutil
import pytest
from support import wait_until

from ckptrun.supervise import strays

# The whole machine is searched for them: nobody else's processes may bear these, not even those of other tests side by side.
RUN, ATTEMPT = f"/runs/{uuid.uuid4()}", f"id-{uuid.uuid4()}"
BODY = "import os, signal, sys, time; exec(sys.argv[1]); os.write(1, b'ready'); time.sleep(1000)"


@pytest.fixture
def start(request):
    """Processes with an environment of their own, orphaned as strays are."""

    def start(code="", **env):
        process = subprocess.Popen([sys.executable, "-c", BODY, code], env={**os.environ, **env}, stdout=subprocess.PIPE)
        request.addfinalizer(lambda: (process.kill(), process.wait(), process.stdout.close()))
        assert os.read(process.stdout.fileno(), 5) == b"ready"
        return process

    return start


def ours(run=RUN, attempt=ATTEMPT):
    return {"CKPTRUN_RUN_DIR": run, "CKPTRUN_ATTEMPT_ID": attempt}


def own_cgroup():
    with open("/proc/self/cgroup") as file:
        return file.read()


def end(ended, uid=None):
    return strays.end_strays(RUN, ended, uid=os.geteuid() if uid is None else uid, own_pid=os.getpid())


def test_a_stray_is_ended(start):
    stray = start(**ours())
    killed, reported = end({ATTEMPT: "", "id-0": ""})
    assert stray.wait(10) == -signal.SIGTERM
    assert len(killed) == 1
    assert f"({stray.pid})" in killed[0]
    assert reported == []


def test_one_that_ignores_sigterm_or_is_stopped(start, monkeypatch):
    monkeypatch.setattr(strays, "_TERM_SECONDS", 0.3)
    deaf = start("signal.signal(15, signal.SIG_IGN)", **ours())
    stopped = start(**ours())
    os.kill(stopped.pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(stopped.pid).status() == psutil.STATUS_STOPPED)
    killed, _ = end({ATTEMPT: ""})
    assert len(killed) == 2
    assert deaf.wait(10) == -signal.SIGKILL
    assert stopped.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("env", "ended", "where"),
    [
        (ours(), {}, None),  # of an attempt that has not ended
        (ours(attempt=f"{ATTEMPT}2"), {ATTEMPT: ""}, None),  # of another attempt: the id is compared whole
        (ours(run="/runs/b"), {ATTEMPT: ""}, "of a run in /runs/b"),
    ],
    ids=["running", "another attempt", "another run"],
)
def test_what_is_not_surely_ours_is_left_alone(start, env, ended, where):
    other = start(**env)
    killed, reported = end(ended)
    assert killed == []
    assert other.poll() is None
    assert [where in line for line in reported] == ([True] if where else [])


def test_one_in_another_control_group_is_reported(start, monkeypatch):
    stray = start(**ours())
    real = strays._cgroup
    monkeypatch.setattr(strays, "_cgroup", lambda pid: "0::/somewhere/else\n" if pid == stray.pid else real(pid))
    killed, reported = end({ATTEMPT: "0::/job_5\n"})
    assert (killed, len(reported)) == ([], 1)
    assert "in another control group" in reported[0]
    killed, reported = end({ATTEMPT: "0::/somewhere/else\n"})  # the one that was recorded for the attempt
    assert (len(killed), reported) == (1, [])
    assert stray.wait(10) == -signal.SIGTERM


def test_of_another_user(start):
    stray = start(**ours())
    assert end({ATTEMPT: own_cgroup()}, uid=os.geteuid() + 1) == ([], [])
    assert stray.poll() is None


def test_our_own_ancestors_are_never_ended(start):
    """A ckptrun that was started below an ended attempt of the same run."""
    code = (
        "import os, sys; sys.path.insert(0, os.getcwd()); from ckptrun.supervise import strays; "
        f"print(strays.end_strays({RUN!r}, {{{ATTEMPT!r}: ''}}, uid=os.geteuid(), own_pid=os.getpid()))"
    )
    done = subprocess.run(
        ["sh", "-c", '"$@"; echo alive', "sh", sys.executable, "-c", code],
        env={**os.environ, **ours()}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "([], [])\nalive\n"


def test_zombies_are_no_strays(start):
    stray = start(**ours())
    stray.kill()
    wait_until(lambda: psutil.Process(stray.pid).status() == psutil.STATUS_ZOMBIE)
    assert end({ATTEMPT: ""}) == ([], [])
