import os
import zipfile

import pytest
from runmaker import Made

from ckptrun import errors, names
from ckptrun.report import gather, refs
from ckptrun.report.gather import Wish


@pytest.fixture
def made(tmp_path):
    """Three attempts: 10 and 20, then from 20: 30 broken and 40, then one that was killed."""
    run = Made(tmp_path / "runs")
    with run.attempt() as attempt:
        attempt.save(10, loss=3.0)
        attempt.save(20, loss=1.0)
    with run.attempt(resumed=20) as attempt:
        broken = attempt.save(30, loss=0.5)
        attempt.save(40, loss=float("nan"))
    os.truncate(os.path.join(broken, "state.bin"), 2)
    with run.attempt(resumed=40, outcome=""):
        pass
    return run


def shown(checkpoints):
    return [(item.step, item.state, item.roles) for item in checkpoints]


def test_a_run_s_checkpoints_with_their_roles(made):
    listing = gather.run_listing(made.paths)
    assert shown(listing.checkpoints) == [
        (10, "complete", []),
        (20, "complete", ["best", "resumed-from"]),
        (30, "corrupt", []),
        (40, "complete", ["latest", "resumed-from", "pointer"]),
    ]
    assert "state.bin has 2 bytes instead of 5" in listing.checkpoints[2].reason
    assert (listing.metric, listing.best) == ("loss", "lowest loss")
    [own] = listing.series
    assert (own.directory, own.layout) == (made.paths.checkpoints, "own")
    assert (own.latest, own.best, own.pointer) == ("step-00000040", "step-00000020", "step-00000040")


def test_what_a_plain_script_left_in_its_output_is_a_series_of_its_own(made):
    with made.attempt(resumed=40) as attempt, zipfile.ZipFile(os.path.join(attempt.where.output, "state.npz"), "w") as file:
        file.writestr("weights", "heavy")
    listing = gather.run_listing(made.paths)
    assert {series.directory for series in listing.series} == {made.paths.checkpoints, attempt.where.output}
    [plain] = [item for item in listing.checkpoints if item.layout != "own"]
    assert (plain.name, plain.attempt, plain.state) == ("state.npz", 4, "complete")


def test_the_same_directory_by_its_path(made):
    listing = gather.directory_listing(made.paths.checkpoints)
    assert shown(listing.checkpoints) == shown(gather.run_listing(made.paths).checkpoints)
    assert listing.series[0].run == "digits"


def test_a_copy_outside_of_any_run_knows_no_attempts(made, tmp_path):
    import shutil

    shutil.copytree(made.paths.checkpoints, tmp_path / "copy", symlinks=True)
    listing = gather.directory_listing(str(tmp_path / "copy"))
    assert [item.roles for item in listing.checkpoints] == [[], ["best"], [], ["latest", "pointer"]]
    assert listing.series[0].run == ""


def test_a_metric_of_one_series_only(tmp_path):
    for place, metrics in (("a", {"loss": 1.0}), ("b", {"acc": 0.5})):
        run = Made(tmp_path / "runs", name=place)
        with run.attempt() as attempt:
            attempt.save(1, **metrics)
            attempt.save(2, **metrics)
        os.rename(run.paths.checkpoints, tmp_path / place)
    for place in ("a", "b"):
        os.makedirs(tmp_path / "both", exist_ok=True)
        os.rename(tmp_path / place, tmp_path / "both" / place)
    listing = gather.directory_listing(str(tmp_path / "both"), Wish("acc"))
    assert [(os.path.basename(series.directory), series.best) for series in listing.series] == [
        ("a", ""),
        ("b", "step-00000002"),
    ]
    with pytest.raises(errors.UsageError, match="no complete checkpoint has a metric 'f1'"):
        gather.directory_listing(str(tmp_path / "both"), Wish("f1"))


def test_an_unreadable_record_costs_its_story_only(made):
    with open(made.paths.attempt(2).json, "w") as file:
        file.write("{")
    assert [record.attempt for record in gather.attempt_records(made.paths)] == [1, 3]
    assert len(gather.run_listing(made.paths).checkpoints) >= 4


# --- references --------------------------------------------------------------------------------------------------------
PARSED = [
    ("digits", ("digits", None, "")),
    ("digits-3f9a1c/3", ("digits-3f9a1c", 3, "")),
    ("digits/0003", ("digits", 3, "")),
    ("digits@120", ("digits", None, "120")),
    ("digits@latest", ("digits", None, "latest")),
    ("digits@step-00000120.a0003", ("digits", None, "step-00000120.a0003")),
    ("digits/step-00000120", ("digits", None, "step-00000120")),
    ("./digits", None),
    ("/digits", None),
    ("-digits", None),
    ("di gits", None),
    ("", None),
    ("x" * 65, None),
]


@pytest.mark.parametrize(("ref", "parts"), PARSED)
def test_the_parts_of_a_reference(ref, parts):
    found = refs.parse(ref)
    assert (found and (found.run, found.attempt, found.at)) == parts


@pytest.mark.parametrize(
    ("ref", "step"),
    [
        ("digits", 40),
        ("digits@latest", 40),
        ("digits@best", 20),
        ("digits@20", 20),
        ("digits@30", 30),
        ("digits@step-00000010", 10),
        ("digits/step-00000010", 10),
        ("digits/1", 20),
        ("runs/digits", 40),
        ("runs/digits/attempts/0002", 40),
        ("runs/digits/checkpoints/step-00000010", 10),
        ("runs/digits/checkpoints/step-00000010/state.bin", 10),
        ("runs/digits/checkpoints/latest", 40),
        ("./runs/digits/checkpoints/step-00000030/", 30),
    ],
)
def test_a_reference_names_a_checkpoint(made, tmp_path, ref, step):
    assert refs.checkpoint(ref, root=str(tmp_path / "runs"), cwd=str(tmp_path)).step == step


@pytest.mark.parametrize(
    ("ref", "says", "hint"),
    [
        ("digit", "there is no run digit in", "did you mean digits?"),
        ("zzz", "there is no run zzz in", "runs in"),
        ("digits@25", "digits@25: run digits has no checkpoint 25", "complete: 10, 20, 40"),
        ("digits/9", "run digits has no attempt 9", "its attempts: 1 to 3"),
        ("digits/3", "attempt 3 of run digits left no complete checkpoint", "complete: 10, 20, 40"),
        ("./nowhere", "there is nothing at ./nowhere", "runs in"),
        ("nowhere/at/all", "there is nothing at nowhere/at/all", ""),
        ("runs", "runs holds runs, each of which is taken by itself", "name them: "),
        ("digits@f1", "digits@f1: run digits has no checkpoint f1", ""),
    ],
)
def test_a_reference_that_names_nothing_says_what_there_is(made, tmp_path, ref, says, hint):
    with pytest.raises(errors.UsageError) as caught:
        refs.checkpoint(ref, root=str(tmp_path / "runs"), cwd=str(tmp_path))
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_a_path_is_not_taken_for_a_run(made, tmp_path):
    os.mkdir(tmp_path / "digits")
    named = refs.resolve("./digits", root=str(tmp_path / "runs"), cwd=str(tmp_path))
    assert isinstance(named, refs.OfDirectory)
    assert isinstance(refs.resolve("digits", root=str(tmp_path / "runs"), cwd=str(tmp_path)), refs.OfRun)


def test_no_run_at_all(tmp_path):
    with pytest.raises(errors.UsageError) as caught:
        refs.the_run("digits", root=str(tmp_path / "runs"), cwd=str(tmp_path))
    assert "there are no runs in" in caught.value.hint


def test_a_moved_run_is_read_where_it_lies(made, tmp_path):
    os.rename(tmp_path / "runs", tmp_path / "moved")
    listing = gather.run_listing(type(made.paths)(dir=str(tmp_path / "moved" / "digits")))
    assert [item.roles for item in listing.checkpoints][:2] == [[], ["best", "resumed-from"]]


def test_names_that_are_odd(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9 \n 'x'")
    os.mkdir(folder)
    run = Made(os.fsdecode(folder))
    with run.attempt() as attempt:
        attempt.save(1, {"größe 1.bin": b"1", "a\nb": b"2", os.fsdecode(b"\xff"): b"3"})
    [item] = gather.run_listing(run.paths).checkpoints
    assert item.state == names.COMPLETE
    assert refs.checkpoint(item.path, root="/nowhere", cwd="/") == item or item.roles


def test_a_path_is_known_by_its_neighbours_and_nobody_looks_below_them(tmp_path, monkeypatch):
    """Beside a directory of checkpoints may lie all that somebody has."""
    for path in ("home/out/model_1.npz", "home/out/model_2.npz", "home/other/deep/down/model_1.npz", "home/plain.txt"):
        where = tmp_path / path
        where.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(where, "w") as file:
            file.writestr("w.npy", b"")
    looked = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(str(path)) or real(path))
    home = str(tmp_path / "home")
    found = refs.resolve(f"{home}/out/model_2.npz", root=str(tmp_path / "runs"), cwd=str(tmp_path))
    assert found.checkpoint.name == "model_2.npz"
    found = refs.resolve(f"{home}/out", root=str(tmp_path / "runs"), cwd=str(tmp_path))
    assert found == refs.OfDirectory(f"{home}/out")
    assert f"{home}/other/deep" not in looked
    assert f"{home}/other/deep/down" not in looked
