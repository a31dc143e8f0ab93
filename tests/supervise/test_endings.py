"""How attempts end: asked, told, killed; and nothing of the tree stays behind. Real processes throughout."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest
from support import wait_until


def test_a_command_that_ends_by_itself(world):
    with world.start("sh", "-c", "exit 7") as it:
        assert it.finish() == 0
    ended = world.ended()
    assert (ended["child_exit"], ended["child_signal"], ended["requests"], ended["sent_signals"]) == (7, None, [], [])
    assert not os.path.exists(world.local("request.json"))
    assert not os.path.exists(world.local("notify"))


def test_a_command_killed_by_somebody_else(world):
    with world.start(*world.script("say('ready', os.getpid()); rest()")) as it:
        os.kill(int(it.wait_for(r"ready (\d+)")[1]), signal.SIGSEGV)
        it.finish()
    assert (world.ended()["child_exit"], world.ended()["child_signal"]) == (None, signal.SIGSEGV)


def test_a_script_that_saves_and_exits_on_the_signal(world):
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()")) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    ended = world.ended()
    assert ended["child_exit"] == 0
    assert [(each["action"], each["cause"], each["reason"]) for each in ended["requests"]] == [
        ("save_and_stop", "preempted", "SIGUSR1")
    ]
    assert ended["sent_signals"] == [signal.SIGUSR1]
    assert len(world.ledger("delivered")) == 1


def test_term_then_kill_for_a_child_that_ignores_everything(world):
    body = """
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, 17}:
    signal.signal(number, signal.SIG_IGN)
say('ready'); rest()
"""
    with world.start(*world.script(body), grace=0.5, term_to_kill=0.5) as it:
        it.wait_for("ready")
        began = time.monotonic()
        it.signal(signal.SIGTERM)
        it.finish()
        took = time.monotonic() - began
    ended = world.ended()
    assert ended["child_signal"] == signal.SIGKILL
    assert ended["sent_signals"] == [signal.SIGKILL, signal.SIGTERM]
    assert 1.0 <= took < 5.0
    signals = [entry["signal"] for entry in world.ledger("ending")]
    assert signals == ["SIGTERM", "SIGKILL"]
    deadline = ended["requests"][0]["deadline"]
    assert world.ledger("ending")[0]["at"] >= deadline - 0.01  # not before it
    assert ended["ended"] - deadline >= 0.49


def test_another_sigterm_insists_on_nothing(world):
    with world.start(*world.script("on('TERM'); say('ready'); time.sleep(0.8); say('end')"), grace=20) as it:
        it.wait_for("ready")
        for _ in range(3):
            it.signal(signal.SIGTERM)
            time.sleep(0.03)
        it.wait_for("end")
        it.finish()
    ended = world.ended()
    assert (ended["child_exit"], len(ended["requests"])) == (0, 1)
    assert it.text.count("got TERM") == 1


def test_the_second_interrupt_ends_at_once(world):
    with world.start(*world.script("on('INT'); say('ready'); rest()"), grace=60) as it:
        it.wait_for("ready")
        it.signal(signal.SIGINT)
        it.wait_for("interrupt once more")
        it.signal(signal.SIGINT)
        it.finish(10)
    ended = world.ended()
    assert [each["action"] for each in ended["requests"]] == ["save_and_stop", "stop_now"]
    assert {each["cause"] for each in ended["requests"]} == {"stopped"}
    assert ended["child_signal"] == signal.SIGTERM
    assert "got INT" not in it.text  # ^C is ours to act on
    assert [entry["by"] for entry in world.read("stopped.jsonl")] == ["SIGINT"]


def test_the_third_interrupt_kills(world):
    with world.start(*world.script("on('TERM'); say('ready'); rest()"), grace=60, term_to_kill=60) as it:
        it.wait_for("ready")
        for line in ("interrupt once more", "SIGTERM sent to 1", None):
            it.signal(signal.SIGINT)
            if line:
                it.wait_for(line)
        it.finish(10)
    assert world.ended()["child_signal"] == signal.SIGKILL


def test_the_whole_tree_is_ended(world):
    body = """
import subprocess
kids = [subprocess.Popen(["sleep", "1000"], start_new_session=(n == 1)) for n in range(3)]
say("ready", *[kid.pid for kid in kids]); rest()
"""
    with world.start("bash", "-c", " ".join(world.script(body)) + "; echo next", grace=0.3, term_to_kill=2) as it:
        pids = [int(word) for word in it.wait_for(r"ready (.*)")[1].split()]
        it.signal(signal.SIGTERM)
        it.finish()
        assert not any(psutil.pid_exists(pid) for pid in pids)
    assert "next" not in it.text.split("ready")[1].split()


def test_a_double_fork_does_not_escape(world):
    body = """
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        on('TERM', leave=0); os.write(writing, b"%d" % os.getpid()); rest()
    os._exit(0)
os.wait(); say("ready", os.read(reading, 100).decode()); rest()
"""
    with world.start(*world.script(body), grace=0.3, term_to_kill=5) as it:
        pid = int(it.wait_for(r"ready (\d+)")[1])
        assert psutil.Process(pid).ppid() == it.pid  # we adopted it
        it.signal(signal.SIGTERM)
        it.wait_for(f"got TERM {pid}")
        it.finish()
        assert not psutil.pid_exists(pid)


def test_what_a_command_leaves_behind_is_ended(world):
    body = """
if os.fork() == 0:
    say("left", os.getpid()); rest()
time.sleep(0.1)
"""
    with world.start(*world.script(body), term_to_kill=1, linger=1) as it:
        pid = int(it.wait_for(r"left (\d+)")[1])
        it.finish()
        assert not psutil.pid_exists(pid)
    ended = world.ended()
    assert 0.9 < ended["ended"] - world.ledger("command_ended")[0]["at"] < 5
    assert ended["child_exit"] == 0
    assert len(ended["strays"]) == 1
    assert str(pid) in ended["strays"][0]
    assert "what the command left behind" in it.text


def test_what_ends_by_itself_after_the_command_is_no_stray(world):
    with world.start("sh", "-c", "(sleep 0.4; echo late) & exit 0") as it:
        it.finish()
    assert "late" in world.log().decode()
    assert (world.ended()["strays"], world.ended()["sent_signals"]) == ([], [])


def test_a_worker_that_said_hello_is_the_work_itself(world):
    body = """
if os.fork() == 0:
    os.setsid()
    tell(hello={"pid": os.getpid(), "goes_on": True, "rank": 0, "world": 1})
    say("working"); time.sleep(1.5); say("worked"); os._exit(0)
time.sleep(0.3)
"""
    with world.start(*world.script(body), linger=0.5) as it:
        it.wait_for("worked")
        it.finish()
    assert world.ended()["strays"] == []
    assert world.ended()["sent_signals"] == []


def test_a_worker_that_said_hello_can_still_be_stopped(world):
    body = """
if os.fork() == 0:
    os.setsid()
    on('USR1', leave=0)
    tell(hello={"pid": os.getpid(), "goes_on": True, "rank": 0, "world": 1})
    say("working", os.getpid()); rest()
time.sleep(0.2)
"""
    with world.start(*world.script(body)) as it:
        it.wait_for("working")
        wait_until(lambda: world.ledger("command_ended"))
        it.signal(signal.SIGTERM)
        it.wait_for("got USR1")
        it.finish()
    assert world.ended()["strays"] == []


def test_a_stopped_child_is_continued_so_that_it_can_act(world):
    body = "on('USR1', leave=0); say('ready', os.getpid()); rest()"
    with world.start(*world.script(body)) as it:
        pid = int(it.wait_for(r"ready (\d+)")[1])
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        it.signal(signal.SIGTERM)
        it.wait_for("got USR1")
        it.finish(10)
    assert world.ended()["child_exit"] == 0


def test_a_stopped_child_that_handles_nothing_is_ended(world):
    with world.start(*world.script("say('ready', os.getpid()); rest()"), grace=0.3, term_to_kill=20) as it:
        pid = int(it.wait_for(r"ready (\d+)")[1])
        os.kill(pid, signal.SIGSTOP)
        it.signal(signal.SIGTERM)
        it.finish(10)
    assert world.ended()["child_signal"] == signal.SIGTERM


def test_the_child_is_told_when_ckptrun_is_killed(world):
    with world.start(*world.script("on('TERM', leave=0); say('ready', os.getpid()); rest()")) as it:
        pid = int(it.wait_for(r"ready (\d+)")[1])
        os.kill(it.pid, signal.SIGKILL)
        wait_until(lambda: b"got TERM" in world.log() or not psutil.pid_exists(pid))
        wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_child_that_dies_while_saving(world):
    body = "signal.signal(signal.SIGUSR1, lambda n, f: (tell(saving=5), os.kill(os.getpid(), 9))); say('ready'); rest()"
    with world.start(*world.script(body)) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish(10)
    ended = world.ended()
    assert (ended["child_signal"], ended["answered"], ended["sent_signals"]) == (signal.SIGKILL, False, [signal.SIGUSR1])
    assert "nothing was saved" in it.text


def test_a_stop_before_the_command_is_started_keeps_it_from_starting(world):
    body = "import signal,os,sys; os.kill(os.getpid(), signal.SIGTERM)"
    sitecustomize = os.path.join(world.path, "usercustomize.py")
    with open(sitecustomize, "w") as file:
        file.write("")
    driver = world.argv("sh", "-c", "echo started")
    program = f"import sys; sys.argv = {driver[1:]!r}; sys.path.insert(0, {os.path.dirname(driver[1])!r}); import driver; {body}; driver.main()"
    from support import Started

    with Started([driver[0], "-c", program], cwd=world.path) as it:
        it.finish()
    ended = world.ended()
    assert (ended["child_exit"], ended["child_signal"]) == (None, None)
    assert ended["requests"][0]["cause"] == "preempted"
    assert "started" not in it.text.split()


def test_srun_is_never_sent_sigterm(world):
    """It would kill its ranks 13 ms later (seen); the step is ended with scancel."""
    folder = os.path.join(world.path, "bin")
    os.mkdir(folder)
    for name, body in {
        "srun": "trap 'echo srun got TERM' TERM; trap 'echo srun got USR1' USR1; echo ready; while :; do sleep 0.1; done",
        "squeue": "echo 77.batch; echo 77.extern; echo 77.0; echo 77.4",
        "scancel": f'echo "$@" > {world.path}/scancelled',
    }.items():
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.write(f'#!/bin/bash\nexec -a {name} bash {path}.sh "$@"\n' if name == "srun" else f"#!/bin/bash\n{body}\n")
        with open(path + ".sh", "w") as file:
            file.write(body)
        os.chmod(path, 0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0"}
    with world.start("srun", "-n2", "x", env=env, grace=0.3, term_to_kill=1.5) as it:
        it.wait_for("ready")
        it.signal(signal.SIGTERM)
        it.finish()
    assert "srun got" not in it.text
    with open(os.path.join(world.path, "scancelled")) as file:
        assert file.read().split() == ["-s", "TERM", "77.4"]
    assert world.ended()["child_signal"] == signal.SIGKILL
    assert world.ledger("ending")[0]["to"][0].endswith("by scancel")


@pytest.mark.skipif(not os.access("/sys/fs/cgroup/memory", os.W_OK), reason="no memory control group to put a child into")
def test_out_of_memory_is_named(world):
    with open("/proc/self/cgroup") as file:
        own = next(line.split(":")[2].strip() for line in file if ":memory:" in line)
    group = f"/sys/fs/cgroup/memory{own}/ckptrun-test-{os.getpid()}"
    os.mkdir(group)
    try:
        with open(f"{group}/memory.limit_in_bytes", "w") as file:
            file.write(str(64 << 20))
        enter = f'echo $$ > {group}/cgroup.procs; exec "$@"'
        argv = world.argv(*world.script("say('ready'); x = [bytearray(1 << 20) for _ in range(500)]; say('lived')"))
        from support import Started

        with Started(["sh", "-c", enter, "sh", *argv], cwd=world.path) as it:
            it.finish()
        ended = world.ended()
        assert (ended["child_signal"], ended["oom"]) == (signal.SIGKILL, True)
    finally:
        wait_until(lambda: _rmdir(group))


def _rmdir(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True
