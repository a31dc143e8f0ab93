"""Pins: checkpoints that nobody removes, one small file for each, so that two may pin at once and a damaged one still pins.

A run's are in pins/; those of other directories in .ckptrun/pins beside the directory, or in it where nothing can be made beside.
A file is named by the checkpoint's path relative to the directory that pins/ or .ckptrun/ lies in: all of it can be moved together.
"""

from __future__ import annotations

import os

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.runs import beside, documents, durable, paths, records
from ckptrun.runs.beside import Board

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.runs.paths import RunPaths

_LIMIT = 64 << 10  # bytes


class Pin(Noun, frozen=True, kw_only=True):
    """Body of one file: what is pinned, by whom, when, why."""

    format: int = names.FORMAT
    path: str  # relative to the directory that pins/ or .ckptrun/ lies in
    created: str = ""  # RFC 3339
    by: str = ""  # "ana@login1"
    reason: str = ""


def boards(directory: str, run: RunPaths | None = None) -> list[Board]:
    """Where pins of what lies in `directory` are, the place for new ones first."""
    return [Board(base=run.dir, directory=run.pins)] if run is not None else beside.boards(directory, names.PINS)


def pin(where: Sequence[Board], path: str, *, by: str, now: float, reason: str = "") -> Pin:
    """Pin the checkpoint at `path`, durably; a pin that is there is replaced.

    Raises:
        errors.CannotCreate, errors.IoFailure: it could not be written.
    """
    board = beside.place(where, now)
    made = Pin(path=board.relative(path), created=records.now_text(now), by=by, reason=reason)
    durable.replace(board.file(path), documents.encode(made))
    return made


def unpin(where: Sequence[Board], path: str) -> bool:
    """Take the pin away, durably; whether there was one.

    Raises:
        errors.IoFailure: it could not be removed.
    """
    there = False
    for board in where:
        file = board.file(path)
        try:
            os.unlink(file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise durable.io_error(error, file) from error
        paths.sync_parent(file)
        there = True
    return there


def pinned(where: Sequence[Board], candidates: Sequence[str]) -> set[str]:
    """Those of the paths that are pinned.

    Raises:
        errors.IoFailure: a directory of pins could not be read.
    """
    return set(beside.known(where, candidates))


def read(where: Sequence[Board], path: str) -> Pin | None:
    """The pin of the checkpoint at `path`, None if it is not pinned.

    Raises:
        documents.Unreadable, errors.IoFailure: as `documents.read`; it is pinned all the same.
    """
    return next((found for board in where if (found := documents.read(board.file(path), Pin, limit=_LIMIT))), None)
