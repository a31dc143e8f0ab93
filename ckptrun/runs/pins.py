"""Pins: checkpoints that nobody removes, one small file for each, so that two may pin at once and a damaged one still pins.

A run's are in pins/; those of other directories in .ckptrun/pins beside the directory, or in it where nothing can be made beside.
A file is named by the checkpoint's path relative to the directory that pins/ or .ckptrun/ lies in: all of it can be moved together.
"""

from __future__ import annotations

import os
import re

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.runs import documents, durable, paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.runs.paths import RunPaths

_ODD = re.compile(r"[^A-Za-z0-9._=-]+")
_LIMIT = 64 << 10  # bytes


class Pin(Noun, frozen=True, kw_only=True):
    """Body of one file: what is pinned, by whom, when, why."""

    format: int = names.FORMAT
    path: str  # relative to the directory that pins/ or .ckptrun/ lies in
    created: str = ""  # RFC 3339
    by: str = ""  # "ana@login1"
    reason: str = ""


class Board(Noun, frozen=True, kw_only=True):
    """A directory of pins, and the one that their paths are relative to."""

    base: str
    directory: str
    real: bool = False  # links on the way to a checkpoint are looked through: who names it may take another way each time

    def relative(self, path: str) -> str:
        """A checkpoint's path as pins have it."""
        if self.real:
            path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        return os.path.relpath(path, self.base)

    def file(self, path: str) -> str:
        """Where the pin of the checkpoint at `path` is, if there is one."""
        return os.path.join(self.directory, _key(self.relative(path)))


def boards(directory: str, run: RunPaths | None = None) -> list[Board]:
    """Where pins of what lies in `directory` are, the place for new ones first."""
    return [Board(base=run.dir, directory=run.pins)] if run is not None else beside(directory, names.PINS)


def beside(directory: str, kind: str) -> list[Board]:
    """Where marks of one kind on what lies in `directory` are, outside of runs."""
    real = os.path.realpath(directory)
    bases = (os.path.dirname(real), real)
    return [Board(base=base, directory=os.path.join(base, names.SIDE, kind), real=True) for base in bases]


def pin(where: Sequence[Board], path: str, *, by: str, now: float, reason: str = "") -> Pin:
    """Pin the checkpoint at `path`, durably; a pin that is there is replaced.

    Raises:
        errors.CannotCreate, errors.IoFailure: it could not be written.
    """
    board = next((each for each in where if _writable(each)), where[0])
    made = Pin(path=board.relative(path), created=records.now_text(now), by=by, reason=reason)
    for directory in dict.fromkeys((os.path.dirname(board.directory), board.directory)):
        if paths.make_directory(directory):
            paths.sync_parent(directory)
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
    found = set()
    for board in where:
        there = _listed(board.directory)
        if there:
            found |= {path for path in candidates if os.path.basename(board.file(path)) in there}
    return found


def read(where: Sequence[Board], path: str) -> Pin | None:
    """The pin of the checkpoint at `path`, None if it is not pinned.

    Raises:
        documents.Unreadable, errors.IoFailure: as `documents.read`; it is pinned all the same.
    """
    return next((found for board in where if (found := documents.read(board.file(path), Pin, limit=_LIMIT))), None)


def _key(relative: str) -> str:
    import hashlib  # noqa: PLC0415  # only where there are pins

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
