"""The checkpoints that words name, as `verify` and `seal` take them: runs and patterns of runs, attempts, checkpoints, directories, files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import errors, names
from ckptrun.checkpoints import kinds
from ckptrun.layouts import naming
from ckptrun.model import Checkpoint
from ckptrun.report import gather, refs
from ckptrun.report.gather import Wish

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ckptrun.layouts.catalogue import Layout


def checkpoints(words: Sequence[str], *, root: str, cwd: str, patterns: tuple[Layout, ...] = ()) -> list[Checkpoint]:
    """Every checkpoint that one of the words names, each once, in their order; saves that are not finished are none.

    Raises:
        UsageError: a word names nothing, or no checkpoint is there.
        IoFailure: a directory could not be read.
    """
    wish = Wish(patterns=patterns)
    found: dict[str, Checkpoint] = {}
    for word in words:
        for name in refs.expanded(word, root=root, cwd=cwd):
            for item in _of(name, root=root, cwd=cwd, wish=wish):
                found.setdefault(item.path, item)
    wanted = [item for item in found.values() if _counts(item)]
    if not wanted:
        where = ", ".join(words)
        raise errors.UsageError(f"there is no checkpoint in {where}", f"`ckptrun ls {where}` shows what was recognised")
    return wanted


def _counts(item: Checkpoint) -> bool:
    return item.state != names.SOFT_DELETED and not item.name.startswith(names.TMP_PREFIX)


def _of(word: str, *, root: str, cwd: str, wish: Wish) -> Iterable[Checkpoint]:
    named = refs.resolve(word, root=root, cwd=cwd, wish=wish)
    if isinstance(named, refs.OfCheckpoint):
        return [named.checkpoint]
    if isinstance(named, refs.OfRun):
        return gather.run_listing(named.run, wish).checkpoints
    if isinstance(named, refs.OfAttempt):
        number = named.attempt.number
        return [item for item in gather.run_listing(named.run, wish).checkpoints if item.attempt == number]
    if not os.path.isdir(named.path):
        return [_alone(named.path)]
    return gather.directory_listing(named.path, wish).checkpoints or _files(named.path)


def _files(directory: str) -> list[Checkpoint]:
    """Of a directory in which nothing is recognised as a checkpoint, the files that hold states: what was exported, or downloaded."""
    there = sorted(os.listdir(directory))
    return [_alone(os.path.join(directory, name)) for name in there if naming.holds_state(name) or kinds.promises(name)]


def _alone(path: str) -> Checkpoint:
    directory, name = os.path.split(path)
    return Checkpoint(
        name=name, path=path, directory=directory, layout="file", place=names.ELSEWHERE, files=[name], entries=(name,)
    )
