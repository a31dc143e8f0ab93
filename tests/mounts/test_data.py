"""--data: what is understood, what is refused, and what a script finds in its input directory."""

from __future__ import annotations

import os
import shutil

import pytest
import support

from ckptrun import errors
from ckptrun.mounts import data
from ckptrun.runs import paths


@pytest.fixture
def world(tmp_path):
    """A root with a run of three attempts, of which the second has output, and some files."""
    run = paths.run_paths(str(tmp_path / "runs"), "earlier")
    paths.create(run)
    for number in (1, 2, 3):
        paths.new_attempt(run, number)
    support.write_files(tmp_path, {"mnist/train.bin": "digits", "one:two/x": "colons", "file.csv": "1,2"})
    support.write_files(run.attempt(2).output, {"model.pt": "weights"})
    return tmp_path


@pytest.fixture
def attempt(world):
    """A fresh attempt of another run in the same root."""
    run = paths.run_paths(str(world / "runs"), "digits")
    paths.create(run)
    return paths.new_attempt(run, 1)


def plan(world, *texts):
    return data.plan(texts, root=str(world / "runs"), cwd=str(world))


@pytest.mark.parametrize(
    ("text", "source", "mount"),
    [
        ("mnist:data", "mnist", "data"),
        ("mnist:/data", "mnist", "data"),
        ("mnist:/data/", "mnist", "data"),
        ("mnist:a//b/./c", "mnist", "a/b/c"),
        ("one:two:data", "one:two", "data"),
        ("s3://bucket/x:data", "s3://bucket/x", "data"),
        ("a b:c d", "a b", "c d"),
    ],
)
def test_a_reference_is_split_at_its_last_colon(text, source, mount):
    assert data.parse(text) == data.Mount(source=source, mount=mount)


@pytest.mark.parametrize(
    "text", ["", ":", "mnist", "mnist:", ":data", "mnist:/", "mnist:..", "mnist:a/../..", "mnist:../x", "mnist:.", "a\0:b"]
)
def test_what_is_no_reference_is_refused_with_code_2_and_the_form(text):
    with pytest.raises(errors.UsageError) as caught:
        data.parse(text)
    assert caught.value.exit_code == 2
    assert "--data SOURCE:MOUNT" in caught.value.hint


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["mnist:a", "file.csv:a"], "'a' is mounted twice: mnist and file.csv"),
        (["mnist:a", "file.csv:/a/"], "'a' is mounted twice"),
        (["mnist:a", "file.csv:a/b"], "'a/b' lies inside the mount 'a'"),
        (["file.csv:a/b/c", "mnist:a"], "'a/b/c' lies inside the mount 'a'"),
        (["mnist:model/x"], "'model/x' lies inside 'model', where the output of an earlier attempt is mounted"),
    ],
)
def test_mounts_of_one_name_and_mounts_in_mounts_are_refused(world, texts, why):
    with pytest.raises(errors.UsageError) as caught:
        plan(world, *texts)
    assert why in caught.value.message


def test_names_that_only_begin_alike_are_side_by_side(world):
    assert [mount.mount for mount in plan(world, "mnist:a", "mnist:ab", "mnist:a-b", "mnist:modelling")] == [
        "a",
        "ab",
        "a-b",
        "modelling",
    ]


@pytest.mark.parametrize(
    "source",
    ["missing", "./missing", "/missing/x", "~/missing", "earlier/9x", "earlier/output/deep", "s3://bucket", "earlier/.."],
)
def test_a_source_that_is_not_there_is_refused(world, source):
    with pytest.raises(errors.UsageError) as caught:
        plan(world, f"{source}:data")
    assert caught.value.message.startswith(f"--data {source}:data: there is no such file or directory")
    assert ("nor a run in" in caught.value.message) == (source[0] not in "./~")


def test_a_link_that_leads_nowhere_is_not_there(world):
    (world / "dangling").symlink_to("nowhere")
    with pytest.raises(errors.UsageError):
        plan(world, "dangling:data")


@pytest.mark.parametrize(
    ("source", "found", "why"),
    [
        ("mnist", "mnist", ""),
        ("./mnist", "mnist", ""),
        ("mnist/../file.csv", "file.csv", ""),
        ("earlier", "runs/earlier/attempts/0002/output", "the output of attempt 2 of run earlier"),
        ("earlier/", "runs/earlier/attempts/0002/output", "the output of attempt 2 of run earlier"),
        ("earlier/output", "runs/earlier/attempts/0002/output", "the output of attempt 2 of run earlier"),
        ("earlier/1", "runs/earlier/attempts/0001/output", "the output of attempt 1 of run earlier"),
        ("earlier/0001/output", "runs/earlier/attempts/0001/output", "the output of attempt 1 of run earlier"),
        ("earlier/checkpoints", "runs/earlier/checkpoints", "the checkpoints of run earlier"),
        ("runs/earlier/checkpoints", "runs/earlier/checkpoints", ""),
    ],
)
def test_paths_and_runs_are_told_apart(world, source, found, why):
    (mount,) = plan(world, f"{source}:data")
    assert (mount.path, mount.why) == (str(world / found), why)


def test_a_run_goes_before_a_path_of_the_same_name_and_says_so(world):
    (world / "earlier").mkdir()
    (mount,) = plan(world, "earlier:data")
    assert mount.why == f"the output of attempt 2 of run earlier (not the path {world}/earlier: write ./earlier for that)"
    (mount,) = plan(world, "./earlier:data")
    assert (mount.path, mount.why) == (str(world / "earlier"), "")


def test_the_home_directory(world, monkeypatch):
    monkeypatch.setenv("HOME", str(world))
    assert plan(world, "~/mnist:data")[0].path == str(world / "mnist")


@pytest.mark.parametrize(
    ("source", "what"),
    [("earlier/7", "attempt 7 of run earlier has no output"), ("empty", "no attempt of run empty has any output")],
)
def test_a_run_without_that_output_names_what_it_has(world, source, what):
    paths.create(paths.run_paths(str(world / "runs"), "empty"))
    with pytest.raises(errors.UsageError) as caught:
        plan(world, f"{source}:data")
    assert caught.value.message == f"--data {source}: {what}"
    assert caught.value.hint in ("its attempts: 1, 2, 3", "its attempts: none")


def test_the_script_finds_its_data_where_it_was_mounted(world, attempt):
    lines = data.attach(attempt, plan(world, "mnist:data", "file.csv:tables/one.csv", "earlier/2:start"), None)
    assert open_read(f"{attempt.input}/data/train.bin") == "digits"
    assert open_read(f"{attempt.input}/tables/one.csv") == "1,2"
    assert open_read(f"{attempt.input}/start/model.pt") == "weights"
    assert lines == [
        f"input/data -> {world}/mnist",
        f"input/tables/one.csv -> {world}/file.csv",
        f"input/start -> {world}/runs/earlier/attempts/0002/output: the output of attempt 2 of run earlier",
    ]
    assert os.readlink(f"{attempt.input}/data") == str(world / "mnist")


def open_read(path):
    with open(path) as file:
        return file.read()


def test_links_into_the_run_itself_survive_moving_it(world, attempt):
    run = paths.run_paths(str(world / "runs"), "digits")
    second = paths.new_attempt(run, 2)
    support.write_files(attempt.output, {"model.pt": "first"})
    lines = data.attach(second, plan(world, "digits/1:again/start"), attempt.output)
    assert lines[-1] == f"input/model -> {attempt.output}: the output of an earlier attempt"
    assert os.readlink(f"{second.input}/model") == "../../0001/output"
    shutil.move(run.dir, world / "elsewhere")
    shutil.move(world / "runs", world / "away")
    moved = world / "elsewhere" / "attempts" / "0002" / "input"
    assert open_read(moved / "model" / "model.pt") == open_read(moved / "again" / "start" / "model.pt") == "first"


def test_data_mounted_as_model_replaces_the_automatic_one_and_says_so(world, attempt):
    lines = data.attach(attempt, plan(world, "mnist:model"), "/somewhere/output")
    assert os.readlink(f"{attempt.input}/model") == str(world / "mnist")
    assert lines == [
        f"input/model -> {world}/mnist",
        "input/model is what --data says, not the output of an earlier attempt",
    ]
    assert data.attach(attempt, [], None) == []


def test_odd_names(weird_path):
    run = paths.run_paths(str(weird_path / "runs"), "digits")
    paths.create(run)
    attempt = paths.new_attempt(run, 1)
    name = 'sp ace "quote" \n目'
    support.write_files(weird_path, {f"{name}/x": "odd"})
    (line,) = data.attach(attempt, data.plan([f"{name}:{name}"], root=str(weird_path / "runs"), cwd=str(weird_path)), None)
    assert line.isprintable()
    assert open_read(f"{attempt.input}/{name}/x") == "odd"


def test_a_link_that_cannot_be_made_is_an_error(world, attempt):
    os.symlink("x", f"{attempt.input}/data")
    with pytest.raises(errors.CannotCreate) as caught:
        data.attach(attempt, plan(world, "mnist:data"), None)
    assert f"{attempt.input}/data: something else is in its place" in caught.value.message
