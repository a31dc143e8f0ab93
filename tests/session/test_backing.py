"""`--backup-to`: who loses the machine and all that is on it goes on after the newest backup."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time

import pytest
from backup.servers import SECRET, s3_server
from support import run_ckptrun, start_ckptrun, write_files

from ckptrun import names

# Saves at every step, holding the number of the step; goes on from there.
SCRIPT = """
import os, sys, time
import ckptrun
run = ckptrun.attach()
start = run.resume_step + 1 if run.resume_from else 0
print(f"starting at {start}", flush=True)
for step in range(start, int(sys.argv[1])):
    time.sleep(0.05)
    if run.should_save(step, total=int(sys.argv[1])):
        with run.checkpoint(step) as folder:
            (folder / "state").write_bytes(b"%d" % step * 1000)
        print(f"saved {step}", flush=True)
    if run.should_stop:
        break
else:
    run.done()
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server


@pytest.fixture(params=["directory", "s3"])
def safe(request, s3, tmp_path):
    """Where to, and with which environment."""
    write_files(tmp_path, {"train.py": SCRIPT})
    return ("safe", {}) if request.param == "directory" else (f"s3://bucket/{tmp_path.name}", s3.env)


def train(to, *more, steps="100000"):
    return ("train", "--run", "it", "--every", "1", "--backup-to", to, "--backup-every", "100ms", *more, "train.py", steps)


def lose_the_machine(tmp_path):
    shutil.rmtree(tmp_path / "runs")


@pytest.mark.timeout(240)
def test_a_lost_machine_costs_what_came_after_the_newest_backup(safe, tmp_path):
    to, env = safe
    with start_ckptrun(*train(to, "-v"), cwd=tmp_path, env=env) as it:
        it.wait_for("starting at 0")
        it.wait_for("backed up: ")
        it.wait_for("backed up: ")
        it.kill_tree()
    step = max(int(line.split()[1]) for line in it.text.splitlines() if line.startswith("saved "))
    lose_the_machine(tmp_path)
    would = run_ckptrun(*train(to, "--dry-run"), cwd=tmp_path, env=env)
    assert "there is nothing of the run on this machine" in would.stdout
    assert not (tmp_path / "runs").exists()
    with start_ckptrun(*train(to), cwd=tmp_path, env=env) as it:
        it.wait_for(r"fetched checkpoints/step-\d+")
        resumed = int(it.wait_for(r"attempt 2: going on after step (\d+)")[1])
        it.wait_for(f"starting at {resumed + 1}$")
        assert 0 < resumed <= step
        it.signal(signal.SIGTERM)
        assert it.finish() == 75, it.text
    last = max(int(line.split()[1]) for line in it.text.splitlines() if line.startswith("saved "))
    assert f"backed up: {to if '://' in to else tmp_path / to}/it/step-{last:08d}" in it.text, "said without being asked"
    ledger = (tmp_path / "runs/it/ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in ledger if '"backed_up"' in line][-1] == f"step-{last:08d}"
    lose_the_machine(tmp_path)
    done = run_ckptrun(*train(to, steps=str(last + 2)), cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert f"attempt 3: going on after step {last}" in done.stderr  # the last one before the end was sent, too


@pytest.mark.timeout(240)
def test_what_cannot_be_asked_starts_nothing_and_fresh_does_not_ask(s3, tmp_path):
    write_files(tmp_path, {"train.py": SCRIPT})
    gone = {**s3.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    done = run_ckptrun(*train("s3://bucket/x", steps="3"), cwd=tmp_path, env=gone)
    assert done.returncode == names.EXIT_IO
    assert "cannot be fetched" in done.stderr
    assert not list((tmp_path / "runs/it/attempts").iterdir())
    done = run_ckptrun(*train("s3://bucket/x", "--fresh", steps="3"), cwd=tmp_path, env=gone)
    assert done.returncode == 0  # what a backup does never changes how a training ends
    assert "NOT backed up" in done.stderr


@pytest.mark.timeout(240)
def test_a_deadline_is_kept_and_what_was_not_sent_is_said(s3, tmp_path):
    write_files(tmp_path, {"train.py": SCRIPT})
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a network that swallows everything
        env = {**s3.env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with start_ckptrun(*train("s3://bucket/x", "--fresh", "--grace", "4s"), cwd=tmp_path, env=env) as it:
            it.wait_for("^saved 1$")
            it.signal(signal.SIGTERM)
            asked = time.monotonic()
            assert it.finish() == 75, it.text
            assert time.monotonic() - asked < 8
    assert "NOT wholly backed up to s3://bucket/x: there was no more time" in it.text


def test_no_secret_in_the_run(tmp_path):
    write_files(tmp_path, {"train.py": SCRIPT})
    to = f"sftp://ana:{SECRET}@127.0.0.1:1/x"
    done = run_ckptrun(*train(to, "--fresh", "-v", steps="2"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NOT backed up to sftp://***@127.0.0.1:1/x" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    shown = run_ckptrun("show", "it", "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["settings"]["backup.to"]["value"] == "sftp://***@127.0.0.1:1/x"
    for where, _, files in os.walk(tmp_path / "runs"):
        for name in files:
            with open(os.path.join(where, name), "rb") as file:
                assert SECRET.encode() not in file.read(), name


def test_a_password_does_not_get_into_a_batch_script(tmp_path):
    write_files(tmp_path, {"train.py": SCRIPT})
    done = run_ckptrun("submit", "--print", "--backup-to", f"sftp://ana:{SECRET}@nas/x", "train.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "its password would stand in the batch script" in done.stderr
    assert SECRET not in done.stderr
