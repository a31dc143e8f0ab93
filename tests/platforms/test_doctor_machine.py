"""What the doctor says of a machine: filesystems that are full, read-only or slow to come by are made here and looked at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import ckptrun_argv, run_ckptrun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

root_only = pytest.mark.skipif(os.getuid() != 0 or shutil.which("mount") is None, reason="mounting a filesystem needs root")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a small tmpfs with these options, and takes it away."""
    places = []

    def make(options: str) -> Path:
        place = tmp_path / f"fs {len(places)}"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "ckptrun-test", place], check=True)
        places.append(place)
        return place

    yield make
    for place in places:
        subprocess.run(["umount", "--lazy", place], check=True)


def look(root: Path | str, cwd: Path | str, env: dict[str, str] | None = None) -> tuple[int, list[dict[str, str]]]:
    """The exit code but for what it says of Slurm, and the findings about this machine."""
    done = run_ckptrun("doctor", "--json", "--root", root, cwd=cwd, env=env)
    found = [each for each in json.loads(done.stdout)["findings"] if each["about"] in ("machine", "filesystem")]
    assert all(each["todo"] for each in found if each["level"] != "ok"), found
    return done.returncode, found


def said(found: list[dict[str, str]], text: str) -> str:
    (one,) = [each["level"] for each in found if text in each["text"]]
    return one


def test_a_healthy_machine(tmp_path):
    _, found = look(tmp_path / "runs", tmp_path)
    assert not [each for each in found if each["level"] == "problem"]
    for text in ("Python 3", "free", "locks hold", "renamed", "durable after"):
        assert said(found, text) in ("ok", "note")
    assert os.listdir(tmp_path) == []


@root_only
def test_a_full_disk(tmp_path, mounted):
    place = mounted("size=64k,nr_inodes=100")
    (place / "ballast").write_bytes(b"x" * 65536)
    code, found = look(place, tmp_path)
    assert code == 1
    assert said(found, ": 0 B free") == "problem"
    assert said(found, "No space left") == "problem"
    assert said(found, "in memory") == "note"
    assert os.listdir(place) == ["ballast"]


@root_only
def test_nearly_full_and_no_inodes_left(tmp_path, mounted):
    place = mounted("size=1m,nr_inodes=3")
    for name in ("a", "b"):
        (place / name).touch()
    code, found = look(place, tmp_path)
    assert code == 1
    assert said(found, "MB free") == "note"
    assert said(found, ": 0 more files") == "problem"
    assert said(found, "No space left") == "problem"


@root_only
def test_a_read_only_filesystem(tmp_path, mounted):
    place = mounted("ro")
    code, found = look(place / "runs", tmp_path)
    assert code == 1
    assert said(found, "mounted read-only") == "problem"
    assert said(found, "nothing can be written") == "problem"


@root_only
def test_a_temporary_directory_without_programs(tmp_path, mounted):
    place = mounted("size=1m,noexec,mode=1777")
    short = f"/tmp/ckptrun-test-{os.getpid()}"  # one that is too long is passed over
    os.symlink(place, short)
    try:
        _, found = look(tmp_path, tmp_path, {"TMPDIR": short})
    finally:
        os.unlink(short)
    assert said(found, "noexec") == "note"


def test_a_temporary_directory_that_is_not_there(tmp_path):
    code, found = look(tmp_path, tmp_path, {"TMPDIR": "/nowhere"})
    assert code == 1
    assert said(found, "nothing can be written in /nowhere") == "problem"


NAMESPACE = "unshare --user --map-root-user"
no_namespaces = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*NAMESPACE.split(), "true"], check=False, capture_output=True).returncode != 0,
    reason="user namespaces are switched off here, or there is no unshare",
)


@no_namespaces
def test_where_users_may_make_namespaces(tmp_path):
    _, found = look(tmp_path, tmp_path)
    assert said(found, "user namespaces") == "ok"


@no_namespaces
def test_where_users_may_not(tmp_path):
    inner = " ".join([*ckptrun_argv("doctor"), "--json"])
    forbidden = f"echo 0 > /proc/sys/user/max_user_namespaces && {inner}"  # counts below this namespace only
    done = subprocess.run(
        [*NAMESPACE.split(), "sh", "-c", forbidden], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)["findings"]
    (one,) = [each for each in found if "no mounts of their own" in each["text"]]
    assert (one["level"], "user.max_user_namespaces=0" in one["text"]) == ("note", True)
    assert "sysctl user.max_user_namespaces" in one["todo"]


def test_a_directory_that_cannot_be_written_is_a_problem(tmp_path):
    done = run_ckptrun("doctor", "--root", "/proc/runs", cwd=tmp_path)
    assert done.returncode == 1
    assert "nothing can be written in /proc" in done.stdout
