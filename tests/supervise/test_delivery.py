"""Whom a signal is for: relays and runtimes by name, trees as tables, command lines as sentences. No process is signalled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from ckptrun.supervise import delivery, golang, relays, tree
from ckptrun.supervise.spec import Spec
from ckptrun.supervise.tree import Masks, Proc

USR1 = int(signal.SIGUSR1)
CATCHES, BLOCKS, IGNORES = Masks(caught=1 << 9), Masks(blocked=1 << 9), Masks(blocked=1 << 9, ignored=1 << 9)


@pytest.mark.parametrize(
    ("line", "kind", "name"),
    [
        ("bash -c x", relays.RELAY, "bash"),
        ("-bash", relays.RELAY, "bash"),
        ("/bin/sh script.sh", relays.RELAY, "sh"),
        ("/opt/venv/bin/python3.11 /opt/venv/bin/torchrun --standalone t.py", relays.RELAY, "torchrun"),
        ("python -u -m torch.distributed.run t.py", relays.RELAY, "torchrun"),
        ("python3 -W ignore -X dev -m torch.distributed.launch t.py", relays.RELAY, "torchrun"),
        ("python -m accelerate.commands.launch t.py", relays.RELAY, "accelerate"),
        ("python /usr/bin/accelerate launch t.py", relays.RELAY, "accelerate"),
        ("python /x/deepspeed t.py", relays.RELAY, "deepspeed"),
        ("/opt/conda/bin/python /opt/conda/bin/conda run -n e python t.py", relays.RELAY, "conda"),
        ("uv run t.py", relays.RELAY, "uv"),
        ("tini -- python t.py", relays.RELAY, "tini"),
        ("tmux: server", relays.RELAY, "tmux"),
        ("mpiexec.hydra -n 2 x", relays.RELAY, "mpiexec.hydra"),
        ("srun -n2 python t.py", relays.ELSEWHERE, "srun"),
        ("docker run x", relays.ELSEWHERE, "docker"),
        ("node t.js", relays.RUNTIME, "node"),
        ("/usr/lib/R/bin/exec/R --file=t.R", relays.RUNTIME, "R"),
        ("java -jar x", relays.RUNTIME, "java"),
        ("python t.py", "", "t.py"),
        ("python -c x", "", "python"),
        ("python", "", "python"),
        ("python -m mytrainer", "", "mytrainer"),
        ("python -", "", "python"),
        ("pypy3 t.py", "", "t.py"),
        ("pythonista t.py", "", "pythonista"),
        ("./train --x", "", "train"),
    ],
)
def test_kinds(line, kind, name):
    assert relays.kind(line.split()) == (kind, name)


def test_no_command_line_is_no_relay():
    assert relays.kind([]) == ("", "")


def procs(*rows):
    """(pid, parent) rows, parents first."""
    return [Proc(pid, parent, pid, 1, "S", "x") for pid, parent in rows]


TREE = procs((2, 1), (3, 2), (4, 3), (5, 3), (6, 4))  # 2 → 3 → {4 → 6, 5}


def chosen(catching, kinds=None, *, runtimes_too=False, covered=(), closed=()):
    kinds = kinds or {}
    return [
        each.pid
        for each in delivery.catchers(
            TREE, USR1, runtimes_too=runtimes_too, covered=covered, closed=closed,
            masks=lambda each: catching.get(each.pid, Masks()), kind=lambda pid: kinds.get(pid, ""),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("catching", "kinds", "runtimes_too", "expected"),
    [
        ({}, {}, False, []),
        ({4: CATCHES, 5: CATCHES, 6: CATCHES}, {}, False, [4, 5]),  # not the worker 6
        ({2: CATCHES, 4: CATCHES}, {}, False, [2]),  # the shallowest
        ({2: CATCHES, 3: CATCHES, 4: CATCHES, 6: CATCHES}, {2: "relay", 3: "relay"}, False, [4]),
        ({6: CATCHES}, {}, False, [6]),
        ({4: BLOCKS, 5: IGNORES}, {}, False, [4]),
        ({3: CATCHES, 6: CATCHES}, {3: "runtime"}, False, [6]),
        ({3: CATCHES, 6: CATCHES}, {3: "runtime"}, True, [3]),
        ({3: CATCHES, 6: CATCHES}, {3: "elsewhere"}, True, [3]),
        ({3: CATCHES, 6: CATCHES}, {3: "relay"}, True, [6]),  # a relay never, whatever the user says
    ],
)
def test_the_shallowest_that_catch_it(catching, kinds, runtimes_too, expected):
    assert chosen(catching, kinds, runtimes_too=runtimes_too) == expected


def test_nobody_twice_and_nobody_below():
    everybody = dict.fromkeys((3, 4, 5, 6), CATCHES)
    assert chosen(everybody, closed=[(3, 1)]) == []
    assert chosen({4: CATCHES, 5: CATCHES, 6: CATCHES}, covered=[(4, 1)]) == [5]


def test_below():
    assert delivery.below(TREE, {(4, 1)}) == {(6, 1)}
    assert delivery.below(TREE, {(2, 1)}) == {(3, 1), (4, 1), (5, 1), (6, 1)}


# --- the user is told beforehand -----------------------------------------------------------------------------------------
def foretold(*argv, **fields):
    spec = Spec(argv=list(argv), env={}, cwd="/", attempt=1, attempt_id="", attempt_dir="", local_dir="", **fields)
    return delivery.foretell(list(argv), spec)


def test_foretold_for_a_plain_script():
    assert foretold("python", "train.py", "--x") == [
        (
            "a save is asked for in the request file; a stop also by SIGUSR1, "
            "sent to the shallowest of `python train.py --x` and what it starts that catch it"
        ),
        "if none catches SIGUSR1, whoever catches SIGTERM gets that to save and stop",
        "a plain save sends no signal unless the script says that it goes on (--signal-means save, or `import ckptrun`)",
        "at the end SIGTERM to the whole tree, and SIGKILL 10 s later to what is left",
    ]


def test_foretold_for_a_tree():
    told = foretold("bash", "-c", "exec torchrun --nproc-per-node=2 train.py --x")
    assert told[0] == "bash is looked through: it would die of SIGUSR1, or pass it on to everybody"
    assert told[1].startswith("torchrun is looked through")
    assert "`train.py --x`" in told[2]


@pytest.mark.parametrize(
    ("argv", "given", "sentence"),
    [
        (("node", "x.js"), False, "node gets no SIGUSR1 (node opens its inspector on SIGUSR1) unless"),
        (("node", "x.js"), True, "node gets SIGUSR1, as --save-signal is your word"),
        (
            ("srun", "python", "t.py"),
            False,
            "srun gets no SIGUSR1 unless --save-signal is given; at the end its step is ended",
        ),
        (("srun", "python", "t.py"), True, "srun passes SIGUSR1 on to its ranks; at the end its step is ended with scancel"),
        (
            ("docker", "run", "x"),
            False,
            "what docker starts is not below ckptrun, so that it is not seen and not ended by it; no",
        ),
        (("bash", "-c", "an 'unclosed quote"), False, "bash is looked through"),
    ],
)
def test_foretold_for_others(argv, given, sentence):
    assert foretold(*argv, save_signal_given=given)[0].startswith(sentence)


# --- /proc ---------------------------------------------------------------------------------------------------------------
def fake_proc(folder, rows, *, listed):
    """(pid, parent, session, state, name) rows as a /proc."""
    (folder / "stat").write_text("")
    for pid, parent, session, state, name in rows:
        task = folder / str(pid) / "task" / str(pid)
        task.mkdir(parents=True)
        fields = [state, parent, pid, session, *[0] * 15, 1000 + pid, *[0] * 30]
        (folder / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        if listed:
            (task / "children").write_text(" ".join(str(row[0]) for row in rows if row[1] == pid))
    return str(folder)


@pytest.mark.parametrize("listed", [True, False])
def test_descendants(tmp_path, listed):
    rows = [
        (1, 0, 1, "S", "init"),
        (10, 1, 10, "S", "ckptrun"),
        (11, 10, 11, "S", "sh"),
        (12, 10, 10, "S", "scontrol"),  # a helper of ours: in our session
        (13, 11, 11, "R", "a ) b (c) S 1 1"),
        (14, 11, 11, "Z", "gone"),
        (15, 10, 15, "T", "orphan"),
        (16, 13, 16, "S", "deep"),
        (20, 1, 20, "S", "stranger"),
    ]
    found = tree.descendants(10, fake_proc(tmp_path, rows, listed=listed))
    assert [each.pid for each in found] == [11, 15, 13, 16]
    assert [each.name for each in found][2] == "a ) b (c) S 1 1"
    assert found[1].state == tree.STOPPED
    assert found[0].key == (11, 1011)


def test_descendants_without_proc(tmp_path):
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        found = tree.descendants(os.getpid(), str(tmp_path / "nothing"))
        assert child.pid in [each.pid for each in found]
        assert tree.masks(child.pid, str(tmp_path)) == Masks()
    finally:
        child.kill()
        child.wait()


def test_a_pid_that_was_used_again_is_not_signalled():
    child = subprocess.Popen(["sleep", "1000"])
    try:
        now = tree.read(child.pid)
        other = Proc(now.pid, now.parent, now.session, now.start - 1, now.state, now.name)
        assert not tree.send(other, signal.SIGKILL)
        assert child.poll() is None
        assert tree.send(now, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    assert not tree.send(now, signal.SIGKILL)
    assert tree.read(child.pid) is None


def test_names_of_processes_cannot_talk_to_the_terminal():
    child = subprocess.Popen(["sh", "-c", "exec -a \"$(printf 'evil\\033[2J\\nname')\" sleep 1000"], executable="/bin/bash")
    try:
        while not (words := " ".join(tree.argv(child.pid))).startswith("evil"):
            assert child.poll() is None, words
        assert tree.describe(tree.read(child.pid)) == f"evil\\x1b[2J\\nname 1000 ({child.pid})"
    finally:
        child.kill()
        child.wait()


def test_what_is_written_in_go(tmp_path):
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    with open(os.path.realpath(go), "rb") as program, open(os.path.realpath(sys.executable), "rb") as python:
        assert golang.has_go_section(program.fileno())
        assert not golang.has_go_section(python.fileno())


@pytest.mark.parametrize("damage", [b"", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF\x02\x01" + b"\xff" * 100])
def test_what_is_no_program_is_not_go(tmp_path, damage):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "exe").write_bytes(damage)
    assert not golang.is_go(1, str(tmp_path))
    assert not golang.is_go(2, str(tmp_path))
