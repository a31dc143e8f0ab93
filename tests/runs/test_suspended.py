"""A holder that is suspended at any of its system calls, loses its run meanwhile, and wakes up."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
import support

from ckptrun.runs import ledger, paths

SCRIPT = os.path.join(os.path.dirname(__file__), "lease_puppet.py")
STEPS = ["create", "acquire", "begin", "append one", "beat", "append two", "release"]
CALLS = "openat,read,fstat,newfstatat,lstat,rename,write,pwrite64,fsync,fdatasync,close,flock"


def start(root, strace, env, *options):
    process = subprocess.Popen(
        [strace, "-qq", *options, sys.executable, SCRIPT, str(root), "digits", "{}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=env,
    )
    process.stdin.write("".join(step + "\n" for step in STEPS))
    process.stdin.close()
    return process


def calls_of_a_holder(root, strace, env, trace):
    """(name, how many-th) of every call between taking the lease and letting it go."""
    process = start(root, strace, env, "-o", str(trace), "-e", f"trace={CALLS}")
    assert process.stdout.read().endswith("ok None\n")
    process.stdout.close()
    assert process.wait() == 0
    seen, counts, holds = [], {}, False
    for line in trace.read_text().splitlines():
        name, _, arguments = line.partition("(")
        counts[name] = counts.get(name, 0) + 1
        told = name == "write" and arguments.startswith("1,")
        if holds and not told:
            seen.append((name, counts[name]))
        holds = holds or (told and '"ok 1\\n"' in arguments)
        if name == "flock" and "LOCK_UN" in arguments:
            break
    return seen


def suspend_and_succeed(root, strace, env, call, puppets):
    """Stop the holder at `call`, let another host take its run over, wake it; what it said."""
    name, number = call
    trace = root.parent / "stop"
    trace.write_text("")
    process = start(root, strace, env, "-o", str(trace), "-e", f"inject={name}:signal=STOP:when={number}")
    support.wait_until(lambda: "stopped by SIGSTOP" in trace.read_text(), what=f"stop at {call}")
    (tracee,) = psutil.Process(process.pid).children()
    os.unlink(root / "digits" / "lease.lock")  # its lock does not reach the other host
    successor = puppets(root, host="node7", boot_id="another-boot", hasten=1000)
    assert not successor("acquire").startswith("error")
    assert successor("begin") == "2"
    assert successor("append after") == "None"
    tracee.send_signal(signal.SIGCONT)
    said = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0, said
    assert successor("beat") == "(True, '')", call
    assert successor("held") == "True", call
    assert successor("append last") == "None"
    return said


def check(root, call, said):
    entries = ledger.read(paths.run_paths(str(root), "digits").ledger)
    events = [(entry["event"], entry.get("attempt")) for entry in entries]
    assert all(event != "unreadable" for event, _ in events), (call, events)
    after = events[events.index(("after", 2)) + 1 :]
    late = [event for event in after if event[1] == 1 and event[0] != ledger.HEADER]
    assert len(late) <= 1, (call, events)  # the one write whose guard had been asked already
    assert after[-1] == ("last", 2)
    written = [line for line in said.splitlines() if re.match(r"ok None$", line)]
    assert written
    assert "Traceback" not in said


def suspend_at(tmp_path, strace, env, puppets, step):
    calls = calls_of_a_holder(tmp_path / "baseline", strace, env, tmp_path / "trace")
    assert len(calls) > 40
    for call in calls[::step]:
        root = tmp_path / "suspended"
        check(root, call, suspend_and_succeed(root, strace, env, call, puppets))
        shutil.rmtree(root)


def test_suspended_at_every_twelfth_call(tmp_path, strace, steady_env, puppets):
    suspend_at(tmp_path, strace, steady_env, puppets, 12)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_suspended_at_every_call(tmp_path, strace, steady_env, puppets):
    suspend_at(tmp_path, strace, steady_env, puppets, 1)
