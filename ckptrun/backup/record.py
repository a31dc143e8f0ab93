"""backup.json: what a backup holds, written when all of that is there. Without it a backup is unfinished, and is gone on with.

In the text names are escaped as in checkpoint.json; in a `Record` they are as the system has them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.checkpoints import manifest
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun
from ckptrun.runs import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckptrun.model import Checkpoint

LARGEST = manifest.LARGEST


class Part(Noun, frozen=True, kw_only=True):
    """One file of a backup: path relative to the backup's directory; `xxh3_128` is "" where nobody has read it yet."""

    path: str
    size: int
    xxh3_128: str = ""
    modified: int = 0  # nanoseconds
    mode: int = 0o644


class Record(Noun, frozen=True, kw_only=True):
    """Body of backup.json. `files` are copies of what lay in the source's directory, under the same relative names."""

    format: int = names.FORMAT
    name: str  # of the checkpoint
    created: str = ""
    run: str = ""  # "" = of no run
    path: str = ""  # what a script is given: relative to the run, or absolute where there is none
    entry: str = ""  # the same, relative to the backup's directory
    layout: str = ""
    attempt: int | None = None
    step: int | None = None
    epoch: float | int | None = None
    time: float = 0.0  # when the checkpoint was written, Unix seconds
    files: list[Part] = []
    links: dict[str, str] = {}  # symbolic links within the checkpoint, relative
    empty: list[str] = []  # directories that hold nothing

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.size for part in self.files)


class _Head(Noun, frozen=True, kw_only=True):
    format: int


_decoder = msgspec.json.Decoder(Record)
_head = msgspec.json.Decoder(_Head)


def of(item: Checkpoint, run_dir: str, run: str, created: float) -> Record:
    """What is known of a checkpoint before its files are looked at."""
    inside = bool(run_dir) and item.path.startswith(run_dir + os.sep)
    return Record(
        name=item.name,
        created=records.now_text(created),
        run=run if inside else "",
        path=os.path.relpath(item.path, run_dir) if inside else item.path,
        entry=os.path.relpath(item.path, item.directory),
        layout=item.layout,
        attempt=item.attempt,
        step=item.step,
        epoch=item.epoch,
        time=item.time,
    )


def encode(record: Record) -> bytes:
    """The text of a record."""
    return msgspec.json.format(msgspec.json.encode(_renamed(record, manifest.escape)), indent=1) + b"\n"


def parse(data: bytes) -> Record:
    """A record from its text.

    Raises:
        Broken: it is none, or names files that no backup can hold (corrupt), or is of a later format (unknown).
    """
    try:
        found = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise _why_not(data, error) from error
    if found.format != names.FORMAT:
        raise _why_not(data, ValueError("unknown format"))
    found = _renamed(found, manifest.unescape)
    require_sound(found)
    return found


def require_sound(record: Record) -> None:
    """Return if every name stays inside the backup's directory.

    Raises:
        Broken: with the first that does not.
    """
    paths = [*(part.path for part in record.files), *record.links, *record.empty, record.entry]
    for path in paths:
        if manifest.is_odd(path) or path.split(os.sep)[0] in (names.BACKUP_JSON, names.BACKUP_BEGUN):
            raise Broken(names.CORRUPT, f"{names.BACKUP_JSON} names {path!r}, which no backup can hold")
    if len(set(paths[:-1])) != len(paths) - 1:
        raise Broken(names.CORRUPT, f"{names.BACKUP_JSON} names a file twice")
    below = {os.path.dirname(path) for path in paths[:-1]}
    while below:
        if below & {*record.links, *(part.path for part in record.files)}:
            raise Broken(names.CORRUPT, f"{names.BACKUP_JSON} names something below a file or a link")
        below = {os.path.dirname(path) for path in below if path}
    for path, target in record.links.items():
        if not stays_inside(path, target):
            raise Broken(names.CORRUPT, f"{names.BACKUP_JSON}: the link {path!r} leads outside of the backup")
    if not record.files or any(part.size < 0 for part in record.files):
        raise Broken(names.CORRUPT, f"{names.BACKUP_JSON} names no files, or gives one less than no bytes")


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at `path` that says `target` leads to something in the same checkpoint; judged from the names alone.

    `..` counts at the beginning only: behind the name of another link it would lead elsewhere than the names say.
    """
    words = target.split(os.sep)
    while words and words[0] in (os.pardir, os.curdir):
        words.pop(0)
    if not target or "\0" in target or os.path.isabs(target) or os.pardir in words:
        return False
    inside = os.path.normpath(os.path.join(os.path.dirname(path), target))
    return inside.split(os.sep)[0] != os.pardir


def same(one: Record, other: Record) -> bool:
    """Whether both hold the same: by digests, or by sizes and times of change where a digest is not known."""
    if one.links != other.links or sorted(one.empty) != sorted(other.empty) or len(one.files) != len(other.files):
        return False
    parts = {part.path: part for part in other.files}
    return all(part.path in parts and _same(part, parts[part.path]) for part in one.files)


def _same(one: Part, other: Part) -> bool:
    if one.xxh3_128 and other.xxh3_128:
        return (one.size, one.xxh3_128) == (other.size, other.xxh3_128)
    return (one.size, one.modified) == (other.size, other.modified)


def _renamed(record: Record, change: Callable[[str], str]) -> Record:
    return msgspec.structs.replace(
        record,
        name=change(record.name),
        path=change(record.path),
        entry=change(record.entry),
        files=[msgspec.structs.replace(part, path=change(part.path)) for part in record.files],
        links={change(path): change(target) for path, target in record.links.items()},
        empty=_all(change, record.empty),
    )


def _all(change: Callable[[str], str], texts: Iterable[str]) -> list[str]:
    return [change(text) for text in texts]


def _why_not(data: bytes, error: Exception) -> Broken:
    """A later format may lack what this one needs, so that its number is looked at first."""
    try:
        found = _head.decode(data).format
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return Broken(names.CORRUPT, f"{names.BACKUP_JSON} is not the record of a backup: {error}")
    if found > names.FORMAT:
        what = f"{names.BACKUP_JSON} has format {found}, written by a later ckptrun; this one knows {names.FORMAT}"
        return Broken(names.UNKNOWN, what)
    return Broken(names.CORRUPT, f"{names.BACKUP_JSON} is not the record of a backup: {error}")
