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
        first, second = pairs(done.stdout)
        assert (first["run"], first["state"], first["attempt"]) == ("one", "running", "1")
        assert (first["step"], first["time left"]) == ("9 of 100, 3 steps/s", "about 30 s at this speed")
        assert first["deadline"].endswith("; it will not be through by then")
        assert first["last save"].startswith("step-00000005, ")
        assert first["next save"].startswith("in ")
        assert (second["run"], second["last save"]) == ("two", "nothing is saved yet")
        assert done.stderr == "1 run not running: `ckptrun ls` lists it\n"
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


def test_a_run_that_is_not_there(tmp_path, runs):
    Made(runs, "digits")
    done = run_ckptrun("status", "digit", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: did you mean digits?" in done.stderr
