"""The completion scripts, in the shells themselves where they are installed."""

from __future__ import annotations

import os
import shutil

import pytest
import support
from cli.shells import Shell
from runmaker import Made
from support import run, run_ckptrun, write_files

from ckptrun import names
from ckptrun.cli import VERBS

SHELLS = ("bash", "zsh", "fish")


def complete(cwd, *words, env=None):
    """What bash is told for the last of `words`."""
    asked = {"_CKPTRUN_COMPLETE": "bash_complete", "COMP_LINE": " ".join(["ckptrun", *words]), "COMP_WORD": words[-1]}
    done = run_ckptrun(cwd=cwd, env={**asked, **(env or {})})
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split(",", 1) for line in done.stdout.splitlines() if line]


def words(cwd, *typed, env=None):
    """The words among them."""
    return [value for kind, value in complete(cwd, *typed, env=env) if kind == "plain"]


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


@pytest.fixture
def world(tmp_path):
    """Runs and a directory of somebody else's checkpoints."""
    made = Made(tmp_path / "runs", "digits")
    with made.attempt() as attempt:
        attempt.save(100, loss=0.5, acc=0.1, odd=1)
        attempt.save(200, loss=0.2, acc=0.3, odd=2)
    with made.attempt(resumed=200, outcome=names.COMPLETED) as attempt:
        attempt.save(1300, loss=0.3, acc=0.2, odd=3)
    Made(tmp_path / "runs", "digits-new")
    Made(tmp_path / "runs", "other")
    write_files(
        tmp_path, {"runs/no/x": "", **{f"my out/checkpoint-{step}/trainer_state.json": "{}" for step in (500, 1000)}}
    )
    write_files(tmp_path, {"ex/epoch=1-step=20.ckpt": "", "ex/epoch=2-step=40.ckpt": "", "digital.pt": ""})
    return tmp_path


@pytest.mark.parametrize("name", SHELLS)
def test_in_the_shell_itself(world, name):
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    with Shell(name, world) as shell:
        assert shell.becomes("ckptrun tra") == "ckptrun train "
        assert shell.becomes("ckptrun train --stra") == "ckptrun train --strategy "
        assert shell.becomes("ckptrun status oth") == "ckptrun status other "
        assert {"digits", "digits-new"} <= shell.offers("ckptrun status dig")
        assert shell.becomes("ckptrun logs digits/1") == "ckptrun logs digits/1 "
        assert shell.becomes("ckptrun show digits@13") == "ckptrun show digits@1300 "
        assert shell.becomes("ckptrun show digits@best:l") == "ckptrun show digits@best:loss "
        assert shell.becomes("cd . && ckptrun pin digits@step-00000200 digits@la").endswith("digits@latest ")
        before = "" if name == "bash" else "digits"  # which lists what stands after the @
        steps = {f"{before}@{at}" for at in ("latest", "best", "best:loss", "best:acc", "100", "200", "1300")}
        assert steps <= shell.offers("ckptrun diff digits@")
        assert shell.becomes("ckptrun show ./ex@4") == "ckptrun show ./ex@40 "
        assert shell.becomes("ckptrun seal ./ex@epoch=2") == "ckptrun seal ./ex@epoch=2-step=40.ckpt "
        assert shell.becomes(r"ckptrun show my\ out@1") == r"ckptrun show my\ out@1000 "
        assert shell.becomes("ckptrun show digita") == "ckptrun show digital.pt "
        assert shell.becomes("ckptrun show nothing@") == "ckptrun show nothing@"


def test_references(world):
    assert words(world, "show", "dig") == ["digits", "digits-new"]
    assert words(world, "show", "digits@") == [
        f"digits@{at}" for at in ("latest", "best", "best:loss", "best:acc", "1300", "200", "100")
    ]
    assert words(world, "mean", "digits@100", "digits@1") == ["digits@1300", "digits@100"]
    assert words(world, "show", "digits@step-") == [f"digits@step-{step:08d}" for step in (1300, 200, 100)]
    assert words(world, "show", "digits/") == ["digits/2", "digits/1"]
    assert words(world, "show", "./runs/digits@b") == [
        "./runs/digits@best",
        "./runs/digits@best:loss",
        "./runs/digits@best:acc",
    ]
    assert words(world, "train", "--from", "digits@l") == ["digits@latest"]
    assert words(world, "show", "digits-new@") == []


def test_only_what_the_verb_takes(world):
    assert words(world, "logs", "digits/") == ["digits/2", "digits/1"]
    assert words(world, "logs", "digits@") == []
    assert words(world, "stop", "digits/") == []
    assert complete(world, "prune", "dig") == [["plain", "digits"], ["plain", "digits-new"], ["dir", "dig"]]
    assert words(world, "prune", "digits@") == []


def test_a_step_that_is_there_twice_is_offered_once(world):
    there = world / "runs/digits/checkpoints"
    shutil.copytree(there / "step-00000200", there / "step-00000200.a0002")
    os.unlink(there / "step-00000200.a0002/checkpoint.json")
    assert words(world, "verify", "digits@2") == ["digits@200"]


@pytest.mark.parametrize("ref", ["digits@", "./runs/digits@", "digits/", "./out@"])
def test_what_cannot_be_read_does_not_disturb_the_typing(world, ref):
    write_files(world, {"runs/digits/run.yaml": "[", "runs/digits/attempts/0001/attempt.json": "{"})
    for path in world.glob("runs/digits/checkpoints/*/checkpoint.json"):
        path.write_bytes(b"\xff")
    complete(world, "show", ref)


def test_no_name_breaks_out_of_its_line(world):
    write_files(world, {"odd/step\n-1.pt": "x", "odd/step-$(x) 2.pt": "x", "odd/step-3.pt": "x"})
    offered = words(world, "show", "./odd@st")
    assert offered == [r"./odd@step-\$\(x\)\ 2.pt", "./odd@step-3.pt"]


def test_a_fault_is_silent(world):
    asked = {"_CKPTRUN_COMPLETE": "bash_complete", "COMP_LINE": "ckptrun show digits@"}
    gone = world / "gone"
    gone.mkdir()
    done = run(["sh", "-c", 'rmdir "$PWD"; "$@"', "sh", *support.ckptrun_argv()], cwd=gone, env=asked)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_takes_no_time(world):
    """Of the processor, not of the clock: others may be busy. Typing does not feel a fifth of a second."""
    with Made(world / "runs", "long").attempt() as attempt:
        for step in range(200):
            attempt.save(step, loss=1.0)
    words(world, "show", "long@")  # compiles what is new
    took = min(_seconds(world, "long@1") for _ in range(5))
    assert took < 0.3


def _seconds(cwd, ref):
    before = os.times()
    assert len(words(cwd, "show", ref)) == 111
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


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
