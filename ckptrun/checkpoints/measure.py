"""The files of a checkpoint: names, sizes, times, inodes. One listing for each directory, one stat for each file that is asked about."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Measured(Noun, frozen=True, kw_only=True):
    """Names relative to the directory that holds the checkpoint. `whole`: all files were looked at."""

    files: list[str] = []
    size: int = 0  # bytes, each inode counted once: hard links are common
    time: float = 0.0  # of the newest modification
    sizes: dict[str, int] = {}
    inodes: frozenset[tuple[int, int]] = frozenset()
    whole: bool = False


def nothing(files: Sequence[str]) -> Measured:
    """Names alone."""
    return Measured(files=list(files))


def listed(name: str, inside: Iterable[str]) -> Measured:
    """What was listed of a directory."""
    return Measured(files=sorted(f"{name}/{each}" for each in inside))


def measure(
    directory: str,
    entries: Sequence[str],
    *,
    deep: bool = True,
    seen: Callable[[str], list[os.DirEntry[str]] | None] = lambda _: None,
) -> Measured:
    """The files that `entries` of `directory` are and hold; links are not followed into directories. Not `deep`: only the entries.

    `seen` has what was listed already.
    """
    found: dict[str, os.stat_result] = {}
    whole = True
    for name in entries:
        path = os.path.join(directory, name)
        if deep and (inside := seen(path)) is not None:
            _among(directory, name, inside, found)
            continue
        state = _stat(path)
        if state is None:
            continue
        if not stat.S_ISDIR(state.st_mode):
            found[name] = state
        elif deep:
            _walk(directory, name, found)
        else:
            found[name], whole = state, False
    return _measured(found, whole=whole)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _walk(directory: str, name: str, found: dict[str, os.stat_result]) -> None:
    try:
        with os.scandir(f"{directory}/{name}") as entries:
            inside = list(entries)
    except OSError:
        return
    _among(directory, name, inside, found)


def _among(directory: str, name: str, inside: list[os.DirEntry[str]], found: dict[str, os.stat_result]) -> None:
    for entry in inside:
        path = f"{name}/{entry.name}"
        try:
            if entry.is_dir(follow_symlinks=False):
                _walk(directory, path, found)
            else:
                found[path] = entry.stat()
        except OSError:
            continue  # gone, or a link to nothing


def _measured(found: dict[str, os.stat_result], *, whole: bool) -> Measured:
    files = {name: state for name, state in found.items() if not stat.S_ISDIR(state.st_mode)}
    inodes = {(state.st_dev, state.st_ino): state.st_size for state in files.values()}
    return Measured(
        files=sorted(files),
        size=sum(inodes.values()),
        time=max((state.st_mtime for state in found.values()), default=0.0),
        sizes={name: state.st_size for name, state in files.items()},
        inodes=frozenset(inodes),
        whole=whole,
    )
