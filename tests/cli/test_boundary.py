"""Every error becomes a sentence and a code; nothing a user may do shows a traceback."""

from __future__ import annotations

import errno
import os
import pty
import select
import subprocess
import sys

import click
import pytest
from support import ckptrun_argv, clean_env, run, run_ckptrun, write_files

from ckptrun import cli, errors, names
from ckptrun.cli import boundary

TREE = [
    (errors.CkptrunError("it failed: there", "do that"), 1, "error: it failed: there\nhint: do that\n"),
    (errors.UsageError("wrong"), 2, "error: wrong\n"),
    (errors.ConfigError(["a:1:2: x", "b:3:4: y"], "look"), 78, "error: a:1:2: x\n       b:3:4: y\nhint: look\n"),
    (errors.Leased("held by ana"), 69, "error: held by ana\n"),
    (errors.LeaseLost("taken over"), 69, "error: taken over\n"),
    (errors.CannotCreate("no: /x"), 73, "error: no: /x\n"),
    (errors.IoFailure("bad disk"), 74, "error: bad disk\n"),
    (errors.DoNotRestart("spent"), 93, "error: spent\n"),
    (click.UsageError("Bad."), 2, "error: bad.\nhint: `ckptrun --help` explains it\n"),
    (click.exceptions.Exit(5), 5, ""),
    (KeyboardInterrupt(), 130, "interrupted\n"),
    (click.Abort(), 130, "interrupted\n"),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    (
        OSError(errno.EDQUOT, "Disk quota exceeded", "/d/x"),
        74,
        "error: Disk quota exceeded: '/d/x'\nhint: your quota is used up ",
    ),
    (
        OSError(errno.EIO, "Input/output error"),
        74,
        "error: Input/output error\nhint: the disk or the server behind it failed",
    ),
    (
        PermissionError(errno.EACCES, "Permission denied", b"/d/\xff"),
        73,
        "error: Permission denied: '/d/\\udcff'\nhint: you may not",
    ),
    (
        OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b"),
        74,
        "error: Invalid cross-device link: '/a': '/b'\n",
    ),
    (OSError("odd"), 74, "error: odd\n"),
    (
        ZeroDivisionError("by zero"),
        1,
        "error: a fault in ckptrun itself, not in your script: ZeroDivisionError: by zero\nhint: ",
    ),
    (errors.UsageError("a\x1b[2Jb\u202e\nhint: lie"), 2, "error: a\\x1b[2Jb\\u202e\n       hint: lie\n"),
]


@pytest.mark.parametrize(("error", "code", "told"), TREE, ids=range(len(TREE)))
def test_an_error_becomes_a_sentence_and_a_code(capsys, error, code, told):
    assert boundary.explain(error, []) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(told)
    assert "Traceback" not in said.err


def test_the_whole_tree_of_errors_is_told():
    def below(kind):
        return {kind, *(found for child in kind.__subclasses__() for found in below(child))}

    ours = {kind for kind in below(errors.CkptrunError) if kind.__module__ == "ckptrun.errors"}
    assert ours <= {type(error) for error, _, _ in TREE}


@pytest.mark.parametrize("args", [["-v"], ["train", "--verbose", "x"]])
def test_a_fault_shows_where_with_v(capsys, args):
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        boundary.explain(error, args)
    assert "in test_a_fault_shows_where_with_v" in capsys.readouterr().err


def test_debug_shows_where_for_every_error(capsys, monkeypatch):
    monkeypatch.setenv("CKPTRUN_DEBUG", "1")
    boundary.explain(errors.UsageError("wrong"), [])
    said = capsys.readouterr().err
    assert "Traceback" not in said.splitlines()[-1]
    assert "UsageError" in said
    assert said.endswith("error: wrong\n")


def test_codes_are_written_in_the_help_as_they_are():
    from ckptrun.cli.help import CODES

    ours = {value for name, value in vars(names).items() if name.startswith("EXIT_")}
    assert set(CODES) == ours


# --- the real program --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["trian"], 2, "error: no such command 'trian'. Did you mean 'train'?\nhint: `ckptrun --help` explains it\n"),
        (["zzzz"], 2, "error: no such command 'zzzz'.\n"),
        (["--vers"], 2, "error: no such option '--vers'. Did you mean '--version'?\n"),
        (["x.py", "a b"], 2, "error: 'x.py' is not a verb but a script\nhint: did you mean: ckptrun train x.py 'a b'\n"),
        (["file"], 2, "error: 'file' is not a verb but a script\n"),
        (
            ["completion", "tcsh"],
            2,
            "error: invalid value for '{bash|zsh|fish}': 'tcsh' is not one of 'bash', 'zsh', 'fish'.\n",
        ),
        (["\x1b[31m"], 2, "error: no such command '\\x1b[31m'"),
        (["completion", "\udcff"], 2, "error: invalid value"),
    ],
)
def test_a_wrong_command_line(tmp_path, args, code, told):
    write_files(tmp_path, {"file": ""})
    done = run_ckptrun(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(told)


def test_version_and_help_are_data(tmp_path):
    assert run_ckptrun("--version", cwd=tmp_path).stdout == f"ckptrun {names.VERSION}\n"
    for asked in (["-h"], ["--help"], ["train", "-h"], ["completion", "--help"]):
        done = run_ckptrun(*asked, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Usage: ckptrun")


def test_nothing_at_all_is_help_and_a_usage_error(tmp_path):
    done = run_ckptrun(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ckptrun")


def test_python_m_is_the_same_program(tmp_path):
    done = run([sys.executable, "-m", "ckptrun", "trian"], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no such command 'trian'")


def shell(line, cwd):
    """A line of sh in which `$1` is the program; exit code and stderr."""
    done = run(["sh", "-c", line, "sh", *ckptrun_argv()], cwd=cwd)
    return done.returncode, done.stderr


def test_a_full_disk_is_told_once(tmp_path):
    code, told = shell('"$1" completion bash >/dev/full', tmp_path)
    assert code == 74
    assert told.splitlines() == [
        "error: No space left on device",
        "hint: the disk is full: free some space, or write elsewhere (--root)",
    ]


def test_a_reader_that_left_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            ckptrun_argv("completion", "bash"),
            cwd=tmp_path,
            env=clean_env(),
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_hurt_nobody(tmp_path, closed):
    assert shell(f'"$1" completion bash {closed}', tmp_path) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_stderr_keeps_the_code(tmp_path):
    assert shell('"$1" trian 2>&-', tmp_path) == (2, "")


def test_a_directory_that_is_gone(tmp_path):
    code, told = shell('mkdir gone && cd gone && rmdir ../gone && "$1" train x.py', tmp_path)
    assert code == 74
    assert told == "error: the current directory does not exist any more\nhint: cd to one that does\n"


def test_an_unreadable_script_and_an_unreadable_config(tmp_path):
    """As somebody who is not root."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    write_files(tmp_path, {"x.py": "", "ckptrun.yaml": ""})
    for path in (tmp_path, *tmp_path.parents):
        if path != path.parent and path.is_relative_to("/tmp"):
            path.chmod(path.stat().st_mode | 0o555)
    (tmp_path / "x.py").chmod(0o600)

    def ask():
        code = (  # a first time as root, so that everything is imported: Python itself may lie where only root looks
            "import os, sys, shlex, ckptrun.cli as cli; cli.main(['train', 'none.py']); print('----', file=sys.stderr);"
            "os.setgid(65534); os.setuid(65534); raise SystemExit(cli.main())"
        )
        done = run([sys.executable, "-c", code, "train", "x.py"], cwd=tmp_path)
        return done.returncode, done.stderr.split("----\n")[1]

    code, told = ask()
    assert code == 2
    assert told.startswith("error: 'x.py' may not be read by you\nhint: chmod u+r x.py, if it is yours\n")
    (tmp_path / "ckptrun.yaml").chmod(0o600)
    code, told = ask()
    assert (code, told.splitlines()[0]) == (78, "error: ckptrun.yaml cannot be read: Permission denied")


def on_a_terminal(cwd, env=None):
    """What a wrong verb prints on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ckptrun_argv("trian"),
        cwd=cwd,
        env=clean_env({"TERM": "xterm", **(env or {})}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                said += os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
        process.wait()
    os.close(ours)
    return said


def test_colours_are_for_terminals_that_want_them(tmp_path):
    assert on_a_terminal(tmp_path).startswith(b"\x1b[31;1merror:\x1b[0m no such command 'trian'")
    assert b"\x1b" not in on_a_terminal(tmp_path, {"NO_COLOR": "1"})
    assert b"\x1b" not in on_a_terminal(tmp_path, {"TERM": "dumb"})


# --- importing only what is needed -------------------------------------------------------------------------------------
def test_help_imports_no_verb(tmp_path):
    code = (
        "import sys; from ckptrun.cli import main; main(['--help']); main(['trian']);"
        "print([name for name in sys.modules if name.startswith('ckptrun.cli.')])"
    )
    done = run([sys.executable, "-c", code], cwd=tmp_path)
    imported = done.stdout.splitlines()[-1]
    assert not any(f"ckptrun.cli.{verb}'" in imported for verb in cli.VERBS)


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_of_the_table_is_there(verb):
    from ckptrun.cli.group import group

    command = group.get_command(click.Context(group), verb)
    assert command is not None
    assert command.name == verb
