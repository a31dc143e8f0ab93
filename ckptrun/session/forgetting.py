"""What ckptrun knew of checkpoints that are gone: seals and marks beside other frameworks' directories, which go after them.

After, so that nothing that is there lacks its seal: a kill in between leaves one of nothing, which the next prune of the directory drops.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.checkpoints import manifest, seals
from ckptrun.model import Noun
from ckptrun.runs import beside, durable, unfinished

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ckptrun.runs.beside import Board

_KINDS = (names.SEALS, names.THINNED)


class _About(Noun, frozen=True, kw_only=True):
    path: str  # of the checkpoint, relative to the board's base


def forget(directories: Iterable[str], known: Collection[str], now: float) -> list[str]:
    """Remove what is left of checkpoints of these directories that are not there any more; what could not be, with the reason.

    `known` are paths that need not be looked for; their removal, where there was one, is durable.
    """
    boards = [(directory, board) for directory in directories for kind in _KINDS for board in beside.boards(directory, kind)]
    return [line for directory, board in boards for line in _forgotten(directory, board, known, now)]


def _forgotten(directory: str, board: Board, known: Collection[str], now: float) -> Iterator[str]:
    unfinished.sweep(board.directory, now)
    try:
        others = beside.others(board, known)
        there = os.listdir(directory) if others else []
        orphans = [file for file in others if _is_gone(file, board, directory, there)]
        for file in orphans:
            os.unlink(file)
        if orphans:
            durable.fsync_dir(board.directory)
    except FileNotFoundError:
        pass  # somebody else does the same
    except (OSError, errors.CkptrunError) as error:
        yield f"{board.directory} still tells of what is gone: {error}"


def _is_gone(file: str, board: Board, directory: str, there: Sequence[str]) -> bool:
    """Whether it is about something in this directory, which is not there any more; not if it cannot be read."""
    try:
        about = msgspec.json.decode(durable.read(file, limit=seals.LARGEST), type=_About)
    except (OSError, ValueError, RecursionError):
        return False
    path = os.path.join(board.base, manifest.unescape(about.path))
    if os.path.realpath(os.path.dirname(path)) != os.path.realpath(directory) or board.file(path) != file:
        return False
    return not any(_belongs(name, os.path.basename(path)) for name in there)


def _belongs(entry: str, checkpoint: str) -> bool:
    """Whether an entry may be of the checkpoint: of TensorFlow's `ckpt-6` there are `ckpt-6.index` and `ckpt-6.data-…` only."""
    return entry == checkpoint or (entry.startswith(checkpoint) and not entry[len(checkpoint)].isalnum())
