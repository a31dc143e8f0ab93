"""The lock file: empty, ours, never replaced, and never a soft lock."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
import support

from ckptrun import errors
from ckptrun.runs import lock

TRY = "import sys; from ckptrun.runs import lock; print(lock.Lock(sys.argv[1]).acquire())"


def of_another_process(path):
    return support.run([sys.executable, "-c", TRY, path], cwd="/").stdout.strip()


def test_it_is_an_empty_file_that_stays_the_same_through_everything(tmp_path):
    path = str(tmp_path / "lease.lock")
    one = lock.Lock(path)
    assert one.acquire() == lock.HELD
    before = os.stat(path)
    assert (before.st_size, stat.S_IMODE(before.st_mode)) == (0, 0o600)
    assert of_another_process(path) == lock.REFUSED
    assert lock.Lock(path).acquire() == lock.REFUSED
    one.release()
    one.release()
    assert of_another_process(path) == lock.HELD
    after = os.stat(path)
    assert (after.st_ino, after.st_size, after.st_mode) == (before.st_ino, 0, before.st_mode)
    assert os.listdir(tmp_path) == ["lease.lock"]


@pytest.mark.parametrize("thing", ["directory", "fifo", "link", "dangling link"])
def test_something_else_in_its_place_is_refused(tmp_path, thing):
    path, victim = tmp_path / "lease.lock", tmp_path / "victim"
    victim.write_text("")
    {"directory": path.mkdir, "fifo": lambda: os.mkfifo(path), "link": lambda: path.symlink_to(victim)}.get(
        thing, lambda: path.symlink_to("nowhere")
    )()
    with pytest.raises(errors.CannotCreate, match="not a regular file"):
        lock.Lock(str(path)).acquire()


@pytest.mark.parametrize("error", ["ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def test_where_flock_is_missing_there_is_no_lock_and_no_marker_file_either(tmp_path, error, strace):
    path = str(tmp_path / "lease.lock")
    command = [strace, "-f", "-qq", "-o", os.devnull, "-e", f"inject=flock:error={error}", sys.executable, "-c", TRY, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=support.clean_env())
    assert done.stdout.strip() == lock.MISSING
    assert os.listdir(tmp_path) == ["lease.lock"]


def test_other_errors_of_flock_are_said(tmp_path, strace):
    command = [strace, "-f", "-qq", "-o", os.devnull, "-e", "inject=flock:error=EIO", sys.executable, "-c", TRY]
    done = subprocess.run(
        [*command, str(tmp_path / "l")], capture_output=True, text=True, check=False, env=support.clean_env()
    )
    assert "IoFailure" in done.stderr
    assert "Input/output error" in done.stderr


def test_the_lock_goes_with_its_process_and_not_with_a_child(tmp_path):
    path = str(tmp_path / "lease.lock")
    script = (
        "import subprocess, sys, time\nfrom ckptrun.runs import lock\nheld = lock.Lock(sys.argv[1])\nprint(held.acquire(), flush=True)\n"
        "child = subprocess.Popen(['sleep', '1000'])\nprint('ready', child.pid, flush=True)\ntime.sleep(1000)"
    )
    with support.Started([sys.executable, "-c", script, path], cwd="/") as holder:
        child = int(holder.wait_for(r"ready (\d+)")[1])
        assert of_another_process(path) == lock.REFUSED
        holder.process.kill()
        holder.process.wait()
        assert os.path.exists(f"/proc/{child}")
        assert of_another_process(path) == lock.HELD
        os.kill(child, 9)
