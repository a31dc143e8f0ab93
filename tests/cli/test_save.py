import json
import os
import signal
import time

from liverun import training
from runmaker import Made
from support import run_ckptrun, start_ckptrun, wait_until

from ckptrun import names


def save(here, *args):
    return run_ckptrun("save", *args, cwd=here)


def test_a_running_attempt_saves_and_goes_on(tmp_path):
    with training(tmp_path) as it:
        done = save(tmp_path, "live")
        assert done.returncode == 0, done.stderr
        path = done.stdout.strip()
        assert os.path.dirname(path) == str(tmp_path / "runs/live/checkpoints")
        assert done.stderr.startswith(f"run live: saved {os.path.basename(path)} in ")
        it.wait_for("^saved ")  # it goes on
        assert it.process.poll() is None
        document = json.loads(save(tmp_path, "--json", "live").stdout)
        assert (document["format"], document["run"], document["ok"]) == (1, "live", True)
        assert os.path.isfile(os.path.join(document["path"], "checkpoint.json"))
        assert document["checkpoint"] == os.path.basename(document["path"])
        with open(os.path.join(document["path"], "checkpoint.json")) as file:
            manifest = json.load(file)
        assert (manifest["reason"], bool(manifest["request"])) == ("request", True)


def test_a_save_that_kills_the_script_is_said_as_loudly(tmp_path):
    with training(tmp_path, "dies"):
        done = save(tmp_path, "live")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: run live was NOT saved: ")
    assert "the GPU has left" in done.stderr


def test_a_save_that_fails_is_said_as_loudly(tmp_path):
    with training(tmp_path, "fails"):
        done = save(tmp_path, "--timeout", "4s", "live")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: run live was NOT saved: ")
    assert "the GPU has left" in done.stderr


def test_no_answer_in_time(tmp_path):
    with training(tmp_path, "deaf"):
        done = save(tmp_path, "--timeout", "0.5s", "live")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: run live was NOT saved: no answer within 0." in done.stderr
    assert "it may still come" in done.stderr


def test_who_does_not_wait_has_asked(tmp_path):
    with training(tmp_path, "deaf"):
        done = save(tmp_path, "--no-wait", "live")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "asked attempt 1 of run live to save\n")
        wait_until((tmp_path / "runs/live/control/request.json").exists)
        assert json.loads((tmp_path / "runs/live/control/request.json").read_text())["action"] == "save"


def test_killed_while_somebody_waits(tmp_path):
    with training(tmp_path, "deaf") as it, start_ckptrun("save", "live", cwd=tmp_path) as asking:
        wait_until((tmp_path / "runs/live/control/request.json").exists)
        it.signal(signal.SIGKILL)
        asking.wait_for("was NOT saved: the attempt ended before it answered")
        assert asking.finish() == 1


def test_nobody_runs_it(tmp_path):
    with Made(tmp_path / "runs", "live").attempt():
        pass
    done = save(tmp_path, "live")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: run live was NOT saved: nobody runs it\n")
    assert json.loads(save(tmp_path, "--json", "live").stdout)["ok"] is False


def test_there_is_no_such_run(tmp_path):
    done = save(tmp_path, "live")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: there is no run live in" in done.stderr


def test_a_holder_on_this_machine_answers_at_once_and_not_at_its_next_heartbeat(tmp_path):
    with training(tmp_path):
        began = time.monotonic()
        assert save(tmp_path, "live").returncode == 0
        assert time.monotonic() - began < names.HEARTBEAT_SECONDS / 2
