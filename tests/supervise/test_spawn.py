"""Starting the command: what it is given, and the sentence when it cannot be started."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from ckptrun import names


def write(world, name, text, mode=0o755):
    path = os.path.join(world.path, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


CASES = {
    "missing": ("no-such-command-anywhere", "error: no such command: no-such-command-anywhere"),
    "missing path": ("./missing", "error: no such command: ./missing"),
    "not executable": ("./plain", "error: not executable: ./plain\nhint: chmod +x"),
    "a directory": ("./folder", "error: not executable: ./folder"),
    "no interpreter": ("./orphan", "error: the interpreter that its first line (#!) names does not exist: ./orphan"),
    "no program": ("./noprogram", "error: not a program (no #! line, or made for another machine): ./noprogram"),
    "through a file": ("./plain/x", "error: no such command (a part of its path is no directory): ./plain/x"),
    "a loop": ("./loop", "error: its symbolic links go round in a circle: ./loop"),
    "empty": ("", "error: an empty or impossible command line: "),
    "weird": ("./no 'such\" täg", "error: no such command: ./no 'such\" täg"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_started(world, case):
    write(world, "plain", "x", 0o644)
    write(world, "orphan", "#!/no/such/interpreter\n")
    write(world, "noprogram", "just text\n")
    os.mkdir(os.path.join(world.path, "folder"))
    os.symlink("loop", os.path.join(world.path, "loop"))
    command, sentence = CASES[case]
    with world.start(command) as it:
        assert it.finish() == names.EXIT_USAGE
    assert it.text.startswith(sentence)
    assert os.listdir(os.path.join(world.path, "local")) == []


def test_a_directory_that_is_not_there(world):
    with world.start("true", cwd="/no/such/place") as it:
        assert it.finish() == names.EXIT_USAGE
    assert "error: cannot enter the working directory: /no/such/place: No such file or directory" in it.text


def test_too_many_arguments(world):
    with world.start("true", *["x" * 100_000] * 10, env={"LONG": "y" * 100_000}) as it:
        code = it.finish()
    assert (code, it.text) in ((0, ""), (names.EXIT_USAGE, it.text))


def test_a_clean_child(world):
    body = """
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file)
ignored = int(status["SigIgn"], 16)
say("blocked", status["SigBlk"].strip(), "ignored", [n for n in range(1, 32) if ignored >> (n - 1) & 1])
say("session", os.getsid(0) == os.getpid(), "fds", sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2)[1:])
say("cwd", os.getcwd(), "args", sys.argv[1:])
"""
    with world.start(*world.script(body), "a b", "c'd", "\udcff\n") as it:
        it.finish()
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25)
    assert f"blocked {0:016x} ignored [13, 25]" in it.text
    assert "session True fds []" in it.text
    assert f"cwd {world.path} args ['a b', \"c'd\", '\\udcff\\n']" in it.text


def test_sigpipe_is_as_a_shell_would_give_it(world):
    with world.start("sh", "-c", "yes | head -1; grep SigIgn /proc/self/status") as it:
        it.finish()
    assert "SigIgn:\t0000000000000000" in it.text
    assert "Broken pipe" not in it.text


def test_descriptors_from_outside_are_passed_on(world):
    """A make jobserver, a lock that a script holds."""
    from support import Started

    quoted = " ".join(f"'{word}'" for word in world.argv("sh", "-c", "cat <&7"))
    with Started(["bash", "-c", f"exec 7<<<'from outside'; exec {quoted}"], cwd=world.path) as it:
        it.finish()
    assert it.text == "from outside\n"


def test_a_python_that_forks_in_the_parent_keeps_the_signals_it_got(world):
    """Signals that come in the very moment of the fork are blocked, not lost."""
    with world.start(*world.script("on('USR1', leave=0); rest()")) as it:
        for _ in range(20):
            it.signal(signal.SIGWINCH)
        it.wait_for("", 5)
        it.signal(signal.SIGTERM)
        it.finish(30)
    assert sys.version_info >= (3, 10)
