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
    moved = [_move(run, name, home, guard) for name in inside]
    for directory in dict.fromkeys(os.path.dirname(path) for path in [*moved, *(os.path.join(run.dir, n) for n in inside)]):
        _sync(directory)
    return moved


def _relative(run: paths.RunPaths, item: str) -> str:
    name = os.path.relpath(os.path.abspath(item), run.dir)
    if name in (".", "..") or name.startswith("../"):
        raise errors.UsageError(f"{durable.printable(item)} lies outside the run {run.name} and is not moved")
    return name


def _new_home(run: paths.RunPaths, label: str) -> str:
    paths.make_directory(run.superseded)
    label = re.sub(r"[^A-Za-z0-9._-]", "-", label)[:64] or "moved"
    try:
        numbers = [int(found[1]) for name in os.listdir(run.superseded) if (found := re.match(r"(\d+)-", name))]
        home = os.path.join(run.superseded, f"{max(numbers, default=0) + 1:04d}-{label}")
        os.mkdir(home, durable.DIRECTORY)
    except OSError as error:
        raise durable.io_error(error, run.superseded, creating=True) from error
    return home


def _move(run: paths.RunPaths, name: str, home: str, guard: Callable[[], None]) -> str:
    source, target = os.path.join(run.dir, name), os.path.join(home, name)
    guard()
    try:
        os.makedirs(os.path.dirname(target), durable.DIRECTORY, exist_ok=True)
        os.rename(source, target)
    except OSError as error:
        raise durable.io_error(error, source) from error
    return target


def _sync(directory: str) -> None:
    try:
        durable.fsync_dir(directory)
    except OSError as error:
        raise durable.io_error(error, directory) from error
