"""The completion scripts, in the shells themselves where they are installed."""

from __future__ import annotations

import os
import shutil

import pytest
import support
from support import run, run_ckptrun, write_files

from ckptrun.cli import VERBS

BIN = os.path.dirname(support.ckptrun_argv()[0])
SHELLS = ("bash", "zsh", "fish")


def complete(cwd, *words, env=None):
    """What the shell is offered for the last of `words`."""
    asked = {
        "_CKPTRUN_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["ckptrun", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = run_ckptrun(cwd=cwd, env={**asked, **(env or {})})
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split(",", 1) for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_is_one_the_shell_can_read(tmp_path, name):
    script = run_ckptrun("completion", name, cwd=tmp_path).stdout
    assert "# Put this into " in script
    assert script.startswith("#compdef ckptrun\n" if name == "zsh" else "# Put this into ")
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    write_files(tmp_path, {"script": script})
    done = run([name, "-n", "script"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_offers_verbs_and_runs(tmp_path):
    write_files(
        tmp_path, {"runs/digits-1/run.yaml": "", "runs/digits-2/run.yaml": "", "runs/other/run.yaml": "", "runs/no/x": ""}
    )
    script = run_ckptrun("completion", "bash", cwd=tmp_path).stdout
    ask = """
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _ckptrun_completion ckptrun
    printf '%s\\n' "${COMPREPLY[@]}"
    """

    def offered(*words):
        env = {"PATH": BIN + os.pathsep + os.environ["PATH"]}
        return run(["bash", "-c", script + ask, "bash", "ckptrun", *words], cwd=tmp_path, env=env).stdout.split()

    assert offered("tr") == ["train"]
    assert offered("train", "--stra") == ["--strategy"]
    assert offered("train", "--strategy", "") == ["short", "normal", "long"]
    assert offered("status", "digits") == ["digits-1", "digits-2"]


def test_fish_offers_verbs(tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("no fish here")
    write_files(tmp_path, {"c.fish": run_ckptrun("completion", "fish", cwd=tmp_path).stdout})
    env = {"PATH": BIN + os.pathsep + os.environ["PATH"], "HOME": str(tmp_path)}
    said = run(["fish", "--no-config", "-c", "source c.fish; complete -C 'ckptrun tr'"], cwd=tmp_path, env=env)
    assert said.stdout.split("\t")[0] == "train"


def test_verbs_and_options(tmp_path):
    assert complete(tmp_path, "s") == [["plain", verb] for verb in VERBS if verb.startswith("s")]
    assert ["plain", "--on-resume"] in complete(tmp_path, "train", "--")
    assert complete(tmp_path, "completion", "z") == [["plain", "zsh"]]
    assert complete(tmp_path, "train", "--restart-by", "s") == [["plain", "scheduler"], ["plain", "self"]]


def test_file_names_are_left_to_the_shell(tmp_path):
    assert complete(tmp_path, "train", "tra") == [["file", "tra"]]
    assert complete(tmp_path, "train", "--config", "x") == [["file", "x"]]
    assert complete(tmp_path, "train", "--root", "x") == [["dir", "x"]]


def test_runs_are_found_where_the_root_is(tmp_path):
    write_files(tmp_path, {"elsewhere/deep-1/run.yaml": "", "runs/near-1/run.yaml": "", "ckptrun.yaml": "root: elsewhere"})
    assert complete(tmp_path, "stop", "") == [["plain", "deep-1"]]
    assert complete(tmp_path, "stop", "--root", "runs", "") == [["plain", "near-1"]]
    assert complete(tmp_path, "stop", "", env={"CKPTRUN_ROOT": "runs"}) == [["plain", "near-1"]]


@pytest.mark.parametrize("text", ["root: [", "\t", "root: missing"])
def test_a_wrong_config_does_not_disturb_the_typing(tmp_path, text):
    write_files(tmp_path, {"ckptrun.yaml": text})
    assert complete(tmp_path, "stop", "") == []
