"""Who gets the save signal in the trees that people really run: shells, launchers, inits, runtimes. Real processes throughout."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from support import wait_until

BIN = os.path.dirname(sys.executable)


def needs(tool):
    """The tool's path, or skip."""
    path = shutil.which(tool) or shutil.which(tool, path=BIN)
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


def asked(world):
    """The pids that were sent the save signal."""
    return sorted(entry["pid"] for entry in world.ledger("delivered") if entry["signal"] == "SIGUSR1")


TORCH = """
import torch
from torch.utils.data import DataLoader
on('USR1', leave=0, role="rank " + os.environ["RANK"])  # inherited by the workers of the loader
loader = DataLoader(list(range(4)), num_workers=2, persistent_workers=True, multiprocessing_context="fork")
list(loader)
import multiprocessing
say("rank", os.environ["RANK"], os.getpid(), "workers", *[child.pid for child in multiprocessing.active_children()])
rest()
"""


@pytest.mark.parametrize("handled", ["", "SIGTERM,SIGUSR1"])
def test_torchrun_below_bash_with_data_loaders(world, handled):
    pytest.importorskip("torch.distributed")
    script = world.script(TORCH)[1]
    torchrun = f"{needs('torchrun')} --standalone --nproc-per-node=2 --log-dir {world.path}/logs {script}; echo next"
    env = {"PET_SIGNALS_TO_HANDLE": handled or None, "OMP_NUM_THREADS": "1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "5"}
    with world.start("bash", "-c", torchrun, env=env) as it:
        ranks = sorted(int(it.wait_for(r"rank \d (\d+) workers \d+ \d+")[1]) for _ in range(2))
        it.signal(signal.SIGUSR1)
        it.finish()
    assert asked(world) == ranks
    assert len(re.findall(r"got USR1 rank \d", it.text)) == 2
    assert "next" in it.text  # bash went on: it was left alone, and so was torchrun
    assert world.ended()["sent_signals"] == [signal.SIGUSR1]


def test_uv_run_over_an_unaware_script(world):
    """`uv run` forwards SIGUSR1 to its child, which dies of it."""
    uv = needs("uv")
    script = world.script("say('ready', os.getppid()); rest()")
    argv = (uv, "run", "--no-project", "--offline", "--python", sys.executable, *script)
    with world.start(*argv, grace=0.7, term_to_kill=3) as it:
        parent = int(it.wait_for(r"ready (\d+)")[1])
        assert psutil.Process(parent).name() == "uv"
        it.signal(signal.SIGUSR1)
        it.finish()
    assert world.ended()["sent_signals"] == [signal.SIGTERM]
    assert world.ledger("ending")[0]["at"] >= world.ended()["requests"][0]["deadline"] - 0.01


@pytest.mark.parametrize("init", ["dumb-init", "tini"])
def test_inits_over_an_unaware_script(world, init):
    script = world.script("say('ready'); rest()")
    with world.start(needs(init), *(["-s"] if init == "tini" else []), "--", *script, grace=0.5, term_to_kill=3) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    assert asked(world) == []
    assert world.ended()["sent_signals"] == [signal.SIGTERM]


def test_below_an_init_the_script_is_asked(world):
    with world.start(
        needs("tini"), "-s", "--", *world.script("on('USR1', leave=0); say('ready', os.getpid()); rest()")
    ) as it:
        pid = int(it.wait_for(r"ready (\d+)")[1])
        it.signal(signal.SIGUSR1)
        it.finish()
    assert asked(world) == [pid]
    assert world.ended()["child_exit"] == 0


NODE = """
process.on('SIGUSR2', () => { console.log('got USR2'); process.exit(0) });
console.log('ready ' + process.pid); setInterval(() => {}, 1000);
"""


@pytest.mark.parametrize("given", [False, True])
def test_node_owns_the_signal_unless_the_user_says_otherwise(world, given):
    node = needs("node")
    path = os.path.join(world.path, "train.js")
    with open(path, "w") as file:
        file.write(NODE)
    options = {"save_signal": int(signal.SIGUSR2), "save_signal_given": 1} if given else {}
    with world.start(node, path, grace=0.5, term_to_kill=3, **options) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    assert "inspector" not in it.text.lower()
    assert ("got USR2" in it.text) is given
    assert world.ended()["sent_signals"] == [signal.SIGUSR2 if given else signal.SIGTERM]


GO = """
package main

import ("fmt"; "os"; "time"; "os/signal"; "syscall")

func main() {
    if len(os.Args) > 1 {
        came := make(chan os.Signal, 1)
        signal.Notify(came, syscall.SIGUSR1)
        fmt.Println("ready")
        fmt.Println("got", <-came)
        return
    }
    fmt.Println("ready")
    time.Sleep(1000 * time.Second)
}
"""


@pytest.fixture(scope="session")
def go_program(tmp_path_factory):
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    (folder / "go.mod").write_text("module trainer\n\ngo 1.18\n")
    env = dict(
        os.environ, GOFLAGS="-mod=mod", GOPROXY="off", GOCACHE=str(folder / "cache"), HOME=str(folder), CGO_ENABLED="0"
    )
    subprocess.run([go, "build", "-o", "trainer", "."], cwd=folder, env=env, check=True)
    return str(folder / "trainer")


def test_a_go_program_catches_everything_and_means_nothing_by_it(world, go_program):
    with world.start(go_program, grace=0.5, term_to_kill=3) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    assert world.ended()["sent_signals"] == [signal.SIGTERM]


def test_a_go_program_gets_it_on_the_users_word(world, go_program):
    with world.start(go_program, "x", save_signal_given=1) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    assert "got user defined signal 1" in it.text
    assert world.ended()["child_exit"] == 0


def test_a_script_that_blocks_the_signal_and_has_a_thread_wait_for_it(world):
    body = """
import threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
threading.Thread(target=lambda: (say('got', signal.sigwait([signal.SIGUSR1])), os._exit(0))).start()
say('ready'); rest()
"""
    with world.start(*world.script(body)) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.wait_for("got")
        it.finish()
    assert world.ended()["child_exit"] == 0


def test_a_mask_that_was_inherited_is_not_passed_on(world):
    """Neither does it keep signals from us, nor does the child start with it: a mask of its own would look like waiting."""
    from support import Started

    script = world.script("say('ready', *[int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])]); rest()")
    argv = world.argv(*script, grace=0.4, term_to_kill=3)
    block = "import signal, os, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [10, 12, 15, 1]); os.execv(sys.argv[1], sys.argv[1:])"
    with Started([sys.executable, "-c", block, *argv], cwd=world.path) as it:
        assert it.wait_for("ready(.*)")[1] == ""
        it.signal(signal.SIGUSR1)
        it.finish()
    assert asked(world) == []
    assert world.ended()["sent_signals"] == [signal.SIGTERM]


def test_a_handler_that_comes_two_seconds_late(world):
    body = "say('ready'); time.sleep(2); on('USR1', leave=0); rest()"
    with world.start(*world.script(body), grace=30) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.wait_for("got USR1", 10)
        it.finish()
    assert len(world.ledger("delivered")) == 1


def test_a_signal_during_start_up(world):
    """At once after the fork: the script has not even begun to import."""
    body = "time.sleep(0.5); on('USR1', leave=0); rest()"
    with world.start(*world.script(body), grace=30) as it:
        wait_until(lambda: world.ledger("command_started"))
        it.signal(signal.SIGUSR1)
        it.wait_for("got USR1", 10)
        it.finish()
    assert world.ended()["child_exit"] == 0


def test_sigterm_to_who_catches_only_that(world):
    """Hugging Face's just-in-time checkpoint, below a shell that catches SIGTERM too but is only a relay."""
    body = "on('TERM', leave=0); say('ready', os.getpid()); rest()"
    with world.start("bash", "-c", "trap 'echo bash got TERM' TERM; " + " ".join(world.script(body)) + "; exit 5") as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.wait_for("got TERM")
        it.finish()
    ended = world.ended()
    assert (ended["child_exit"], ended["sent_signals"]) == (5, [signal.SIGTERM])
    assert "bash got" not in it.text
    assert [entry["signal"] for entry in world.ledger("delivered")] == ["SIGTERM"]


def test_sigterm_is_not_sent_early_to_a_script_that_reads_the_request(world):
    """It said hello; its handler for SIGTERM is there for something else, and would cut the save short."""
    body = """
on('TERM', leave=9); tell(hello={"pid": os.getpid(), "goes_on": True, "rank": 0, "world": 1}); say('ready')
while not request(): time.sleep(0.02)
time.sleep(0.5); sys.exit(0)
"""
    with world.start(*world.script(body)) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    assert world.ended()["child_exit"] == 0
    assert world.ended()["sent_signals"] == []


def test_a_script_that_keeps_starting_processes_seems_to_block_everything(world):
    """For a millisecond each time: that is not waiting for a signal."""
    body = """
import subprocess
say('ready')
while True:
    subprocess.run(["true"])
"""
    with world.start(*world.script(body), grace=1.5, term_to_kill=3) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    assert world.ended()["sent_signals"] == [signal.SIGTERM]


def test_descendants_of_one_that_was_asked_are_not_asked_when_they_are_orphaned(world):
    body = """
import subprocess
on('USR1', leave=3)
for _ in range(2):
    if os.fork() == 0:
        say("worker"); time.sleep(0.6); os._exit(0)
say("ready"); rest()
"""
    with world.start(*world.script(body)) as it:
        for _ in range(3):
            it.wait_for("worker|ready")
        it.signal(signal.SIGUSR1)
        it.finish()
    assert it.text.count("got USR1") == 1
    assert len(world.ledger("delivered")) == 1


def test_ranks_that_a_python_launcher_started(world):
    """Two ranks below an unaware parent: both, and not their own children."""
    body = """
import subprocess
if len(sys.argv) == 1:
    kids = [subprocess.Popen([sys.executable, sys.argv[0], str(rank)]) for rank in range(2)]
    sys.exit(max(kid.wait() for kid in kids))
on('USR1', leave=0)
if os.fork() == 0:
    rest()
say("rank", os.getpid()); rest()
"""
    with world.start(*world.script(body), linger=0.2, term_to_kill=2) as it:
        ranks = sorted(int(it.wait_for(r"rank (\d+)")[1]) for _ in range(2))
        it.signal(signal.SIGUSR1)
        it.finish()
    assert asked(world) == ranks
    assert it.text.count("got USR1") == 2


def test_a_plain_save_is_signalled_only_to_a_script_that_goes_on(world):
    body = "on('USR1'); say('ready'); rest()"
    for means, expected in (("stop", 0), ("save", 1)):
        with world.start(*world.script(body), signal_means=means, grace=0.2, term_to_kill=2) as it:
            it.wait_for("ready")
            it.signal(signal.SIGUSR2)
            it.wait_for("asked the script to save$")
            if expected:
                it.wait_for("got USR1")
            it.signal(signal.SIGINT)
            it.wait_for("interrupt once more")
            it.signal(signal.SIGINT)
            it.finish()
        plain = [entry for entry in world.ledger("delivered") if entry["request"] == "3-1"]
        assert len(plain) == expected
        os.unlink(os.path.join(world.path, "ledger.jsonl"))


def test_nohup(world):
    from support import Started

    script = world.script("say('ready', signal.getsignal(signal.SIGHUP) == signal.SIG_IGN); rest()")
    with Started(["nohup", *world.argv(*script, grace=0.2, term_to_kill=2)], cwd=world.path) as it:
        assert it.wait_for(r"ready (\w+)")[1] == "True"
        it.signal(signal.SIGHUP)
        time.sleep(0.2)  # nothing is to happen
        it.signal(signal.SIGTERM)
        it.finish()
    assert [each["reason"] for each in world.ended()["requests"]] == ["SIGTERM"]


def test_a_warning_that_was_ignored_until_now_is_caught(world):
    """As the script of `ckptrun submit --signal=...` does it: Slurm may warn before the handlers are there."""
    from support import Started

    body = "given = signal.getsignal(signal.SIGUSR1); on('USR1', leave=0); say('ready', given == signal.SIG_DFL); rest()"
    script = world.script(body)
    with Started(["sh", "-c", 'trap "" USR1; exec "$@"', "sh", *world.argv(*script)], cwd=world.path) as it:
        assert it.wait_for(r"ready (\w+)")[1] == "True"
        it.signal(signal.SIGUSR1)
        it.finish()
    assert [each["reason"] for each in world.ended()["requests"]] == ["SIGUSR1"]


def test_hangup_without_nohup(world):
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()")) as it:
        it.wait_for("ready")
        it.signal(signal.SIGHUP)
        it.finish()
    assert [(each["reason"], each["cause"]) for each in world.ended()["requests"]] == [("SIGHUP", "preempted")]


def test_interrupts_ignored_by_a_background_shell_are_restored_for_the_child(world):
    from support import Started

    script = world.script("say('ready', signal.getsignal(signal.SIGINT) == signal.default_int_handler); rest()")
    quoted = " ".join(f"'{word}'" for word in world.argv(*script, grace=0.2, term_to_kill=2))
    with Started(["sh", "-c", f"{quoted} & wait"], cwd=world.path) as it:
        assert it.wait_for(r"ready (\w+)")[1] == "True"
        supervisor = psutil.Process(it.pid).children()[0].pid
        os.kill(supervisor, signal.SIGINT)  # ignored: the shell meant it
        time.sleep(0.2)  # nothing is to happen
        os.kill(supervisor, signal.SIGTERM)
        it.finish()
    assert [each["reason"] for each in world.ended()["requests"]] == ["SIGTERM"]
