"""Thinning carried out: it is written down first that a checkpoint is no state to resume from, then the files go into the trash."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.checkpoints import manifest, remove
from ckptrun.layouts.catalogue import OWN
from ckptrun.runs import beside, pins, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.checkpoints.remove import Unit
    from ckptrun.policy.retention import Thinned


def thin(
    thinned: Sequence[Thinned],
    place: Callable[[str], str],
    guard: Callable[[], None],
    *,
    by: str,
    now: float,
    sync: bool = True,
) -> remove.Moved:
    """Take the files away; `guard` is asked before each checkpoint. `place` names the trash for a directory.

    Raises:
        errors.CkptrunError: from `guard`.
    """
    moved: list[str] = []
    left: list[str] = []
    directories: list[str] = []
    for each in thinned:
        guard()
        try:
            units = _units(each)
            _mark(each, by=by, now=now)
        except (OSError, manifest.Broken, errors.CkptrunError) as error:
            left.append(f"{each.checkpoint.name} could not be thinned: {error}")
            continue
        trash = place(each.checkpoint.directory)
        done = remove.move(units, functools.partial(_always, trash), _allowed, sync=sync)
        moved.append(each.checkpoint.path)
        left += done.left
        directories += done.directories
    return remove.Moved(moved=moved, left=left, directories=directories)


def _always(trash: str, _directory: str) -> str:
    return trash


def _allowed() -> None:
    """The guard was asked for all files of a checkpoint at once."""


def _mark(each: Thinned, *, by: str, now: float) -> None:
    item = each.checkpoint
    if item.layout != OWN.name:
        pins.pin(beside.boards(item.directory, names.THINNED), item.path, by=by, now=now, reason="prune --thin")
        return
    unfinished.sweep(item.path, now)
    found = manifest.read(item.path)
    going = {name.removeprefix(item.name + os.sep) for name in each.files}
    stay = [entry for entry in found.files if entry.path not in going]
    manifest.rewrite(item.path, msgspec.structs.replace(found, files=stay, thinned=[*found.thinned, *sorted(going)]))


def _units(each: Thinned) -> list[Unit]:
    """Each file by itself, where it lies.

    Raises:
        OSError: a link leads to it out of the checkpoint's directory.
    """
    home = os.path.realpath(each.checkpoint.directory)
    paths = [os.path.join(each.checkpoint.directory, name) for name in each.files]
    for path in paths:
        if not os.path.realpath(os.path.dirname(path)).startswith((home + os.sep, home)):
            raise OSError(f"a link leads out of it to {path}")
    return [remove.file_unit(path, f"{each.checkpoint.name}-{os.path.basename(path)}") for path in paths]
