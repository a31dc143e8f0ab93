"""A terminal stays a terminal: the child has one, keys are acted on once, and ours is given back as it was."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time

import psutil
import pytest
from supervise.screen import Screen
from support import clean_env, wait_until

from ckptrun.supervise.terminal import split_keys


def state(pid):
    return psutil.Process(pid).status()


def test_the_child_has_a_terminal_of_the_same_size(world):
    body = (
        "say(os.isatty(0), os.isatty(1), os.isatty(2), os.get_terminal_size(), os.tcgetpgrp(0) == os.getpgrp()); say('end')"
    )
    with Screen(world.argv(*world.script(body)), world.path, rows=33, columns=101) as it:
        it.wait_for(r"True True True os.terminal_size\(columns=101, lines=33\) True\r\nend\r\n")
        it.process.wait(30)
    assert world.log().endswith(b"True\nend\n")  # not a byte of the terminal's own in it


def test_what_is_typed_reaches_the_child_and_is_echoed(world):
    with Screen(
        world.argv(*world.script("say('name?'); say('hello', input()); say('eof', sys.stdin.read())")), world.path
    ) as it:
        it.wait_for(r"name\?")
        wait_until(it.is_raw)
        it.type("ana\r")
        it.wait_for("ana\r\nhello ana\r\n")
        it.type("\x04")
        it.wait_for("eof")
        it.process.wait(30)
        assert not it.is_raw()
    assert world.ended()["child_exit"] == 0


def test_control_c_is_read_by_us_and_delivered_to_nobody(world):
    with Screen(world.argv(*world.script("on('INT'); on('USR1', leave=0); say('ready'); rest()")), world.path) as it:
        it.wait_for("ready")
        wait_until(it.is_raw)
        it.type("\x03")
        it.wait_for("got USR1")
        it.process.wait(30)
        assert not it.is_raw()
        assert "got INT" not in it.text
    assert [(each["reason"], each["cause"]) for each in world.ended()["requests"]] == [("SIGINT", "stopped")]


def test_control_c_twice(world):
    with Screen(world.argv(*world.script("say('ready'); rest()"), grace=60), world.path) as it:
        it.wait_for("ready")
        wait_until(it.is_raw)
        it.type("\x03")
        it.wait_for("once more")
        it.type("\x03")
        it.process.wait(30)
    assert [each["action"] for each in world.ended()["requests"]] == ["save_and_stop", "stop_now"]


def test_a_quoted_control_c_is_a_character(world):
    with Screen(world.argv(*world.script("say('ready'); say(repr(input()))")), world.path) as it:
        it.wait_for("ready")
        wait_until(it.is_raw)
        it.type("\x16\x03\r")
        it.wait_for(r"'\\x03'")
        it.process.wait(30)
    assert world.ended()["requests"] == []


def test_a_child_in_raw_mode_gets_every_key(world):
    body = "import tty; tty.setraw(0); say('ready'); say('got', repr(os.read(0, 10)))"
    with Screen(world.argv(*world.script(body)), world.path) as it:
        it.wait_for("ready")
        wait_until(it.is_raw)
        it.type("\x03")
        it.wait_for(r"got b'\\x03'")
        it.process.wait(30)
    assert world.ended()["requests"] == []


def test_the_window_changes_its_size(world):
    body = "signal.signal(signal.SIGWINCH, lambda n, f: say('now', os.get_terminal_size().columns)); say('ready'); rest()"
    with Screen(world.argv(*world.script(body)), world.path) as it:
        it.wait_for("ready")
        it.resize(40, 123)
        it.wait_for("now 123")


def test_a_hang_up_is_a_stop(world):
    with Screen(world.argv(*world.script("on('USR1', leave=0); say('ready'); rest()")), world.path) as it:
        it.wait_for("ready")
        it.hang_up()
        it.process.wait(30)
    assert world.ended()["requests"][0]["reason"] == "SIGHUP"
    assert world.ended()["child_exit"] == 0


TICKS = """
on('USR1', leave=0)
for n in range(10**6):
    say('tick', n); time.sleep(0.02)
"""


@pytest.mark.parametrize("behind", ["", " | cat"])
def test_control_z_and_fg(world, behind):
    """Typed to us, or, when the output goes elsewhere, acted on by the kernel."""
    with Screen(["bash", "--norc", "--noprofile", "-i"], world.path) as it:
        it.wait_for("prompt> ")
        it.type(shlex.join(world.argv(*world.script(TICKS))) + f"{behind}\r")
        it.wait_for("tick 3")
        supervisor = next(
            each for each in psutil.Process(it.process.pid).children() if "driver.py" in " ".join(each.cmdline())
        )
        child = supervisor.children()[0]
        it.type("\x1a")
        it.wait_for("Stopped")  # bash says so when the whole job is, `cat` included
        it.wait_for("prompt> ")
        assert (supervisor.status(), child.status()) == (psutil.STATUS_STOPPED, psutil.STATUS_STOPPED)
        it.type("echo mine again\r")
        it.wait_for("^mine again")
        it.type("fg\r")
        it.wait_for("tick")
        if not behind:
            wait_until(it.is_raw)
        it.type("\x03")
        it.wait_for("prompt> ")
        wait_until(lambda: os.path.exists(os.path.join(world.path, "ended.json")))
        assert b"got USR1" in world.log()
        it.type("exit\r")
        it.process.wait(30)
    assert [each["cause"] for each in world.ended()["requests"]] == ["stopped"]


def test_in_the_background_the_terminal_is_left_alone(world):
    with Screen(["bash", "--norc", "--noprofile", "-i"], world.path) as it:
        it.wait_for("prompt> ")
        script = world.script("say(os.isatty(1)); on('USR1', leave=0); time.sleep(0.5); say('still here'); rest()")
        it.type(shlex.join(world.argv(*script, beat=0.2)) + " &\r")
        it.wait_for("True")
        it.wait_for("still here")
        it.type("echo a shell\r")
        it.wait_for("^a shell")
        assert "Stopped" not in it.text
        it.type("fg\r")
        wait_until(it.is_raw)  # noticed at the next beat
        it.type("\x03")
        it.wait_for("got USR1")
        it.wait_for("prompt> ")
        it.type("exit\r")
        it.process.wait(30)


def test_sigtstp_and_sigcont(world):
    with world.start(*world.script(TICKS), beat=0.2) as it:
        it.wait_for("tick 3")
        child = psutil.Process(it.pid).children()[0].pid
        it.signal(signal.SIGTSTP)
        wait_until(lambda: (state(it.pid), state(child)) == (psutil.STATUS_STOPPED, psutil.STATUS_STOPPED))
        before = len(world.read("beats.jsonl"))
        it.signal(signal.SIGCONT)
        it.wait_for("tick")
        wait_until(lambda: state(child) != psutil.STATUS_STOPPED)
        assert len(world.read("beats.jsonl")) > before  # whose the run is was looked at
        it.signal(signal.SIGTERM)
        it.finish()
    assert world.ended()["child_exit"] == 0


def test_a_deadline_that_passed_while_we_were_stopped(world):
    with world.start(*world.script("on('TERM'); say('ready'); rest()"), grace=0.5, term_to_kill=0.3) as it:
        it.wait_for("ready")
        it.signal(signal.SIGTERM)
        it.wait_for("got TERM")  # as the save signal
        it.signal(signal.SIGTSTP)
        wait_until(lambda: state(it.pid) == psutil.STATUS_STOPPED)
        time.sleep(0.8)
        it.signal(signal.SIGCONT)
        it.finish(10)
    assert world.ended()["child_signal"] == signal.SIGKILL


def test_a_pause_is_no_stall(world):
    with world.start(*world.script(TICKS), stall_timeout=2) as it:
        it.wait_for("tick 3")
        it.signal(signal.SIGTSTP)
        wait_until(lambda: state(it.pid) == psutil.STATUS_STOPPED)
        time.sleep(2.2)
        it.signal(signal.SIGCONT)
        it.wait_for("tick")
        it.signal(signal.SIGTERM)
        it.finish(10)
    assert [each["cause"] for each in world.ended()["requests"]] == ["preempted"]


def test_sigcont_beside_sigterm(world):
    """Slurm sends both, in either order."""
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()")) as it:
        it.wait_for("ready")
        it.signal(signal.SIGCONT)
        it.signal(signal.SIGTERM)
        it.signal(signal.SIGCONT)
        it.finish(10)
    assert len(world.ended()["requests"]) == 1


def test_a_paused_screen_holds_up_nothing(world):
    """^S stops what is shown, not what is trained."""
    body = "say('ready'); input(); began = time.monotonic(); [os.write(1, b'x' * 999 + b'\\n') for n in range(4000)]; say('end')"
    with Screen(world.argv(*world.script(body)), world.path) as it:
        it.wait_for("ready")
        wait_until(it.is_raw)
        it.type("\x13")
        time.sleep(0.05)
        it.type("\r")
        wait_until(lambda: b"end" in world.log()[-10:])
        it.type("\x11")
        it.process.wait(30)


def test_a_pipe_for_one_and_a_terminal_for_the_others(world):
    """`ckptrun … 2>log`: the child sees what it would see without us."""
    errors = os.path.join(world.path, "stderr")
    line = shlex.join(world.argv(*world.script("say(os.isatty(0), os.isatty(1), os.isatty(2)); os.write(2, b'error\\n')")))
    with Screen(["sh", "-c", f"{line} 2>{errors}"], world.path) as it:
        it.wait_for("True True False")
        it.process.wait(30)
    with open(errors) as file:
        assert file.read() == "error\n"
    assert sorted(world.log().split(b"\n")) == [b"", b"True True False", b"error"]


def test_stdin_is_a_terminal_and_the_output_is_not(world):
    line = shlex.join(world.argv(*world.script("say('hello', os.isatty(0), input())")))
    with Screen(["sh", "-c", f"{line} >out 2>err"], world.path) as it:
        it.type("ana\r")
        it.wait_for("ana\r\n")
        it.process.wait(30)
    assert world.log() == b"hello True ana\n"  # the echo is no output


def test_a_pager_gets_the_keys(world):
    """`ckptrun … | less` reads its keys from the terminal, which it sets up for itself."""
    pager = """
import os, tty
with open("/dev/tty", "rb", buffering=0) as keys:
    tty.setcbreak(keys.fileno()); print(input()); print("key", keys.read(1))
"""
    line = shlex.join(world.argv(*world.script("on('USR1', leave=0); say('ready'); rest()")))
    path = world.script(pager, "pager.py")
    with Screen(["bash", "--norc", "--noprofile", "-i"], world.path) as it:
        it.wait_for("prompt> ")
        it.type(f"{line} | {shlex.join(path)}\r")
        it.wait_for("^ready")
        it.type("q")
        it.wait_for("key b'q'")
        it.type("\x03")
        it.wait_for("prompt> ")
        wait_until(lambda: os.path.exists(os.path.join(world.path, "ended.json")))
    assert world.ended()["requests"][0]["reason"] == "SIGINT"


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
def test_in_tmux(world):
    server = ["tmux", "-f", "/dev/null", "-L", f"ckptrun-{os.getpid()}"]
    argv = world.argv(*world.script("on('USR1', leave=0); say('ready', os.ttyname(0)); rest()"))
    subprocess.run(
        [*server, "new-session", "-d", "-x", "90", "-y", "20", shlex.join(argv)], cwd=world.path, env=clean_env(), check=True
    )
    try:
        wait_until(lambda: b"ready" in world.log())
        subprocess.run([*server, "send-keys", "C-c"], check=True)
        wait_until(lambda: os.path.exists(os.path.join(world.path, "ended.json")))
    finally:
        subprocess.run([*server, "kill-server"], check=False, stderr=subprocess.DEVNULL)
    wait_until(lambda: world.ended()["requests"][0]["reason"] == "SIGINT")
    assert world.ended()["child_exit"] == 0


# --- keys, by themselves -------------------------------------------------------------------------------------------------
def attributes(local=termios.ISIG | termios.ICANON | termios.IEXTEN):
    control = [b"\0"] * 32
    control[termios.VINTR], control[termios.VQUIT], control[termios.VSUSP] = b"\x03", b"\x1c", b"\x1a"
    control[termios.VLNEXT] = b"\x16"
    return [0, 0, 0, local, 0, 0, control]


@pytest.mark.parametrize(
    ("typed", "expected", "literal"),
    [
        (b"", [], False),
        (b"abc", [b"abc"], False),
        (b"\x03", [signal.SIGINT], False),
        (b"a\x03b\x1c\x1ac", [b"a", signal.SIGINT, b"b", signal.SIGQUIT, signal.SIGTSTP, b"c"], False),
        (b"\x16\x03", [b"\x16\x03"], False),
        (b"\x16\x16\x03", [b"\x16\x16", signal.SIGINT], False),
        (b"x\x16", [b"x\x16"], True),
        (b"\0", [b"\0"], False),
    ],
)
def test_keys(typed, expected, literal):
    assert split_keys(typed, attributes()) == (expected, literal)


def test_keys_go_on_after_a_quote():
    assert split_keys(b"\x03\x03", attributes(), literal=True) == ([b"\x03", signal.SIGINT], False)


def test_keys_without_signals():
    assert split_keys(b"\x03\x1a", attributes(0)) == ([b"\x03\x1a"], False)
    assert split_keys(b"\x16\x03", attributes(termios.ISIG)) == ([b"\x16", signal.SIGINT], False)
    assert sys.platform == "linux"
