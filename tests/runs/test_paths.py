"""Names of runs, their directories, numbers of attempts."""

from __future__ import annotations

import os

import pytest

from ckptrun import errors
from ckptrun.runs import paths

GOOD = ["a", "digits-3f9a1c", "A.b_c-9", "0", "_x", "x" * 64]
BAD = ["", ".", "..", "...", "a/b", "../x", "/", ".hidden", "-x", "a b", "a\nb", "ä", "x" * 65, "a\0", "a\n", "*"]


@pytest.mark.parametrize("name", GOOD)
def test_names_that_are_taken(name):
    paths.valid_name(name)


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_refused_with_code_2_and_a_hint(name):
    with pytest.raises(errors.UsageError) as caught:
        paths.run_paths("/root", name)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    paths.valid_name(caught.value.hint.split()[-1])


@pytest.mark.parametrize(
    ("command", "stem"),
    [
        (["train.py"], "train"),
        (["/deep/er/train.v2.py", "--lr", "1"], "train.v2"),
        (["python3.11", "-u", "train.py"], "train"),
        (["torchrun", "--nproc-per-node=2", "train.py"], "train"),
        (["python", "-m", "package.module", "x"], "module"),
        (["python", "-m"], "python"),
        (["./a.out"], "a"),
        (["bash", "-c", "sleep 1"], "bash"),
        (["my script (1).py"], "my-script--1"),
        (["..py"], "py"),
        (["目.py"], "run"),
        (["x" * 200], "x" * 57),
        (["\udcff\udcfe.py"], "run"),
    ],
)
def test_a_name_is_derived_from_the_script_the_directory_and_the_command(command, stem):
    name = paths.derive_name(command, "/work")
    paths.valid_name(name)
    assert name[:-7] == stem
    assert name == paths.derive_name(list(command), "/work")
    assert name != paths.derive_name(command, "/work2")
    assert name != paths.derive_name([*command, "x"], "/work")


def test_arguments_are_told_apart_where_they_end():
    assert paths.derive_name(["a.py", "b c"], "/") != paths.derive_name(["a.py", "b", "c"], "/")


def test_everything_lies_where_the_design_says():
    run = paths.run_paths("/root/runs", "digits")
    attempt = run.attempt(3)
    assert [
        getattr(run, name) for name in ("run_yaml", "ledger", "lease_lock", "lease_json", "inbox", "latest", "superseded")
    ] == [
        f"/root/runs/digits/{name}"
        for name in (
            "run.yaml",
            "ledger.jsonl",
            "lease.lock",
            "lease.json",
            "control/inbox",
            "checkpoints/latest",
            "superseded",
        )
    ]
    assert [attempt.json, attempt.log, attempt.output, attempt.input, attempt.done] == [
        f"/root/runs/digits/attempts/0003/{name}" for name in ("attempt.json", "log.txt", "output", "input", "done")
    ]
    assert run.attempt(12345).dir.endswith("attempts/12345")


def test_a_relative_root_is_made_absolute_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = paths.run_paths("runs", "digits")
    monkeypatch.chdir("/")
    assert run.dir == str(tmp_path / "runs" / "digits")


def test_creating_makes_missing_parents_and_is_done_twice_without_harm(tmp_path):
    run = paths.run_paths(str(tmp_path / "a" / "b"), "digits")
    paths.create(run)
    paths.create(run)
    assert sorted(os.listdir(run.dir)) == ["attempts", "checkpoints", "control"]
    assert os.listdir(run.control) == ["inbox"]


@pytest.mark.parametrize("place", ["runs", "runs/digits", "runs/digits/control", "runs/digits/attempts"])
@pytest.mark.parametrize("thing", ["file", "dangling link"])
def test_something_in_the_place_of_a_directory_is_refused_with_code_73(tmp_path, place, thing):
    where = tmp_path / place
    where.parent.mkdir(parents=True, exist_ok=True)
    if thing == "file":
        where.write_text("")
    else:
        where.symlink_to("nowhere")
    with pytest.raises(errors.CannotCreate) as caught:
        paths.create(paths.run_paths(str(tmp_path / "runs"), "digits"))
    assert caught.value.exit_code == 73
    assert str(where) in caught.value.message


def test_attempts_are_numbered_and_only_one_can_make_a_number(run):
    assert paths.attempts(run) == []
    paths.new_attempt(run, 1)
    made = paths.new_attempt(run, 10000)
    assert paths.attempts(run) == [1, 10000]
    assert sorted(os.listdir(made.dir)) == ["input", "output"]
    with pytest.raises(errors.Leased) as caught:
        paths.new_attempt(run, 1)
    assert caught.value.exit_code == 69


def test_other_things_among_the_attempts_are_passed_over(run):
    for name in ("0001", "notes", "7", "\u0660\u0660\u0660\u0661", ".tmp-0002", "0003.bak"):
        os.mkdir(os.path.join(run.attempts, name))
    assert paths.attempts(run) == [1]


def test_all_runs_are_those_that_were_started(tmp_path):
    for name in ("b", "a"):
        paths.create(paths.run_paths(str(tmp_path), name))
        (tmp_path / name / "lease.lock").touch()
    (tmp_path / "not-a-run").mkdir()
    (tmp_path / "not a name").mkdir()
    (tmp_path / "file").touch()
    assert [run.name for run in paths.all_runs(str(tmp_path))] == ["a", "b"]
    assert paths.all_runs(str(tmp_path / "missing")) == []
    with pytest.raises(errors.IoFailure):
        paths.all_runs(str(tmp_path / "file"))
