"""What a checkpoint is checked by: its files, each against a checksum that was kept of it, or against its own format.

`plan` looks at names and sizes; `check` reads one file, so that several can be read side by side.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.checkpoints import indexes, kinds, manifest, own, seals, wholeness
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.layouts import catalogue
from ckptrun.model import FileEntry, Noun

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.checkpoints.seals import Seal
    from ckptrun.model import Checkpoint

    Tell = Callable[[int], None]


class Part(Noun, frozen=True, kw_only=True):
    """One file to look into, called `name` in sentences."""

    path: str
    name: str
    size: int = 0
    digest: str = ""  # XXH3-128 that was kept of it; "" = its own format is all there is
    why_not: str = ""  # the end of the sentence that says that the digest is another one


class Plan(Noun, frozen=True, kw_only=True):
    """What is left to look into, and a remark or ""."""

    parts: list[Part] = []
    remark: str = ""


def plan(item: Checkpoint, *, deep: bool, seal: Seal | None = None, patience: Patience | None = None) -> Plan:
    """What has to be read to know whether `item` is whole; what sizes and names tell is looked at now.

    Raises:
        Broken: it is not, with the state and the reason.
    """
    if item.state != names.COMPLETE:
        raise Broken(item.state, item.reason)
    patience = patience or Patience()
    layout = catalogue.layout(item.layout)
    if layout is not None and layout.check == "manifest":
        return _of_ours(item, deep=deep, patience=patience)
    files = wholeness.files(item)
    now = seals.stamps(item.directory, files)
    if seal is None or seals.is_of_before(seal, now, item):
        indexes.require_all(item.directory, files, patience)
        remark = (
            ""
            if seal is None
            else "it was saved anew, or copied without its times, after it was sealed: the seal says nothing about it"
        )
        return Plan(parts=[_unsealed(item, name, now) for name in files if not wholeness.is_mark(item, name)], remark=remark)
    if found := seals.findings(seal, now):
        raise own.worst(found)
    return Plan(parts=_sealed(item, seal, now, deep=deep), remark=seals.added(seal, files))


def check(part: Part, *, deep: bool, tell: Tell, patience: Patience | None = None) -> Broken | None:
    """Look into one file: what is wrong with it, None if nothing is. `tell` hears of every so many bytes that were checked."""
    patience = patience or Patience()
    before = _stamp(part.path)
    try:
        if part.digest and deep:
            _require_digest(part, patience, tell)
        else:
            kinds.check(part.path, deep=deep, patience=patience, tell=tell)
    except Broken as broken:
        if broken.state != names.UNKNOWN and _stamp(part.path) != before:
            return Broken(names.UNKNOWN, f"{part.name} was written to while it was read")
        return broken
    return None


def _of_ours(item: Checkpoint, *, deep: bool, patience: Patience) -> Plan:
    found = manifest.read(item.path, patience)
    own.require_sizes(item.path, found.files, patience)
    remark = wholeness.unsaved(item.path, {entry.path for entry in found.files})
    return Plan(parts=[_saved(item.path, entry) for entry in found.files] if deep else [], remark=remark)


def _saved(path: str, entry: FileEntry) -> Part:
    return Part(
        path=os.path.join(path, entry.path),
        name=entry.path,
        size=entry.size,
        digest=entry.xxh3_128,
        why_not=f", and was saved with {entry.xxh3_128}",
    )


def _unsealed(item: Checkpoint, name: str, now: dict[str, seals.Stamp]) -> Part:
    stamp = now.get(name)
    return Part(path=os.path.join(item.directory, name), name=name, size=stamp.size if stamp else 0)


def _sealed(item: Checkpoint, seal: Seal, now: dict[str, seals.Stamp], *, deep: bool) -> list[Part]:
    parts = []
    for file in seal.files:
        why_not = f", and was sealed with {file.xxh3_128} ({seal.created}){seals.written_since(file, now.get(file.path))}"
        path = os.path.join(item.directory, file.path)
        if deep or not wholeness.is_mark(item, file.path):
            parts.append(Part(path=path, name=file.path, size=file.size, digest=file.xxh3_128, why_not=why_not))
    return parts


def _require_digest(part: Part, patience: Patience, tell: Tell) -> None:
    found = patience.read(lambda: wholeness.digest(part.path, tell), part.name)
    if found != part.digest:
        raise Broken(names.CORRUPT, f"{part.name} has checksum {found}{part.why_not}")


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
