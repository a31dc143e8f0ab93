"""Every checkpoint of a run, oldest first; what lies around is not taken for one."""

import os
import shutil

import pytest
import support

from ckptrun import errors, names
from ckptrun.checkpoints import scan, verify
from ckptrun.policy import resume

np = pytest.importorskip("numpy")


def blob(seed=0):
    """A small whole .npz."""
    import io

    out = io.BytesIO()
    np.savez(out, w=np.arange(100) + seed)
    return out.getvalue()


def names_of(home):
    return [(item.name, item.step, item.state) for item in scan.scan_run(home.checkpoints, home.attempts)]


def newest(home):
    return resume.decide(scan.scan_run(home.checkpoints, home.attempts)).chosen


def test_our_own_with_everything_the_manifest_says(home):
    home.save(20, epoch=1, metrics={"loss": float("inf")})
    home.save(5)
    home.save(20, attempt=3)
    found = scan.scan_run(home.checkpoints, home.attempts)
    assert [(item.name, item.attempt) for item in found] == [
        ("step-00000005", 1),
        ("step-00000020", 1),
        ("step-00000020.a0003", 3),
    ]
    item = found[1]
    assert item.path == os.path.join(home.checkpoints, item.name)
    assert item.directory == home.checkpoints
    assert (item.layout, item.place, item.epoch, item.metrics, item.size) == (
        "own",
        "checkpoints",
        1,
        {"loss": float("inf")},
        110,
    )
    assert item.files == [f"{item.name}/{name}" for name in ("checkpoint.json", "state", "sub/more")]
    assert abs(item.time - os.stat(item.path).st_mtime) < 5


def test_nothing_is_there(home, tmp_path):
    assert scan.scan_run(home.checkpoints, home.attempts) == []
    assert scan.scan_run(str(tmp_path / "none"), str(tmp_path / "nothing")) == []


@pytest.mark.parametrize("sizes", [False, True])
def test_states(home, sizes):
    for step in range(5):
        home.save(step)
    os.unlink(os.path.join(home.checkpoints, "step-00000001", "checkpoint.json"))
    os.truncate(os.path.join(home.checkpoints, "step-00000002", "checkpoint.json"), 20)
    os.truncate(os.path.join(home.checkpoints, "step-00000003", "state"), 20)
    os.mkdir(os.path.join(home.checkpoints, ".tmp-step-00000009-a0001-abcd1234"))
    found = {item.step: item for item in scan.scan_run(home.checkpoints, home.attempts, sizes=sizes, unfinished=True)}
    states = {step: item.state for step, item in found.items()}
    assert states == {
        0: "complete",
        1: "partial",
        2: "corrupt",
        3: "corrupt" if sizes else "complete",
        4: "complete",
        9: "partial",
    }
    assert all(item.reason for item in found.values() if item.state != names.COMPLETE)


def test_an_unfinished_save_of_ours_is_no_checkpoint(home):
    """It is swept away, not set aside: superseded/ is never emptied unasked."""
    home.save(5)
    os.mkdir(os.path.join(home.checkpoints, ".tmp-step-00000009-a0001-abcd1234"))
    assert [name for name, _, _ in names_of(home)] == ["step-00000005"]
    assert resume.decide(scan.scan_run(home.checkpoints, home.attempts)).set_aside == []
    (series,) = scan.scan_directory(home.checkpoints)
    assert [item.state for item in series.checkpoints] == ["complete", "partial"]


def test_what_lies_around_is_none(home):
    home.save(5)
    for name in (
        "step-5",
        "step-00000005.bak",
        "mystep-00000005",
        "step-00000005.a1",
        "step-00000006-notes.txt",
        "README.md",
    ):
        os.mkdir(os.path.join(home.checkpoints, name))
    os.symlink("step-00000005", os.path.join(home.checkpoints, "step-00000007"))
    os.symlink("nowhere", os.path.join(home.checkpoints, "step-00000008"))
    open(os.path.join(home.checkpoints, "step-00000009"), "w").close()
    assert [name for name, step, _ in names_of(home)] == ["step-00000005"]


def test_outputs_of_every_attempt_two_levels_deep(home):
    home.output(1, {"model_10.npz": blob(), "model_20.npz": blob()})
    home.output(2, {"a/model_30.npz": blob(), "a/model_40.npz": blob()})
    home.output(
        12,
        {"a/b/model_50.npz": blob(), "a/b/model_60.npz": blob(), "a/b/c/model_70.npz": blob(), "a/b/c/model_80.npz": blob()},
    )
    found = scan.scan_run(home.checkpoints, home.attempts)
    assert [(item.step, item.attempt) for item in found] == [(10, 1), (20, 1), (30, 2), (40, 2), (50, 12), (60, 12)]
    assert {item.place for item in found} == {"output"}
    assert newest(home).step == 60


def test_files_of_a_plain_script_in_the_checkpoint_directory(home):
    for step in (1, 2):
        with open(os.path.join(home.checkpoints, f"ckpt_{step}.npz"), "wb") as file:
            file.write(blob())
    assert [(item.name, item.attempt) for item in scan.scan_run(home.checkpoints, home.attempts)] == [
        ("ckpt_1.npz", None),
        ("ckpt_2.npz", None),
    ]


def test_a_file_rewritten_in_place_that_was_cut_falls_back_to_the_attempt_before(home):
    home.output(1, {"ckpt.npz": blob(1)}, time=1000)
    home.output(2, {"ckpt.npz": blob(2)}, time=2000)
    home.output(3, {"ckpt.npz": blob(3)[:300]}, time=3000)
    plan = resume.decide(scan.scan_run(home.checkpoints, home.attempts))
    assert plan.chosen.attempt == 2
    assert [entry.why for entry in plan.passed] == [
        "partial: ckpt.npz is cut short: the zip directory at its end is missing"
    ]


def test_a_clock_set_back_between_two_attempts(home):
    home.output(1, {"ckpt.npz": blob(1)}, time=9000)
    home.output(2, {"ckpt.npz": blob(2)}, time=100)
    assert newest(home).attempt == 2


def test_temporary_files_are_never_complete(home):
    home.output(1, {"ckpt.npz": blob(1), "ckpt.npz.tmp": blob(2), "ckpt.npz.tmp-123": blob(3), "ckpt.npz~": blob(4)})
    states = {name: state for name, _, state in names_of(home)}
    assert states.pop("ckpt.npz") == names.COMPLETE
    assert set(states.values()) == {names.PARTIAL}
    assert newest(home).name == "ckpt.npz"


def test_a_directory_for_each_step(home):
    for step in (10, 20, 30):
        home.output(1, {f"step_{step}/model.npz": blob(), f"step_{step}/optim.npz": blob(), f"step_{step}/rank-0.bin": b"1"})
    assert names_of(home) == [(f"step_{step}", step, "complete") for step in (10, 20, 30)]
    os.unlink(os.path.join(home.attempts, "0001/output/step_30/optim.npz"))
    (*_, last) = scan.scan_run(home.checkpoints, home.attempts)
    assert (last.state, last.reason) == ("partial", "optim.npz is missing, which its 2 siblings have")
    assert newest(home).step == 20


def test_a_directory_with_a_number_and_no_state_is_looked_into(home):
    home.output(1, {"epoch_1/picture.png": b"1", "epoch_2/deeper/ckpt.npz": blob()})
    assert [(item.name, item.layout) for item in scan.scan_run(home.checkpoints, home.attempts)] == [("epoch_2", "series")]
    shutil.rmtree(os.path.join(home.attempts, "0001/output/epoch_2"))
    assert names_of(home) == []


def test_a_guess_says_why(home):
    home.output(1, {"epoch_1.npz": blob(), "epoch_2.npz": blob()})
    home.output(2, {"last.npz": blob(), "best.npz": blob()})
    why = {item.name: item.why for item in scan.scan_run(home.checkpoints, home.attempts)}
    assert why["epoch_2.npz"] == "epoch_2.npz: one of 2 files that differ in this number"
    assert why["last.npz"] == "last.npz: the likeliest of 2 files here, and it sounds like one to continue from"


def test_hard_links_are_counted_once(home):
    place = home.output(1, {"step_1/model.npz": blob()})
    os.link(f"{place}/step_1/model.npz", f"{place}/step_1/alias.npz")
    (found,) = scan.scan_run(home.checkpoints, home.attempts)
    assert found.size == len(blob())
    assert len(found.files) == 2


def test_a_directory_that_cannot_be_listed_is_no_empty_one(home, monkeypatch):
    home.output(1, {"deep/ckpt.npz": blob()})
    home.save(3)
    monkeypatch.setattr("time.sleep", lambda _: None)
    real = os.scandir

    def failing(path):
        if str(path).endswith(failing.suffix):
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(os, "scandir", failing)
    failing.suffix = "/deep"
    unknown, own = scan.scan_run(home.checkpoints, home.attempts)
    assert (unknown.state, own.state) == ("unknown", "complete")
    assert "Input/output error" in unknown.reason
    for failing.suffix in ("/checkpoints", "/attempts", "/output"):
        with pytest.raises(errors.IoFailure, match="Input/output error"):
            scan.scan_run(home.checkpoints, home.attempts)


def test_one_that_is_moved_away_during_the_scan_is_not_there(home, monkeypatch):
    home.save(1)
    path = home.save(2)
    real = os.open

    def racing(name, *rest, **more):
        if str(name).startswith(path):
            shutil.rmtree(path, ignore_errors=True)
        return real(name, *rest, **more)

    monkeypatch.setattr(os, "open", racing)
    assert [name for name, _, _ in names_of(home)] == ["step-00000001"]


def test_names_that_are_no_text(home):
    home.output(1, {"\udcff/ckpt.npz": blob(), "a\nb/last.npz": blob()})
    assert sorted(item.name for item in scan.scan_run(home.checkpoints, home.attempts)) == ["ckpt.npz", "last.npz"]


def test_a_directory_by_series(home):
    home.save(5)
    home.save(7)
    os.truncate(os.path.join(home.checkpoints, "step-00000007", "state"), 3)
    with open(os.path.join(home.checkpoints, "best.npz"), "wb") as file:
        file.write(blob())
    own, single = scan.scan_directory(home.checkpoints)
    assert (own.layout, own.latest, own.pointer) == ("own", "step-00000005", "step-00000007")
    assert [(item.name, item.state) for item in own.checkpoints] == [
        ("step-00000005", "complete"),
        ("step-00000007", "corrupt"),
    ]
    assert (single.layout, single.latest) == ("single", "best.npz")


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(errors.UsageError, match="there is no directory"):
        scan.scan_directory(str(tmp_path / "none"))


def test_a_moved_run_is_the_same(home, tmp_path):
    home.save(5)
    home.output(1, {"last.npz": blob()})
    there = tmp_path / "moved"
    there.mkdir()
    for name in ("checkpoints", "attempts"):
        shutil.copytree(tmp_path / name, there / name, symlinks=True)
    found = scan.scan_run(str(there / "checkpoints"), str(there / "attempts"))
    assert [verify.deep(item)[0] for item in found] == ["complete", "complete"]
    assert all(item.path.startswith(str(there)) for item in found)


def test_what_ckptrun_left_half_written_is_no_checkpoint(tmp_path):
    """Of a mean, of a pointer, of a file that was being put back, of a branch, of a restore."""
    for name in (
        "epoch_1.pt",
        "epoch_2.pt",
        ".tmp-epoch_3.pt-0123456789ab",
        ".tmp-checkpoint-000000000123",
        ".tmp-checkpoint-000000000456",
        ".tmp-0123456789ab",
    ):
        support.write_files(tmp_path, {f"out/{name}": b"\x80\x02}q\x00."})
    support.write_files(
        tmp_path, {"out/.tmp-branch-b-01234567/checkpoints/epoch_9.pt": "1", "out/.restore-x/epoch_8.pt": "1"}
    )
    support.write_files(
        tmp_path, {"out/.tmp-gone-01234567/mp_rank_00_model_states.pt": "1"}
    )  # DeepSpeed's, by what is inside
    found = scan.look_directory(str(tmp_path / "out")).checkpoints
    assert [item.name for item in found] == ["epoch_1.pt", "epoch_2.pt"]
