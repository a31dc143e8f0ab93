"""A start and an end of a run, killed at every system call that changes something, and with every one of them failing.

Each time: what was acknowledged is there, the next start goes on at once, and no error is silent.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from ckptrun.runs import lease, ledger, paths

SCRIPT = os.path.join(os.path.dirname(__file__), "lease_puppet.py")
STEPS = ["create", "acquire", "reset", "begin", "append one", "append two", "beat", "stop", "clear", "release"]
CALLS = "openat,mkdir,rename,unlink,write,pwrite64,fsync,fdatasync,flock"
ERRORS = ("ENOSPC", "EIO", "EDQUOT")
# A failure of these loses nothing, and there is nobody to tell: half-written files that are swept at the next start anyway.
HARMLESS = ("unlink",)


class Call(NamedTuple):
    name: str
    number: int  # the how many-th of its name in the whole process
    text: str


class Ran(NamedTuple):
    acknowledged: list[str]  # steps that answered ok
    errors: list[str]
    text: str


def traced(root, strace, env, *options, trace=os.devnull):
    command = [strace, "-qq", "-o", str(trace), *options, sys.executable, SCRIPT, str(root), "digits", '{"strict": true}']
    done = subprocess.run(
        command,
        input="".join(step + "\n" for step in STEPS),
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    lines = done.stdout.splitlines()[1:]
    answered = list(zip(STEPS, lines, strict=False))
    errors = [
        line
        for _, line in answered
        if line.startswith("error") or (line.startswith("ok (True, ") and line != "ok (True, '')")
    ]
    return Ran([step for step, line in answered if line.startswith("ok")], errors, done.stdout)


def mutating_calls(root, strace, env, trace):
    """Every call after the imports that changes something, from a run that nothing disturbs."""
    ran = traced(root, strace, env, "-e", f"trace={CALLS}", trace=trace)
    assert ran.acknowledged == STEPS
    assert ran.errors == []
    seen, counts, ready = [], {}, False
    for line in trace.read_text().splitlines():
        found = re.match(r"(\w+)\((.*)", line)
        if not found:
            continue
        name, arguments = found[1], found[2]
        counts[name] = counts.get(name, 0) + 1
        told = name == "write" and arguments.startswith(("1,", "2,"))
        changes = " = -1 " not in arguments
        if ready and changes and not told and (name != "openat" or "O_CREAT" in arguments):
            seen.append(Call(name, counts[name], line))
        ready = ready or (told and '"ready' in arguments)
    return seen


def next_start(root, env, call, before):
    """The next start of the same run, which must work at once; its checks are those of every crash."""
    run = paths.run_paths(str(root), "digits")
    done = subprocess.run(
        [sys.executable, SCRIPT, str(root), "digits", "{}"],
        input="all\n",
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    answer = done.stdout.splitlines()[-1]
    where = f"{call}\n{before.text}\n{answer}"
    assert answer in ("ok new", "ok released", "ok its process is gone"), where
    entries = ledger.read(run.ledger)
    events = [entry["event"] for entry in entries]
    acknowledged = [step.split()[1] for step in before.acknowledged if step.startswith("append")]
    assert [event for event in events if event in ("one", "two")][-2:] == ["one", "two"], where
    assert events[: 1 + len(acknowledged)] == (["ledger", *acknowledged] if acknowledged else events[:1]), where
    assert events.count("unreadable") <= 1, where
    numbers = [entry["attempt"] for entry in entries if "attempt" in entry and entry["event"] in ("one", "two")]
    assert numbers == sorted(numbers), where
    assert lease.read_holder(run).state == "released", where
    left = [name for place in (run.dir, run.control, run.inbox) for name in os.listdir(place) if name.startswith(".tmp-")]
    assert left == [], where


def kill_at(tmp_path, strace, env, calls):
    for call in calls:
        root = tmp_path / "killed"
        ran = traced(root, strace, env, "-e", f"inject={call.name}:signal=KILL:when={call.number}")
        assert ran.acknowledged != STEPS, call
        next_start(root, env, call, ran)
        shutil.rmtree(root)


def fail_at(tmp_path, strace, env, cases):
    for call, error in cases:
        root = tmp_path / "failed"
        ran = traced(root, strace, env, "-e", f"inject={call.name}:error={error}:when={call.number}")
        if call.name not in HARMLESS:
            assert ran.errors, f"{error} was silent: {call}"
        for line in ran.errors:
            assert re.match(r"error (69|73|74) |ok \(True, ", line), f"{error} at {call}: {line}"
        next_start(root, env, call, ran)
        shutil.rmtree(root)


def test_killed_at_every_sixth_call_that_changes_something(tmp_path, strace, steady_env):
    calls = mutating_calls(tmp_path / "baseline", strace, steady_env, tmp_path / "trace")
    assert len(calls) > 30
    kill_at(tmp_path, strace, steady_env, calls[::6])


def test_every_sixth_call_fails(tmp_path, strace, steady_env):
    calls = mutating_calls(tmp_path / "baseline", strace, steady_env, tmp_path / "trace")
    fail_at(tmp_path, strace, steady_env, [(call, ERRORS[n % 3]) for n, call in enumerate(calls[3::6])])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_at_every_call_that_changes_something(tmp_path, strace, steady_env):
    kill_at(tmp_path, strace, steady_env, mutating_calls(tmp_path / "baseline", strace, steady_env, tmp_path / "trace"))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_call_fails_in_every_way(tmp_path, strace, steady_env):
    calls = mutating_calls(tmp_path / "baseline", strace, steady_env, tmp_path / "trace")
    fail_at(tmp_path, strace, steady_env, [(call, error) for call in calls for error in ERRORS])


def test_a_start_costs_so_many_syncs_and_no_more(tmp_path, strace, steady_env):
    """Each is a round trip to a network filesystem, and a start pays for all of them before the script's first line."""
    calls = mutating_calls(tmp_path / "runs", strace, steady_env, tmp_path / "trace")
    syncs = [call.name for call in calls if "sync" in call.name]
    # The names of root and run 2, the attempt's number 1, lease.json 2, the ledger's name 1, each append 1, the heartbeat 1,
    # the mark of a stop 2 and 1, the release 2.
    assert len(syncs) == 2 + 1 + 2 + 1 + 2 * 1 + 1 + 3 + 2, [call.text for call in calls]
