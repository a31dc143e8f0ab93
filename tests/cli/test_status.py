import json
import time

import pytest
from runmaker import Made
from support import run_ckptrun

from ckptrun.runs import control


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def status(here, *args):
    done = run_ckptrun("status", *args, cwd=here)
    assert done.returncode == 0, done.stderr
    return done


def pairs(text):
    return [dict(line.split("\t", 1) for line in block.splitlines()) for block in text.split("\n\n")]


def test_nothing_runs(tmp_path, runs):
    done = status(tmp_path)
    assert (done.stdout, done.stderr) == ("", f"nothing is running in {runs}\n")
    with Made(runs, "old").attempt():
        pass
    done = status(tmp_path)
    assert done.stderr == f"nothing is running in {runs}\n1 run not running: `ckptrun ls` lists it\n"
    [old] = pairs(status(tmp_path, "old").stdout)
    assert (old["state"], old["why"]) == ("preempted", "SIGTERM")


def test_what_runs(tmp_path, runs):
    with Made(runs, "old").attempt():
        pass
    with Made(runs, "one").attempt() as one, Made(runs, "two").attempt():
        one.save(5)
        now = time.time()
        progress = control.Progress(
            attempt=1, state="running", step=9, total=100, steps_per_second=3.0, started=now, deadline=now + 5
        )
        control.write_progress(one.run, progress)
        done = status(tmp_path)
        head, first, second = [line.split("\t") for line in done.stdout.splitlines()]
        assert dict(zip(head, first, strict=True)) | {"last save": "", "limit": "", "where": ""} == {
            "run": "one",
            "values": "",
            "state": "running",
            "attempt": "1",
            "step": "9/100",
            "time left": "30 s",
            "last save": "",
            "limit": "",
            "where": "",
            "job": "",
            "remark": "",
            "path": str(runs / "one"),
        }
        assert (second[0], second[2]) == ("two", "running")
        assert done.stderr == "1 run not running: `ckptrun ls` lists it\n"
        [first], [second] = pairs(status(tmp_path, "one").stdout), pairs(status(tmp_path, "two").stdout)
        assert (first["run"], first["state"], first["attempt"]) == ("one", "running", "1")
        assert (first["step"], first["time left"]) == ("9 of 100, 3 steps/s", "about 30 s at this speed")
        assert first["deadline"].endswith("; it will not be through by then")
        assert first["last save"].startswith("step-00000005, ")
        assert first["next save"].startswith("in ")
        assert (second["run"], second["last save"]) == ("two", "nothing is saved yet")
        document = json.loads(status(tmp_path, "--json").stdout)
    assert document["format"] == 1
    old, one, two = document["runs"]
    assert (old["state"], one["state"], two["state"]) == ("ended", "running", "running")
    keys = {
        "state",
        "attempt",
        "attempts",
        "outcome",
        "step",
        "total",
        "steps_per_second",
        "started",
        "deadline",
        "last_save",
        "host",
        "job",
    }
    assert keys <= set(one)
    assert (one["step"], one["total"], one["steps_per_second"], one["job"]) == (9, 100, 3.0, None)


def test_all_that_match_stand_in_one_table_in_their_natural_order(tmp_path, runs):
    for number in (10, 2, 1):
        with Made(runs, f"sweep-{number}", sweep={"lr": 10.0**-number, "name": "a b"}).attempt():
            pass
    Made(runs, "other")
    lines = [line.split("\t") for line in status(tmp_path, "sweep-*", "sweep-1").stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["run", "values", "state"],
        ["sweep-1", "lr=0.1 name=a b", "preempted"],
        ["sweep-2", "lr=0.01 name=a b", "preempted"],
        ["sweep-10", "lr=1e-10 name=a b", "preempted"],
    ]
    document = json.loads(status(tmp_path, "sweep-?", "--json").stdout)
    assert [run["sweep"] for run in document["runs"]] == [{"lr": 0.1, "name": "a b"}, {"lr": 0.01, "name": "a b"}]
    assert [run["queue"] for run in document["runs"]] == [None, None]
    done = run_ckptrun("status", "swep-*", cwd=tmp_path)
    assert (done.returncode, f"error: no run in {runs} matches swep-*" in done.stderr) == (2, True)
    done = run_ckptrun("show", "sweep-*", cwd=tmp_path)
    assert "sweep-* names 3 runs, and one is wanted: sweep-1, sweep-2, sweep-10" in done.stderr
    assert "values\tlr=0.01 name=a b" in run_ckptrun("show", "sweep-2*", cwd=tmp_path).stdout


def test_a_run_that_is_not_there(tmp_path, runs):
    Made(runs, "digits")
    done = run_ckptrun("status", "digit", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: did you mean digits?" in done.stderr
