"""Removing from a run without being its holder: never under a start's feet, and no start is turned away because of it."""

import os
import time

import pytest
from runmaker import Made, me, rewrite_holder
from support import start_ckptrun, write_files

from ckptrun import errors
from ckptrun.session import permission


@pytest.fixture
def run(tmp_path):
    made = Made(tmp_path / "runs", "r", ["{python}", "t.py"])
    with made.attempt() as attempt:
        attempt.save(1)
    write_files(tmp_path, {"t.py": "print('started', flush=True)\nimport sys; sys.stdin.read()\n"})
    return made


def asks_on(allowed, seconds=60.0):
    """As a prune of very many does, without a pause of its own."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        allowed()


def test_a_start_waits_for_a_prune_and_stops_it(run, tmp_path):
    """The run's lock is taken a quarter of a second at a time; who starts it meanwhile gets it, and the prune looks again."""
    allowed = permission.of(run.paths, me())
    allowed()
    with start_ckptrun("train", "--run", "r", "--changed", "t.py", cwd=tmp_path) as started:
        with pytest.raises(permission.Changed):
            asks_on(allowed)
        allowed.close()
        started.wait_for("^started")


def test_another_attempt_is_noticed(run):
    allowed = permission.of(run.paths, me())
    assert allowed.idle
    with run.attempt(), pytest.raises(permission.Changed):
        allowed()
    allowed.close()
    again = permission.of(run.paths, me())
    again()
    rewrite_holder(run, attempt=9)
    with pytest.raises(permission.Changed):
        again._require_same()
    again.close()


def test_of_a_running_one_it_is_allowed_as_long_as_it_is_the_same(run):
    with run.attempt() as attempt:
        allowed = permission.of(run.paths, me())
        assert not allowed.idle
        allowed()
        os.unlink(attempt.where.json)
        with pytest.raises(errors.Leased):
            permission.of(run.paths, me())
    with pytest.raises(permission.Changed):
        allowed()
    allowed.close()


def test_where_there_is_no_run_nobody_is_asked():
    allowed = permission.of(None, me())
    allowed()
    allowed.close()
