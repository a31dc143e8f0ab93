"""The programs that a script finds before those on its PATH: Slurm's scontrol in a job, nothing elsewhere."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from support import run_ckptrun

JOB = {"SLURM_JOB_ID": "70"}  # no controller answers: nothing of this needs one
TELL = ("--", "sh", "-c", "command -v scontrol; echo path=$PATH; ls -ld ${PATH%%:*}")


@pytest.fixture
def tmp_path():
    """A short path: a longer TMPDIR is passed over, as a socket's path may be 107 bytes long."""
    path = tempfile.mkdtemp(prefix="ckp-", dir="/tmp")
    yield pathlib.Path(path)
    shutil.rmtree(path)
    shutil.rmtree(f"{path}.runs", ignore_errors=True)


def test_in_a_job_it_is_a_private_file_that_goes_with_the_attempt(tmp_path):
    done = run_ckptrun("train", "-q", *TELL, cwd=tmp_path, env={**JOB, "TMPDIR": str(tmp_path)})
    found, path, listed = done.stdout.splitlines()[-3:]
    folder = os.path.dirname(found)
    assert folder.startswith(f"{tmp_path}/ckptrun-")
    assert path == f"path={folder}:{os.environ['PATH']}"
    assert listed.startswith("drwx------")
    assert not os.path.exists(folder)


@pytest.mark.parametrize("env", [{}, {**JOB, "CKPTRUN_TRAIN_CATCH_REQUEUE": "no"}])
def test_elsewhere_and_where_it_is_not_wanted_there_is_none(tmp_path, env):
    done = run_ckptrun("train", "-q", *TELL, cwd=tmp_path, env=env)
    assert f"path={os.environ['PATH']}\n" in done.stdout


def test_a_job_without_a_path_still_finds_its_command(tmp_path):
    done = run_ckptrun("train", "-q", *TELL, cwd=tmp_path, env={**JOB, "PATH": None})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("path=")[1].split("\n")[0].endswith(f":{os.defpath}")


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("mount") is None, reason="mounting a filesystem needs root")
@pytest.mark.parametrize(("options", "why"), [("size=1m,noexec", "noexec"), ("size=4k", "No space left on device")])
def test_where_it_could_not_be_run_it_is_left_out_and_that_is_said(tmp_path, options, why):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "ckptrun-test", tmp_path], check=True)
    try:
        (tmp_path / "full").write_bytes(b"x" * 4096)
        done = run_ckptrun("train", *TELL, cwd="/", env={**JOB, "TMPDIR": str(tmp_path), "CKPTRUN_ROOT": f"{tmp_path}.runs"})
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)
    assert f"path={os.environ['PATH']}\n" in done.stdout, done.stderr
    assert why in done.stderr.split("when the script calls scontrol")[0]
