"""Where backups go, and one checkpoint's way there: what the command line and a training share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import errors, names
from ckptrun.backup import places
from ckptrun.backup.making import FAILED, Made, Maker
from ckptrun.checkpoints import verify
from ckptrun.policy import backup as policy
from ckptrun.runs import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.backup.making import Wish
    from ckptrun.backup.places import Place
    from ckptrun.model import Checkpoint
    from ckptrun.runs.paths import RunPaths


def destination(to: str | None, run: RunPaths | None, directory: str, cwd: str) -> str:
    """Where backups go: `to`, for those of a run to a directory of its name in it; else into the run, else beside the checkpoints."""
    if to is None:
        return run.backup if run is not None else os.path.join(directory, names.SIDE, names.BACKUP)
    given = places.absolute(to, cwd)
    return places.below(given, run.name) if run is not None else given


def require_outside(dest: str, items: Sequence[Checkpoint], run: RunPaths | None) -> None:
    """Return if a backup there is not taken for a checkpoint of the run, nor for a part of one.

    Raises:
        errors.UsageError: it would be.
    """
    if places.is_url(dest):
        return
    real = os.path.realpath(dest)
    inside = [item.path for item in items if os.path.isdir(item.path)]
    inside += [run.checkpoints, run.attempts] if run is not None else []
    for path in inside:
        if (real + os.sep).startswith(os.path.realpath(path) + os.sep):
            raise errors.UsageError(
                f"--to {dest} lies in {durable.printable(path)}, where checkpoints are looked for",
                "choose another directory",
            )


def back_up(
    place: Place,
    item: Checkpoint,
    run: RunPaths | None,
    wish: Wish,
    *,
    clock: Callable[[], float],
    tell: Callable[[int], None],
) -> Made:
    """Back up one checkpoint, if it is whole.

    Raises:
        errors.CkptrunError: the place cannot be read or written.
    """
    if item.state != names.COMPLETE:
        return Made(checkpoint=item.path, state=FAILED, reason=f"it is {item.state}: {item.reason}")
    maker = Maker(place, wish, clock, tell)
    try:
        return maker.make(item, run_dir=run.dir if run else "", run=run.name if run else "", check=lambda: why_not_now(item))
    except OSError as error:
        path = os.fsdecode(error.filename or place.shown)
        creating = bool(error.filename) and path not in (
            item.path,
            *(os.path.join(item.directory, name) for name in item.files),
        )
        raise durable.io_error(error, path, creating=creating) from error


def why_not_now(item: Checkpoint) -> str:
    """Why a checkpoint cannot be trusted at this moment: a file that is rewritten in place is being written, or was torn."""
    if not policy.rewritten(item):
        return ""
    from ckptrun.checkpoints import using  # noqa: PLC0415  # for scripts that save in place

    paths = [os.path.join(item.directory, name) for name in item.files]
    if who := using.writer(paths):
        return f"{item.name} is open for writing by {who}"
    state, reason = verify.deep(item)
    return "" if state == names.COMPLETE else reason
