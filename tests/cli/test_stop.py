import json

import pytest
from liverun import training
from runmaker import Made, rewrite_holder
from support import run_ckptrun, start_ckptrun

from ckptrun import names


def stop(here, *args):
    return run_ckptrun("stop", *args, cwd=here)


def mark(here, run="live"):
    return json.loads((here / "runs" / run / "control" / "stopped.json").read_text())


def test_it_saves_stops_and_stays_stopped(tmp_path):
    with (
        training(tmp_path) as it,
        start_ckptrun("logs", "-f", "live", cwd=tmp_path) as logs,
        start_ckptrun("wait", "live", cwd=tmp_path) as wait,
    ):
        done = stop(tmp_path, "--reason", "node needed", "live")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith("run live is stopped, ")
        assert ": saved step-" in done.stderr
        assert it.finish() == 93
        assert wait.finish() == 93
        assert "run live, attempt 1 stopped: ckptrun stop (node needed) by " in wait.text
        assert logs.finish() == 0
        assert logs.text == (tmp_path / "runs/live/attempts/0001/log.txt").read_text()
    assert mark(tmp_path)["by"]
    again = run_ckptrun(
        "train",
        "--run",
        "live",
        "--every",
        "25",
        "train.py",
        "listens",
        "1000000",
        cwd=tmp_path,
        env={"SLURM_RESTART_COUNT": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n"},
    )
    assert again.returncode == 93, again.stderr


def test_now_does_not_wait_for_a_save(tmp_path):
    with training(tmp_path, "deaf") as it:
        done = stop(tmp_path, "--now", "live")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith("run live is stopped at once")
        assert it.finish() == 93
    assert mark(tmp_path)["by"]


def test_stopped_and_not_saved_is_said_loudly(tmp_path):
    with training(tmp_path, "fails", "--grace", "2s") as it:
        done = stop(tmp_path, "live")
        assert (done.returncode, done.stdout) == (1, "")
        assert "error: run live is stopped, but was NOT saved: step " in done.stderr
        assert "the GPU has left" in done.stderr
        assert "hint: `ckptrun show live/1` tells what happened" in done.stderr
        assert it.finish() == 93


def test_not_answered_in_time(tmp_path):
    with training(tmp_path, "deaf"):
        done = stop(tmp_path, "--timeout", "0.5s", "--json", "live")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["attempt"]) == (1, False, 1)
    assert "has NOT answered" in document["text"]


def test_who_does_not_wait_has_asked(tmp_path):
    with training(tmp_path) as it:
        done = stop(tmp_path, "--no-wait", "live")
        assert (done.returncode, done.stderr) == (0, "asked attempt 1 of run live to save and stop\n")
        assert it.finish() == 93


@pytest.mark.parametrize(("outcome", "marked"), [(names.PREEMPTED, True), ("", True), (names.COMPLETED, False)])
def test_a_run_that_waits_to_be_started_again_stays_stopped(tmp_path, outcome, marked):
    run = Made(tmp_path / "runs", "live")
    with run.attempt(outcome=outcome):
        pass
    done = stop(tmp_path, "--reason", "enough", "live")
    assert done.returncode == 0, done.stderr
    if marked:
        assert done.stderr == "run live is not running; a scheduler will not start it again (you can)\n"
        assert (mark(tmp_path)["reason"], mark(tmp_path)["attempt"]) == ("enough", 1)
    else:
        assert done.stderr == "run live is complete: there is nothing to stop\n"


def test_a_holder_that_is_not_heard_of_is_asked_and_the_run_stays_stopped(tmp_path):
    run = Made(tmp_path / "runs", "live")
    with run.attempt(outcome=""):
        rewrite_holder(run, host="node9", boot_id="another", beaten=3600)
        done = stop(tmp_path, "--timeout", "0.3s", "--reason", "enough", "live")
    assert done.returncode == 1
    assert "error: run live has NOT answered after " in done.stderr
    assert (mark(tmp_path)["reason"], mark(tmp_path)["attempt"]) == ("enough", 1)


def test_all_that_match_are_asked_at_once(tmp_path):
    for number in (1, 2):
        Made(tmp_path / "runs", f"other-{number}")
    with training(tmp_path) as it:
        done = stop(tmp_path, "--json", "live", "other-*")
        assert it.finish() == 93
    assert done.returncode == 0, done.stderr
    live, *others = json.loads(done.stdout)["runs"]
    assert (live["run"], live["outcome"], live["text"].startswith("is stopped, ")) == ("live", "stopped", True)
    assert [(each["run"], each["ok"], each["attempt"]) for each in others] == [
        ("other-1", True, None),
        ("other-2", True, None),
    ]
    assert mark(tmp_path, "other-1")["by"] == mark(tmp_path, "other-2")["by"]
    waited = run_ckptrun("wait", "--json", "*", cwd=tmp_path)
    assert waited.returncode == 93
    assert [each["exit_code"] for each in json.loads(waited.stdout)["runs"]] == [93, 93, 93]


def test_one_that_was_not_saved_is_enough_for_the_code(tmp_path):
    Made(tmp_path / "runs", "other")
    with training(tmp_path, "fails", "--grace", "2s") as it:
        done = stop(tmp_path, "other", "live")
        assert it.finish() == 93
    assert done.returncode == 1
    assert "run other is not running; " in done.stderr
    assert "error: run live is stopped, but was NOT saved" in done.stderr


def test_there_is_no_such_run(tmp_path):
    done = stop(tmp_path, "live")
    assert (done.returncode, done.stdout) == (2, "")
