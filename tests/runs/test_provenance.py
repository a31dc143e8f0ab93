"""The commit that is checked out, read from git's own files, against git itself."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import support

from ckptrun.runs import provenance


@pytest.fixture
def git(tmp_path):
    """Runs git in a new repository with two commits; returns its output."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    repo = tmp_path / "repo"
    repo.mkdir()
    env = support.clean_env({"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)})
    names = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    ]

    def call(*args, cwd=repo):
        done = subprocess.run(["git", *names, *args], cwd=cwd, env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    call("init", "-q")
    (repo / "sub").mkdir()
    (repo / "sub" / "train.py").write_text("print()")
    call("add", ".")
    call("commit", "-q", "-m", "one")
    call("commit", "-q", "--allow-empty", "-m", "two")
    call.repo = repo
    return call


def agrees(git, where):
    expected = git("rev-parse", "HEAD", cwd=where)
    assert provenance.commit(str(where)) == expected
    assert len(expected) == 40


def test_a_branch_below_the_top(git):
    agrees(git, git.repo)
    agrees(git, git.repo / "sub")


def test_packed_refs_and_tags(git):
    git("tag", "-a", "v1", "-m", "v1")
    git("pack-refs", "--all")
    assert not (git.repo / ".git/refs/heads/main").exists()
    agrees(git, git.repo)


def test_a_detached_head_and_a_branch_with_slashes(git):
    git("checkout", "-q", "HEAD~1")
    agrees(git, git.repo)
    git("checkout", "-q", "-b", "a/b/c")
    agrees(git, git.repo)


def test_a_worktree_and_a_submodule(git, tmp_path):
    git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"), "HEAD~1")
    agrees(git, tmp_path / "side")
    git("pack-refs", "--all")
    agrees(git, tmp_path / "side")
    git("submodule", "add", "-q", str(git.repo), "module")
    agrees(git, git.repo / "module")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {".git/HEAD": ""},
        {".git/HEAD": "noise"},
        {".git/HEAD": b"\xff\xfe"},
        {".git/HEAD": "ref: refs/heads/missing\n"},
        {".git/HEAD": "ref: HEAD\n"},
        {".git/HEAD": "ref: ../../../../etc/passwd\n"},
        {".git/HEAD": "ref: refs/heads/.invalid\n", ".git/packed-refs": "noise\n\n"},
        {".git": "gitdir: /nowhere\n"},
        {".git": "noise"},
        {".git": b"\0\xff"},
    ],
    ids=range(11),
)
def test_where_nothing_can_be_told_nothing_is_said(tmp_path, files):
    support.write_files(tmp_path, files)
    assert provenance.commit(str(tmp_path)) == ""


def test_a_newborn_repository(tmp_path, git):
    (tmp_path / "new").mkdir()
    git("init", "-q", cwd=tmp_path / "new")
    assert provenance.commit(str(tmp_path / "new")) == ""


def test_a_fifo_in_the_place_of_head_blocks_nobody(tmp_path):
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".git" / "HEAD")
    assert provenance.commit(str(tmp_path)) == ""


def test_a_digest_changes_with_the_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("one")
    first = provenance.script_digest(str(script))
    assert first == provenance.script_digest(str(script))
    assert len(first) == 16
    script.write_text("two")
    assert provenance.script_digest(str(script)) != first
    assert provenance.script_digest(str(tmp_path / "missing")) == ""
    assert provenance.script_digest(str(tmp_path)) == ""


def test_a_very_large_program_is_told_apart_by_its_size_too(tmp_path):
    digests = set()
    for size in (17 << 20, 18 << 20):
        with open(tmp_path / "program", "wb") as file:
            file.truncate(size)
        digests.add(provenance.script_digest(str(tmp_path / "program")))
    assert len(digests) == 2
