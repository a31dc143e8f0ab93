"""What a --fresh start, a rewind or a fallback moves out of the way: never chosen again, never removed unasked."""

from __future__ import annotations

import os
import re

from ckptrun import errors
from ckptrun.runs import durable, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def set_aside(run: paths.RunPaths, items: Sequence[str], label: str, guard: Callable[[], None]) -> list[str]:
    """Rename `items`, newest first as they are given, to superseded/NNNN-LABEL/ and their path in the run; the new paths.

    Newest first, because a kill between two renames must leave a lineage without a gap. `guard` is asked before each.

    Raises:
        errors.LeaseLost: from the guard; what was moved so far stays moved.
        errors.IoFailure, errors.CannotCreate: an item could not be moved; as above.
        errors.UsageError: an item lies outside the run, which nobody may move.
    """
    inside = [_relative(run, item) for item in items]
    if not inside:
        return []
    home = _new_home(run, label)
    moves = [(os.path.join(run.dir, name), os.path.join(home, name)) for name in inside]
    for directory in dict.fromkeys(os.path.dirname(target) for _, target in moves):
        _make(directory)  # durably, before anything is in it: a crash must not lose both names of a checkpoint
    for source, target in moves:
        guard()
        _move(source, target)
    sources, targets = zip(*moves, strict=True)
    for directory in dict.fromkeys(os.path.dirname(path) for path in (*targets, *sources)):
        _sync(directory)
    return [target for _, target in moves]


def _relative(run: paths.RunPaths, item: str) -> str:
    name = os.path.relpath(os.path.abspath(item), run.dir)
    if name in (".", "..") or name.startswith("../"):
        raise errors.UsageError(f"{durable.printable(item)} lies outside the run {run.name} and is not moved")
    return name


def _new_home(run: paths.RunPaths, label: str) -> str:
    _make(run.superseded)
    label = re.sub(r"[^A-Za-z0-9._-]", "-", label)[:64] or "moved"
    try:
        numbers = [int(found[1]) for name in os.listdir(run.superseded) if (found := re.match(r"(\d+)-", name))]
    except OSError as error:
        raise durable.io_error(error, run.superseded) from error
    home = os.path.join(run.superseded, f"{max(numbers, default=0) + 1:04d}-{label}")
    _make(home)
    return home


def _make(directory: str) -> None:
    """A directory and those above it, each name durable."""
    if os.path.isdir(directory):
        return
    _make(os.path.dirname(directory))
    paths.make_directory(directory)
    paths.sync_parent(directory)


def _move(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        raise durable.io_error(error, source) from error


def _sync(directory: str) -> None:
    try:
        durable.fsync_dir(directory)
    except OSError as error:
        raise durable.io_error(error, directory) from error
