import json
import signal

import pytest
from liverun import training
from runmaker import Made
from support import run_ckptrun, start_ckptrun

from ckptrun import names


def wait(here, *args):
    return run_ckptrun("wait", *args, cwd=here)


@pytest.mark.parametrize(
    ("outcome", "code"), [(names.COMPLETED, 0), (names.PREEMPTED, 75), (names.FAILED, 3), (names.STOPPED_BY_USER, 130)]
)
def test_the_code_is_the_run_s(tmp_path, outcome, code):
    with Made(tmp_path / "runs", "live").attempt(outcome=outcome, exit_code=code, why="so it was"):
        pass
    done = wait(tmp_path, "live")
    assert (done.returncode, done.stderr) == (code, f"run live, attempt 1 {outcome}: so it was\n")


def test_nobody_knows_how_it_ended(tmp_path):
    with Made(tmp_path / "runs", "live").attempt(outcome=""):
        pass
    done = wait(tmp_path, "live")
    assert done.returncode == 1
    assert "attempt 1 ended without a word" in done.stderr


def test_until_it_is_complete(tmp_path):
    with training(tmp_path, total=60) as it, start_ckptrun("wait", "live", cwd=tmp_path) as waiting:
        assert waiting.finish() == 0
        assert it.finish() == 0
        assert "run live, attempt 1 completed: " in waiting.text


def test_until_a_checkpoint_until_a_step(tmp_path):
    with training(tmp_path):
        done = wait(tmp_path, "--checkpoint", "live")
        assert (done.returncode, done.stderr[:27]) == (0, "run live has saved step-000")
        done = wait(tmp_path, "--step", "60", "--checkpoint", "live")
        assert done.returncode == 0
        assert int(done.stderr.split("step-")[1]) >= 60
        assert wait(tmp_path, "--step", "1", "live").stderr.startswith("run live has reached step ")
        done = wait(tmp_path, "--step", "900000", "--timeout", "1s", "live")
        assert (done.returncode, done.stderr) == (1, "run live has not reached step 900000 within 1.0 s\n")


def test_complete_before_it_came_so_far(tmp_path):
    with Made(tmp_path / "runs", "live").attempt(outcome=names.COMPLETED, exit_code=0, why="done", last_step=5):
        pass
    done = wait(tmp_path, "--step", "6", "live")
    assert done.returncode == 1
    assert done.stderr == "run live, attempt 1 completed: done; it has not reached step 6\n"
    document = json.loads(wait(tmp_path, "--json", "--step", "6", "live").stdout)
    assert (document["outcome"], document["reached"], document["exit_code"], document["running"]) == (
        "completed",
        False,
        1,
        False,
    )
    assert wait(tmp_path, "--step", "5", "live").returncode == 0


def test_through_a_preemption(tmp_path):
    with training(tmp_path, total=100) as it, start_ckptrun("wait", "--restarts", "live", cwd=tmp_path) as waiting:
        it.wait_for("^saved ")
        it.signal(signal.SIGTERM)
        assert it.finish() == 75
        with training(tmp_path, total=100) as again:
            assert waiting.process.poll() is None
            assert again.finish() == 0
        assert waiting.finish() == 0
        assert "run live, attempt 2 completed: " in waiting.text


def test_until_all_have_ended(tmp_path):
    runs = tmp_path / "runs"
    with Made(runs, "r-10").attempt(outcome=names.FAILED, exit_code=3, why="so it was"):
        pass
    with Made(runs, "r-2").attempt(outcome=names.COMPLETED, exit_code=0, why="done"):
        with start_ckptrun("wait", "--timeout", "0.1s", "r-*", cwd=tmp_path) as early:
            assert early.finish() == 1
        assert "run r-2 has not ended within " in early.text
    done = wait(tmp_path, "r-*")
    assert (done.returncode, done.stderr) == (
        3,
        "run r-2, attempt 1 completed: done\nrun r-10, attempt 1 failed: so it was\n",
    )
    assert wait(tmp_path, "r-2", "r-2").returncode == 0


def test_there_is_no_such_run(tmp_path):
    assert wait(tmp_path, "live").returncode == 2


def test_interrupted(tmp_path):
    with training(tmp_path), start_ckptrun("wait", "live", "--step", "999999", cwd=tmp_path) as waiting:
        wait(tmp_path, "--checkpoint", "live")
        waiting.signal(signal.SIGINT)
        assert waiting.finish() == 130
    assert json.loads((tmp_path / "runs/live/attempts/0001/attempt.json").read_text())["attempt"] == 1
