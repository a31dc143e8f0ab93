"""`ckptrun backup` and `ckptrun restore` as a user types them."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from runmaker import Made
from support import run_ckptrun, write_files

from ckptrun import names


@pytest.fixture
def run(tmp_path):
    made = Made(tmp_path / "runs")
    with made.attempt() as attempt:
        for step, loss in ((3, 0.1), (7, 0.5)):
            attempt.save(step, loss=loss)
    return made.paths


def told(*args, cwd, code=0):
    done = run_ckptrun(*args, "--json", cwd=cwd)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.mark.parametrize(
    ("args", "made"),
    [
        ((), ["step-00000007"]),
        (("--best",), ["step-00000003"]),
        (("--all",), ["step-00000003", "step-00000007"]),
        (("--dry-run",), []),
    ],
)
def test_which_are_backed_up(run, tmp_path, args, made):
    document = told("backup", *args, "digits", cwd=tmp_path)
    assert document["format"] == names.FORMAT
    assert sorted(os.listdir(run.backup) if os.path.isdir(run.backup) else []) == made
    if made:
        assert [each["name"] for each in document["backups"]] == made


def test_there_and_back_again(run, tmp_path):
    first = run_ckptrun("backup", "--to", "safe", "digits@3", cwd=tmp_path)
    assert "backed up to" in first.stderr
    second = run_ckptrun("backup", "--to", "safe", "digits@3", cwd=tmp_path)
    assert (second.returncode, "already" in second.stderr) == (0, True)
    shutil.rmtree(os.path.join(run.checkpoints, "step-00000003"))
    would = told("restore", "--dry-run", "safe/digits", cwd=tmp_path)
    assert (would["state"], os.path.exists(would["path"])) == ("would be restored", False)
    document = told("restore", "safe/digits/step-00000003", cwd=tmp_path)
    assert (document["state"], document["step"], document["path"]) == (
        "restored",
        3,
        os.path.join(run.checkpoints, "step-00000003"),
    )
    assert told("restore", "safe/digits", cwd=tmp_path)["state"] == "there"
    assert "step-00000003" in run_ckptrun("ls", "digits", cwd=tmp_path).stdout


def test_all_come_back_and_one_that_cannot_is_no_reason_to_leave_the_others(run, tmp_path):
    told("backup", "--all", "--to", "safe", "digits", cwd=tmp_path)
    there = told("restore", "--all", "safe/digits", cwd=tmp_path)
    assert [(each["step"], each["state"]) for each in there["restored"]] == [(3, "there"), (7, "there")]
    shutil.rmtree(os.path.join(run.checkpoints, "step-00000007"))
    (tmp_path / "runs/digits/checkpoints/step-00000003/state").write_bytes(b"another")
    done = run_ckptrun("restore", "--all", "--json", "safe/digits", cwd=tmp_path)
    assert done.returncode == names.EXIT_CANNOT_CREATE
    assert "something else is in its place" in done.stderr
    assert [(each["step"], each["state"]) for each in json.loads(done.stdout)["restored"]] == [(7, "restored")]
    assert told("restore", "--all", "--if-any", "./nowhere", cwd=tmp_path) == {"format": 1, "restored": []}
    assert run_ckptrun("restore", "--all", "--at", "3", "safe/digits", cwd=tmp_path).returncode == names.EXIT_USAGE


def test_into_another_run_or_directory(run, tmp_path):
    told("backup", "digits", cwd=tmp_path)
    assert told("restore", "--to", "new", "digits", cwd=tmp_path)["path"] == str(
        tmp_path / "runs/new/checkpoints/step-00000007"
    )
    assert told("restore", "--to", "./here", "digits", cwd=tmp_path)["path"] == str(tmp_path / "here/step-00000007")


def test_a_directory_s_backup_lies_beside_its_checkpoints(tmp_path):
    write_files(tmp_path, {f"out/ckpt_{number}.bin": b"x" * 100 for number in (1, 2, 3)})
    document = told("backup", "out", cwd=tmp_path)
    (made,) = document["backups"]
    assert made["path"] == str(tmp_path / "out/.ckptrun/backup/ckpt_3.bin")
    assert "--to must say where" in told("restore", "out/.ckptrun/backup", cwd=tmp_path, code=2)
    assert told("restore", "--to", "./new", "out/.ckptrun/backup", cwd=tmp_path)["path"] == str(tmp_path / "new/ckpt_3.bin")


def test_force_sets_aside(run, tmp_path):
    told("backup", "--copy", "digits", cwd=tmp_path)
    write_files(run.checkpoints, {"step-00000007/state.bin": "other"})
    assert "something else is in its place" in told("restore", "digits", cwd=tmp_path, code=73)
    told("restore", "--force", "digits", cwd=tmp_path)
    (aside,) = (path for path in (tmp_path / "runs").rglob("superseded/*/checkpoints/step-00000007/state.bin"))
    assert aside.read_text() == "other"


def test_force_leaves_a_run_alone_that_somebody_runs(run, tmp_path):
    told("backup", "--copy", "digits", cwd=tmp_path)
    write_files(run.checkpoints, {"step-00000007/state.bin": "other"})
    made = Made(tmp_path / "runs")
    with made.attempt():
        assert "is held by" in told("restore", "--force", "digits", cwd=tmp_path, code=69)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("backup", "--best", "--all", "digits"), "contradict each other"),
        (("backup", "nope"), "there is no run nope"),
        (("backup", "--to", "runs/digits/checkpoints", "digits"), "where checkpoints are looked for"),
        (("restore", "digits"), "no whole backup"),
        (("restore", "./nope"), "there is no directory ./nope"),
        (("restore", "nope"), "there is no run nope"),
    ],
)
def test_mistakes_are_said(run, tmp_path, args, said):
    done = run_ckptrun(*args, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "hint:" in done.stderr


def test_what_is_not_whole_is_not_backed_up_and_said(run, tmp_path):
    os.unlink(os.path.join(run.checkpoints, "step-00000007", "state.bin"))
    assert told("backup", "digits@7", cwd=tmp_path, code=1)["backups"][0]["state"] == "failed"
    assert told("backup", "digits", cwd=tmp_path)["backups"][0]["name"] == "step-00000003"


def test_nothing_is_no_error_where_that_was_said(run, tmp_path):
    assert told("restore", "--if-any", "./nope", cwd=tmp_path)["state"] == "none"
    write_files(tmp_path, {"out/x": ""})
    assert told("backup", "--if-any", "out", cwd=tmp_path)["backups"] == []
