import json
import os
import time

import pytest
import support
from runmaker import Made, age, rewrite_holder
from support import run_ckptrun

from ckptrun.runs import control, ledger


@pytest.fixture
def run(tmp_path):
    """Six checkpoints, an hour old; the third is the best."""
    made = Made(tmp_path / "runs", "digits")
    with made.attempt() as attempt:
        for step, loss in zip(range(10, 70, 10), (3.0, 2.0, 1.0, 4.0, 5.0, 6.0), strict=True):
            attempt.save(step, {"model.pt": b"m" * 100, "optimizer.pt": b"o" * 900}, loss=loss)
    age(made.paths, 36000)
    return made


def prune(here, *args, code=0, **more):
    done = run_ckptrun("prune", *args, cwd=here, **more)
    assert done.returncode == code, done.stderr
    return done


def document(here, *args, **more):
    return json.loads(prune(here, *args, "--json", **more).stdout)


def steps(run):
    return sorted(int(name[-8:]) for name in os.listdir(run.paths.checkpoints) if name.startswith("step-"))


def removed(told):
    return [int(each["name"][-8:]) for each in told["remove"]]


def test_without_yes_nothing_is_removed_and_all_is_told(run, tmp_path):
    done = prune(tmp_path, "digits", "--keep-last", "2")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["name", "step", "size", "decision", "why", "path"]
    assert [(row[1], row[3], row[4]) for row in rows[1:]] == [
        ("10", "remove", "no rule keeps it"),
        ("20", "remove", "no rule keeps it"),
        ("30", "keep", "the best"),
        ("40", "remove", "no rule keeps it"),
        ("50", "keep", "last 2"),
        ("60", "keep", "the newest complete one; `latest` leads to it; last 2"),
    ]
    assert "3 of 6 checkpoints would go" in done.stderr
    assert "--yes" in done.stderr
    assert steps(run) == [10, 20, 30, 40, 50, 60]
    assert not os.path.exists(run.paths.trash)


def test_yes_does_it_and_the_ledger_tells(run, tmp_path):
    told = document(tmp_path, "digits", "--keep-last", "2", "--yes", "--wait")
    assert (removed(told), told["dry_run"], told["format"], told["left"]) == ([10, 20, 40], False, 1, [])
    assert told["keep"][0] == {
        "name": "step-00000030",
        "path": os.path.join(run.paths.checkpoints, "step-00000030"),
        "reasons": ["the best"],
    }
    assert told["bytes_freed"] > 3000
    assert steps(run) == [30, 50, 60]
    assert os.listdir(run.paths.trash) == []
    last = ledger.read(run.paths.ledger)[-1]
    assert (last["event"], last["removed"][0]) == ("pruned", "checkpoints/step-00000010")
    assert removed(document(tmp_path, "digits", "--keep-last", "2", "--yes")) == []


def test_it_returns_after_the_renames_and_a_process_of_its_own_unlinks(run, tmp_path):
    prune(tmp_path, "digits", "--keep-last", "1", "--yes")
    assert steps(run) == [30, 60]
    support.wait_until(lambda: not os.listdir(run.paths.trash))


def test_what_a_killed_prune_left_is_finished(run, tmp_path):
    support.write_files(run.paths.trash, {"step-00000001-aa/x": "1"})
    assert removed(document(tmp_path, "digits", "--keep-last", "-1", "--yes", "--wait")) == []
    assert os.listdir(run.paths.trash) == []


def test_the_settings_of_the_file_count(run, tmp_path):
    support.write_files(
        tmp_path, {"ckptrun.yaml": "retention:\n  keep_last: 1\n  keep_best: [2, 1:loss:max]\n  keep_every: 20\n"}
    )
    assert removed(document(tmp_path, "digits")) == [10, 50]
    support.write_files(tmp_path, {"ckptrun.yaml": "retention: {keep_lost: 1, max_bytes: much}\n"})
    wrong = prune(tmp_path, "digits", code=78)
    assert "ckptrun.yaml:1:" in wrong.stderr
    assert "did you mean 'retention.keep_last'" in wrong.stderr
    assert "`ckptrun prune --help`" in wrong.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "nothing says what to keep"),
        (["--keep-last", "0"], "nothing says what to keep"),
        (["--keep-last", "two"], "--keep-last: 'two' is not a whole number"),
        (["--keep-best", "2:los:min"], "no checkpoint has a metric 'los'"),
        (["--keep-every", "1000:now"], "neither a cadence"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, tmp_path, args, says):
    assert says in prune(tmp_path, "digits", *args, "--yes", code=2).stderr
    assert len(steps(run)) == 6


def test_pinned_resumed_from_and_branched_from_stay(run, tmp_path):
    with run.attempt(resumed=20):
        pass
    assert run_ckptrun("pin", "digits@10", "--reason", "so", cwd=tmp_path).returncode == 0
    other = Made(tmp_path / "runs", "branch")
    _branch(other, os.path.join(run.paths.checkpoints, "step-00000040"))
    told = document(tmp_path, "digits", "--keep-last", "1")
    assert {each["name"][-2:]: each["reasons"] for each in told["keep"]} == {
        "10": ["pinned"],
        "20": ["attempt 2 resumed from it"],
        "30": ["the best"],
        "40": ["run branch was branched from it"],
        "60": ["the newest complete one", "`latest` leads to it", "last 1"],
    }


def _branch(other, parent):
    import msgspec

    from ckptrun.runs import records

    records.write_run(other.paths, msgspec.structs.replace(records.read_run(other.paths), parent="digits@40"))
    with other.attempt() as attempt:
        pass
    records.write_attempt(attempt.where, msgspec.structs.replace(attempt.record, resumed_from=parent))


def test_what_somebody_has_open_stays(run, tmp_path):
    path = os.path.join(run.paths.checkpoints, "step-00000020", "model.pt")
    with support.Started(["sh", "-c", 'sleep 60 < "$0"', path], cwd=tmp_path) as holder:
        support.wait_until(lambda: any(path in os.readlink(f"/proc/{p.pid}/fd/0") for p in holder.tree()))
        told = document(tmp_path, "digits", "--keep-last", "1", "--yes")
    assert removed(told) == [10, 40, 50]
    assert any("open: sleep (pid" in reason for each in told["keep"] for reason in each["reasons"])


def test_the_young_stay(run, tmp_path):
    age(run.paths, 130)  # the last three are younger than a minute or two
    assert 60 not in removed(document(tmp_path, "digits", "--keep-last", "1"))
    assert removed(document(tmp_path, "digits", "--keep-first", "1")) == [20]


def test_a_newest_that_is_not_whole_does_not_count(run, tmp_path):
    """Its sizes are right and a byte of it is wrong: only reading it tells."""
    path = os.path.join(run.paths.checkpoints, "step-00000060", "model.pt")
    with open(path, "r+b") as file:
        file.write(b"x")
    told = document(tmp_path, "digits", "--keep-last", "1", "--yes", "--wait")
    assert steps(run) == [30, 50, 60]
    assert removed(told) == [10, 20, 40]


def test_a_run_that_runs_is_pruned_but_for_what_it_needs(run, tmp_path):
    with run.attempt(resumed=10) as attempt:
        attempt.save(70, loss=9.0)
        assert removed(document(tmp_path, "digits", "--keep-last", "1", "--yes", "--wait")) == [20, 40, 50, 60]
        assert ledger.read(run.paths.ledger)[-1]["event"] == "attempt_started"  # the ledger is its holder's
    assert steps(run) == [10, 30, 70]


def test_a_run_that_is_being_started_is_left_alone(run, tmp_path):
    with run.attempt() as attempt:
        os.unlink(attempt.where.json)
        assert "is held by" in prune(tmp_path, "digits", "--keep-last", "1", "--yes", code=69).stderr
        assert removed(document(tmp_path, "digits", "--keep-last", "1")) == [10, 20, 40, 50]
    assert len(steps(run)) == 6


def test_a_holder_on_a_lost_machine_may_still_run(run, tmp_path):
    with run.attempt(resumed=20):
        pass
    rewrite_holder(run, state="held", host="elsewhere", boot_id="another", pid=1)
    assert removed(document(tmp_path, "digits", "--keep-last", "1", "--yes", "--wait")) == [10, 40, 50]
    assert control.stopped(run.paths) is None


def test_gates(run, tmp_path):
    size = document(tmp_path, "digits", "--keep-last", "1")["bytes_freed"] // 4  # of each
    told = document(tmp_path, "digits", "--max-bytes", str(4 * size + 100))
    assert removed(told) == [10, 20]
    assert removed(document(tmp_path, "digits", "--keep-last", "1", "--until-free", "1")) == []
    wanting = prune(tmp_path, "digits", "--keep-last", "5", "--until-free", "900T")
    assert "are less than --until-free" in wanting.stderr


def test_thin_takes_the_optimizer_and_leaves_what_can_be_resumed(run, tmp_path):
    told = document(tmp_path, "digits", "--keep-last", "4", "--thin", "--yes", "--wait")
    assert [(each["name"][-2:], each["files"]) for each in told["thin"]] == [
        (name, [f"step-000000{name}/optimizer.pt"]) for name in ("30", "40")
    ]
    assert sorted(os.listdir(os.path.join(run.paths.checkpoints, "step-00000030"))) == ["checkpoint.json", "model.pt"]
    listed = json.loads(run_ckptrun("ls", "digits", "--json", cwd=tmp_path).stdout)["series"][0]
    assert (listed["best"], listed["latest"]) == ("step-00000030", "step-00000060")
    assert listed["checkpoints"][0]["reason"] == "thinned by ckptrun prune: optimizer.pt taken away"
    again = document(tmp_path, "digits", "--keep-last", "2", "--keep-best", "1", "--thin", "--yes", "--wait")
    assert (again["thin"], removed(again), steps(run)) == ([], [40], [30, 50, 60])


def test_thin_that_was_killed_is_finished(run, tmp_path):
    import msgspec

    from ckptrun.checkpoints import manifest

    folder = os.path.join(run.paths.checkpoints, "step-00000030")
    found = manifest.read(folder)
    stay = [entry for entry in found.files if entry.path != "optimizer.pt"]
    manifest.rewrite(folder, msgspec.structs.replace(found, files=stay, thinned=["optimizer.pt"]))
    assert len(document(tmp_path, "digits", "--keep-last", "-1", "--thin", "--yes", "--wait")["thin"]) == 4
    assert not os.path.exists(os.path.join(folder, "optimizer.pt"))


def test_any_directory(tmp_path, weird_path):
    """Files of a plain script: the trash lies beside their directory."""
    for number in (1, 2, 3, 4):
        path = weird_path / "out" / f"epoch_{number}.pt"
        support.write_files(weird_path, {f"out/epoch_{number}.pt": b"\x80\x02}q\x00."})
        os.utime(path, (time.time() - 9000 + number * 60,) * 2)
    os.link(weird_path / "out" / "epoch_4.pt", weird_path / "out" / "last.pt")
    told = document(tmp_path, str(weird_path / "out"), "--keep-last", "2", "--yes", "--wait")
    assert [each["name"] for each in told["remove"]] == ["epoch_1.pt", "epoch_2.pt"]
    assert sorted(os.listdir(weird_path / "out")) == ["epoch_3.pt", "epoch_4.pt", "last.pt"]
    assert os.listdir(weird_path / ".ckptrun" / "trash") == []


def test_thin_of_another_framework_is_marked_beside_it(tmp_path):
    for step in (100, 200, 300, 400):
        support.write_files(
            tmp_path,
            {f"out/checkpoint-{step}/{name}": b"\x80\x02}q\x00." for name in ("model.pt", "optimizer.pt", "x.json")},
        )
        for name in ("model.pt", "optimizer.pt", "x.json"):
            os.utime(tmp_path / "out" / f"checkpoint-{step}" / name, (time.time() - 9000 + step,) * 2)
    for _ in range(2):
        prune(tmp_path, "./out", "--keep-last", "4", "--thin", "--yes", "--wait")
        there = [len(os.listdir(tmp_path / "out" / f"checkpoint-{step}")) for step in (100, 200, 300, 400)]
        assert there == [2, 2, 3, 3]
    listed = json.loads(run_ckptrun("ls", "./out", "--json", cwd=tmp_path).stdout)["series"][0]
    assert [item["state"] for item in listed["checkpoints"]] == ["partial", "partial", "complete", "complete"]


def test_several_at_once_and_a_directory_of_runs(run, tmp_path):
    other = Made(tmp_path / "runs", "other")
    with other.attempt() as attempt:
        attempt.save(5)
        attempt.save(6)
    age(other.paths)
    assert removed(document(tmp_path, "digits", "other", "--keep-last", "1")) == [10, 20, 40, 50, 5]
    assert removed(document(tmp_path, "dig*", "digits", "--keep-last", "1")) == [10, 20, 40, 50]
    refused = prune(tmp_path, "./runs", "--keep-last", "1", code=2).stderr
    assert "holds runs" in refused
    assert "runs/digits" in refused
    assert removed(document(tmp_path, "./runs/digits/checkpoints", "--keep-last", "1", "--yes", "--wait")) == [
        10,
        20,
        40,
        50,
    ]


def test_two_prunes_at_once_leave_what_both_keep(run, tmp_path):
    both = [
        support.start_ckptrun("prune", "digits", "--keep-last", "1", *more, "--yes", "--wait", cwd=tmp_path)
        for more in (["--keep-first", "1"], ["--keep-every", "20"])
    ]
    codes = []
    for started in both:
        with started:
            codes.append(started.finish())
    assert set(codes) <= {0, 69, 1}, [started.text for started in both]
    assert {30, 60} <= set(steps(run))


def test_what_cannot_be_removed_is_an_error(run, tmp_path):
    for place in ("trash", ".ckptrun", "checkpoints/.ckptrun"):
        support.write_files(run.paths.dir, {place: "a file is in its place"})
    done = prune(tmp_path, "digits", "--keep-last", "1", "--yes", code=74)
    assert "step-00000010 could not be removed: " in done.stderr
    assert len(steps(run)) == 6
