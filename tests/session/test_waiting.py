"""Two starts of one run: the second ends with 69, or waits (`--if-held wait`) until the run is free, and no longer than it may."""

import json
import signal

import pytest
from liverun import FOREVER, training
from support import run_ckptrun, start_ckptrun


def second(here, *options, total=1):
    words = ("train", "--run", "live", "--if-held", "wait", "--every", "25", *options, "train.py", "listens", str(total))
    return start_ckptrun(*words, cwd=here)


def waits(it):
    return it.wait_for(r"run live is held by .*attempt 1.*; waiting until it is free$")


def attempts(here):
    return len(list((here / "runs/live/attempts").iterdir()))


def test_it_goes_on_when_the_first_was_preempted(tmp_path):
    with training(tmp_path) as first, second(tmp_path, "--changed") as it:
        waits(it)
        first.wait_for("^saved ")
        first.signal(signal.SIGTERM)
        assert first.finish() == 75
        assert it.finish() == 0
        assert "run live, attempt 2: going on after step " in it.text
        assert it.text.count("waiting until it is free") == 1


def test_there_is_nothing_to_do_when_the_first_has_completed(tmp_path):
    with training(tmp_path, total=150) as first, second(tmp_path, total=150) as it:
        waits(it)
        assert first.finish() == 0
        assert it.finish() == 0
        assert "run live is complete" in it.text
    assert attempts(tmp_path) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_the_wait(tmp_path, number, code):
    with training(tmp_path), second(tmp_path) as it:
        waits(it)
        it.signal(number)
        assert it.finish() == code
        assert f"asked to stop (signal {int(number)}) before the script was started: nothing was run" in it.text
    assert attempts(tmp_path) == 1


def test_a_signal_that_means_nothing_yet_does_not(tmp_path):
    with training(tmp_path), second(tmp_path) as it:
        waits(it)
        for number in (signal.SIGUSR2, signal.SIGCONT):
            it.signal(number)
        it.signal(signal.SIGTERM)
        assert it.finish() == 75


def test_a_stop_of_the_run_is_meant_for_both(tmp_path):
    with training(tmp_path) as first, second(tmp_path) as it:
        waits(it)
        assert run_ckptrun("stop", "live", cwd=tmp_path).returncode == 0
        assert first.finish() == 93
        assert it.finish() == 93
        assert "run live is not started: while this start waited for it, it was stopped by " in it.text
    assert attempts(tmp_path) == 1


def test_a_dry_run_says_whom_it_would_wait_for(tmp_path):
    script = ("train.py", "listens", str(FOREVER))
    with training(tmp_path) as first:
        words = ("train", "--run", "live", "--dry-run", "--json", "--if-held")
        waiting = run_ckptrun(*words, "wait", *script, cwd=tmp_path)
        ended = run_ckptrun(*words, "end", *script, cwd=tmp_path)
    assert (waiting.returncode, f"pid {first.pid}" in json.loads(waiting.stdout)["waits_for"]) == (0, True)
    assert (ended.returncode, "is held by" in json.loads(ended.stdout)["refused"]) == (69, True)
