"""The words after the options: what they start, and what is said when they start nothing."""

from __future__ import annotations

import os
import sys

import pytest
from support import write_files

from ckptrun import errors
from ckptrun.cli.command import resolve

PYTHON = "{python}"
WORLD = {
    "train.py": "",
    "model.pt": "",
    "run.sh": "#!/bin/sh\n",
    "plain.sh": "echo\n",
    "envy": "#!/usr/bin/env -S python3\n",
    "data.bin": "\0\1",
    "project/train.py": "",
    "project/other.py": "",
    "many.py/inner.py": "",
    "empty/x.txt": "",
    "bin/tool": "#!/bin/sh\n",
    "tool": "",
    "local": "#!/bin/sh\n",
}
EXECUTABLE = ("bin/tool", "local")


@pytest.fixture
def world(tmp_path):
    write_files(tmp_path, WORLD)
    for name in EXECUTABLE:
        (tmp_path / name).chmod(0o755)
    return str(tmp_path)


def start(world, *words, literal=False):
    return resolve(words, literal=literal, cwd=world, search=os.path.join(world, "bin"))


@pytest.mark.parametrize(
    ("words", "literal", "command"),
    [
        (["train.py", "--lr", "0.1", "--"], False, [PYTHON, "train.py", "--lr", "0.1", "--"]),
        (["project/train.py"], False, [PYTHON, "project/train.py"]),
        (["tool", "train.py"], False, ["tool", "train.py"]),  # the PATH before a file of the same name, as in a shell
        (["local", "x"], False, ["./local", "x"]),
        (["./local"], False, ["./local"]),
        (["tool", "-x"], True, ["tool", "-x"]),
        (["./local"], True, ["./local"]),
    ],
)
def test_what_is_started(world, words, literal, command):
    assert start(world, *words, literal=literal) == command


def test_an_absolute_script_and_weird_names(weird_path):
    write_files(weird_path, {"my train.py": "", "tool": ""})
    (weird_path / "tool").chmod(0o755)
    path = str(weird_path / "my train.py")
    assert start("/", path, "a b") == [PYTHON, path, "a b"]
    assert start(str(weird_path), "my train.py") == [PYTHON, "my train.py"]
    assert start(str(weird_path), "./tool", "\udcff") == ["./tool", "\udcff"]


@pytest.mark.parametrize(
    ("words", "literal", "message", "hint"),
    [
        (["trian.py"], False, "no such script: 'trian.py' in {}", "did you mean 'train.py'?"),
        (["project/trian.py"], False, "no such script: 'project/trian.py' in {}", "did you mean 'project/train.py'?"),
        (["nowhere/train.py"], False, "no such script: 'nowhere/train.py' in {}", ""),
        (["/nowhere/at/all.py"], False, "no such script: '/nowhere/at/all.py'", ""),
        (["train"], False, "no such script or command: 'train' in {}", "did you mean 'train.py'?"),
        (["zzz"], True, "no such command: 'zzz'", ""),
        (["./zzz"], True, "no such script: './zzz' in {}", ""),
        ([""], False, "the script's name is empty", "`ckptrun train --help` has examples"),
        (["", "x"], True, "the script's name is empty", "`ckptrun train --help` has examples"),
        (["project"], False, "'project' is a directory, not a script", "did you mean 'project/train.py'?"),
        (["./project"], True, "'./project' is a directory, not a script", "did you mean './project/train.py'?"),
        (["many.py"], False, "'many.py' is a directory, not a script", "did you mean 'many.py/inner.py'?"),
        (["empty"], False, "'empty' is a directory, not a script", "name the script in it"),
        (["run.sh", "a b"], False, "'run.sh' is not executable", "chmod +x run.sh, or: ckptrun train /bin/sh run.sh 'a b'"),
        (["./plain.sh"], False, "'./plain.sh' is not executable", "chmod +x ./plain.sh, or: ckptrun train bash ./plain.sh"),
        (["envy"], False, "'envy' is not executable", "chmod +x envy, or: ckptrun train python3 envy"),
        (["data.bin"], False, "'data.bin' is not executable", "chmod +x data.bin"),
        (["./train.py"], True, "'./train.py' is not executable", "chmod +x ./train.py, or: ckptrun train ./train.py"),
        (
            ["train.py", "-x"],
            True,
            "no such command: 'train.py'",
            "after `--` a name without a slash is looked for on the PATH; write ./train.py, or: ckptrun train train.py -x",
        ),
        (
            ["local"],
            True,
            "no such command: 'local'",
            "after `--` a name without a slash is looked for on the PATH; write ./local, or: ckptrun train local",
        ),
    ],
)
def test_what_is_said_instead(world, words, literal, message, hint):
    with pytest.raises(errors.UsageError) as caught:
        start(world, *words, literal=literal)
    assert caught.value.message == message.format(world)
    assert caught.value.hint == hint


def test_a_script_that_may_not_be_read(world):
    if os.geteuid() == 0:
        pytest.skip("root may read everything; tests/cli/test_boundary.py drops its privileges")
    os.chmod(os.path.join(world, "train.py"), 0)
    with pytest.raises(errors.UsageError, match=r"'train.py' may not be read by you"):
        start(world, "train.py")


def test_the_interpreter_is_not_part_of_the_command(world, monkeypatch):
    """The command names the run, and a virtual environment may lie elsewhere in every job."""
    monkeypatch.setattr(sys, "executable", "/scratch/job-7/venv/bin/python3")
    assert start(world, "train.py") == ["{python}", "train.py"]


def test_a_broken_link_is_no_script(world):
    os.symlink("gone.py", os.path.join(world, "link.py"))
    with pytest.raises(errors.UsageError, match=r"no such script: 'link.py'"):
        start(world, "link.py")
