"""What ckptrun knows of checkpoints that lie in no run of ours: one small file for each, in .ckptrun/ beside their directory.

Beside, since a framework may choke on names in its directory that are none of its own; in it where nothing can be made beside. A file
is named by the checkpoint's path relative to the directory that .ckptrun/ lies in: all of it can be moved together.
"""

from __future__ import annotations

import os
import re

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.runs import durable, paths, unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ODD = re.compile(r"[^A-Za-z0-9._=-]+")


class Board(Noun, frozen=True, kw_only=True):
    """A directory of such files, and the one that their paths are relative to."""

    base: str
    directory: str
    real: bool = False  # links on the way to a checkpoint are looked through: who names it may take another way each time

    def relative(self, path: str) -> str:
        """A checkpoint's path as the files have it."""
        if self.real:
            path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        return os.path.relpath(path, self.base)

    def file(self, path: str) -> str:
        """Where the file about the checkpoint at `path` is, if there is one."""
        return os.path.join(self.directory, _key(self.relative(path)))


def boards(directory: str, kind: str) -> list[Board]:
    """Where files of one kind about what lies in `directory` are, the place for new ones first."""
    real = os.path.realpath(directory)
    bases = (os.path.dirname(real), real)
    return [Board(base=base, directory=os.path.join(base, names.SIDE, kind), real=True) for base in bases]


def place(where: Sequence[Board], now: float) -> Board:
    """The board that a new file goes to, its directory made durably, and without what was left half-written there.

    Raises:
        errors.CannotCreate, errors.IoFailure: none of them can be written to.
    """
    board = next((each for each in where if _writable(each)), where[0])
    for directory in (os.path.dirname(board.directory), board.directory):
        if paths.make_directory(directory):
            paths.sync_parent(directory)
    unfinished.sweep(board.directory, now)
    return board


def known(where: Sequence[Board], candidates: Sequence[str]) -> dict[str, str]:
    """Of these paths those that there is a file about, each with that file.

    Raises:
        errors.IoFailure: a directory could not be read.
    """
    found: dict[str, str] = {}
    for board in where:
        there = _listed(board.directory)
        for path in candidates if there else ():
            file = board.file(path)
            if os.path.basename(file) in there:
                found.setdefault(path, file)
    return found


def others(board: Board, candidates: Iterable[str]) -> list[str]:
    """The files of a board that are about none of these paths.

    Raises:
        errors.IoFailure: the directory could not be read.
    """
    there = _listed(board.directory)
    mine = {os.path.basename(board.file(path)) for path in candidates} if there else set()
    return [os.path.join(board.directory, name) for name in sorted(there - mine) if not name.startswith(names.TMP_PREFIX)]


def _key(relative: str) -> str:
    import hashlib  # noqa: PLC0415  # only where there is something to name

    digest = hashlib.blake2b(os.fsencode(relative), digest_size=8).hexdigest()
    return f"{_ODD.sub('-', os.path.basename(relative))[:64]}-{digest}.json"


def _listed(directory: str) -> set[str]:
    try:
        return set(durable.retry(lambda: os.listdir(directory)))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise durable.io_error(error, directory) from error


def _writable(board: Board) -> bool:
    there = board.directory
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    return os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)
