"""What code an attempt ran: the git commit of a directory and the digest of a script, without starting git."""

from __future__ import annotations

import os
import re

from ckptrun.runs import durable

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SMALL = 1 << 20  # bytes: HEAD, a ref, a .git file
_LARGE = 64 << 20  # bytes: packed-refs of a very large repository
_DIGESTED = 16 << 20  # bytes of a script that count; its size counts whole


def commit(cwd: str) -> str:
    """The commit that is checked out in `cwd`, "" if there is none or it cannot be told. Uncommitted changes are not seen."""
    try:
        git = _git_directory(os.path.abspath(cwd))
        if not git:
            return ""
        return _resolve(git, _text(os.path.join(git, "HEAD")))
    except (OSError, ValueError):
        return ""


def script_digest(path: str) -> str:
    """XXH3-64 (hex) of a file's first 16 MiB and its size, "" if it cannot be read."""
    import xxhash  # noqa: PLC0415  # only when there is a script

    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            digest = xxhash.xxh3_64(file.read(_DIGESTED))
            digest.update(str(os.fstat(file.fileno()).st_size).encode())
    except OSError:
        return ""
    text: str = digest.hexdigest()
    return text


def _git_directory(directory: str) -> str:
    """The nearest .git upwards; a worktree's and a submodule's is a file that names it. `man gitrepository-layout`."""
    while True:
        path = os.path.join(directory, ".git")
        if os.path.isdir(path):
            return path
        if os.path.isfile(path):
            named = _text(path).removeprefix("gitdir:").strip()
            return os.path.join(directory, named)
        parent = os.path.dirname(directory)
        if parent == directory:
            return ""
        directory = parent


def _resolve(git: str, head: str) -> str:
    for _ in range(5):  # symbolic refs may point to symbolic refs: as many as git follows
        if not head.startswith("ref:"):
            return head if _COMMIT.fullmatch(head) else ""
        ref = head.removeprefix("ref:").strip()
        if ".." in ref.split("/"):
            return ""
        head = _ref(git, ref)
    return ""


def _ref(git: str, ref: str) -> str:
    loose = [os.path.join(place, ref) for place in (git, _common(git))]
    if found := next((path for path in loose if os.path.isfile(path)), ""):
        return _text(found)
    for line in durable.read(os.path.join(_common(git), "packed-refs"), limit=_LARGE).decode().splitlines():
        value, _, name = line.partition(" ")
        if name == ref:
            return value
    return ""


def _common(git: str) -> str:
    try:
        return os.path.join(git, _text(os.path.join(git, "commondir")))
    except OSError:
        return git


def _text(path: str) -> str:
    return durable.read(path, limit=_SMALL).decode().strip()
