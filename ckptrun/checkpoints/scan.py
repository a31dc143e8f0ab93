"""All checkpoints of a run, or under a directory. One listing for each directory, one small read for each of our own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.checkpoints import own, siblings, wholeness
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.layouts import match
from ckptrun.layouts.claim import Entry
from ckptrun.model import Checkpoint, Series
from ckptrun.policy import order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckptrun.layouts.claim import Claim

DEPTH = 2  # levels below a place: plain scripts write there
ELSEWHERE = "elsewhere"


def scan_run(checkpoints: str, attempts: str, *, sizes: bool = False, unfinished: bool = False) -> list[Checkpoint]:
    """Every checkpoint of a run, oldest first: in `checkpoints`, and in the output of every attempt under `attempts`.

    With `sizes`, every file of our own is looked at too, not only the manifest (a `verify.quick` for each). Saves of ours that are
    not finished are no checkpoints (the next start removes them); with `unfinished` they are listed, as partial.

    Raises:
        errors.IoFailure: one of the directories cannot be listed, so that nobody knows what is in it.
    """
    patience = Patience()
    found = list(_Place(checkpoints, names.CHECKPOINTS, None, patience, sizes=sizes).checkpoints())
    for attempt in _attempts(attempts, patience):
        output = os.path.join(attempts, f"{attempt:04d}", names.OUTPUT)
        found.extend(_Place(output, names.OUTPUT, attempt, patience, sizes=sizes).checkpoints())
    return order.arrange(item for item in found if unfinished or not item.name.startswith(names.TMP_PREFIX))


def scan_directory(directory: str, *, sizes: bool = True) -> list[Series]:
    """The checkpoints in any directory and two levels below, by directory and layout, each series oldest first.

    Raises:
        errors.IoFailure: the directory cannot be listed.
        errors.UsageError: it is not there.
    """
    if not os.path.isdir(directory):
        raise errors.UsageError(f"there is no directory {directory}")
    groups: dict[tuple[str, str], list[Checkpoint]] = {}
    for item in _Place(directory, ELSEWHERE, None, Patience(), sizes=sizes).checkpoints():
        groups.setdefault((item.directory, item.layout), []).append(item)
    return [_series(place, layout, order.arrange(items)) for (place, layout), items in sorted(groups.items())]


def _series(directory: str, layout: str, items: list[Checkpoint]) -> Series:
    whole = [item.name for item in items if item.state == names.COMPLETE]
    return Series(
        directory=directory,
        layout=layout,
        pointer=pointer(directory, layout),
        latest=whole[-1] if whole else "",
        checkpoints=items,
    )


def pointer(directory: str, layout: str) -> str:
    """The name that a layout's own pointer in `directory` leads to, "" where there is none: a hint, never the truth."""
    literal = match.layout(layout)
    try:
        return os.path.basename(os.readlink(os.path.join(directory, literal.pointer))) if literal and literal.pointer else ""
    except OSError:
        return ""


def _attempts(attempts: str, patience: Patience) -> list[int]:
    return sorted(int(entry.name) for entry in _listing(attempts, patience) if entry.name.isdigit())


class _Place:
    """A directory in which checkpoints are looked for, with what is known of all that lies in it."""

    def __init__(self, root: str, place: str, attempt: int | None, patience: Patience, *, sizes: bool) -> None:
        self._root, self._place, self._attempt, self._patience, self._sizes = root, place, attempt, patience, sizes

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Everything in the place, in no particular order."""
        yield from self._look(self._root, DEPTH)

    def _look(self, directory: str, depth: int) -> Iterator[Checkpoint]:
        entries = [_entry(found) for found in self._list(directory) if not _is_irrelevant(found.name)]
        claims = match.claims(entries)
        units = {claim.name: self._members(directory, claim) for claim in claims if claim.directory}
        lacking = siblings.lacking(units)
        claimed = set()
        for claim in claims:
            item = self._inspect(directory, claim, units.get(claim.name, claim.files), lacking.get(claim.name, ""))
            if item is not None:
                claimed.add(claim.name)
                yield item
        if depth:
            for entry in entries:
                if entry.directory and not entry.link and entry.name not in claimed and not entry.name.startswith("."):
                    yield from self._below(os.path.join(directory, entry.name), depth - 1)

    def _below(self, directory: str, depth: int) -> Iterator[Checkpoint]:
        try:
            yield from self._look(directory, depth)
        except errors.IoFailure as error:
            yield self._unreadable(directory, error.message)

    def _inspect(self, directory: str, claim: Claim, files: list[str], lacking: str) -> Checkpoint | None:
        if claim.layout == "own":
            return own.inspect(directory, claim, self._place, self._patience, sizes=self._sizes)
        if not files:
            return None  # a directory that is named like a checkpoint and holds none
        item = self._guessed(directory, claim, files)
        reason = claim.unfinished or lacking
        if reason:
            return msgspec.structs.replace(item, state=names.PARTIAL, reason=reason)
        try:
            wholeness.judge(item, deep=False, patience=self._patience, tell=lambda _: None)
        except Broken as broken:
            return msgspec.structs.replace(item, state=broken.state, reason=broken.reason)
        return item

    def _guessed(self, directory: str, claim: Claim, files: list[str]) -> Checkpoint:
        size, modified = _size_and_time(directory, files)
        return Checkpoint(
            name=claim.name,
            path=os.path.join(directory, claim.files[0]),
            directory=directory,
            layout=claim.layout,
            place=self._place,
            attempt=self._attempt,
            step=claim.step,
            epoch=claim.epoch,
            metrics=claim.metrics,
            time=modified,
            size=size,
            files=files,
            why=claim.why,
            likeness=claim.likeness,
        )

    def _members(self, directory: str, claim: Claim) -> list[str]:
        """The files of a directory that may be a checkpoint, relative to `directory`; none if nothing in it looks like a state."""
        if claim.layout == "own":
            return []
        from ckptrun.layouts import naming  # noqa: PLC0415  # as in _entry

        inside = sorted(wholeness.members(os.path.join(directory, claim.name)))
        return [f"{claim.name}/{name}" for name in inside] if any(map(naming.holds_state, inside)) else []

    def _list(self, directory: str) -> list[os.DirEntry[str]]:
        return _listing(directory, self._patience)

    def _unreadable(self, directory: str, why: str) -> Checkpoint:
        """A directory that cannot be listed may hold the newest checkpoint: unknown."""
        parent, name = os.path.split(directory)
        return Checkpoint(
            name=name,
            path=directory,
            directory=parent,
            layout="single",
            place=self._place,
            attempt=self._attempt,
            state=names.UNKNOWN,
            reason=why,
            likeness=0,
        )


def _listing(directory: str, patience: Patience) -> list[os.DirEntry[str]]:
    def look() -> list[os.DirEntry[str]]:
        with os.scandir(directory) as entries:
            return list(entries)

    try:
        return patience.read(look, directory)
    except Broken as broken:
        if broken.state == names.PARTIAL:
            return []  # there is no such directory (yet)
        raise errors.IoFailure(broken.reason, "nothing was started: what cannot be read may be whole") from broken


def _is_irrelevant(name: str) -> bool:
    return name.startswith(".") and not name.startswith(names.TMP_PREFIX)


def _entry(found: os.DirEntry[str]) -> Entry:
    try:
        link = found.is_symlink()
        if found.is_dir():
            return Entry(name=found.name, directory=True, link=link)
        from ckptrun.layouts import naming  # noqa: PLC0415  # only where there are files that are not ours

        if not naming.might_be(found.name):
            return Entry(name=found.name, link=link)
        state = found.stat()
        return Entry(name=found.name, link=link, size=state.st_size, time=state.st_mtime)
    except OSError:
        return Entry(name=found.name, link=True)  # a link to nothing, or gone


def _size_and_time(directory: str, files: list[str]) -> tuple[int, float]:
    """Bytes, each inode counted once (hard links are common), and the newest modification."""
    sizes: dict[tuple[int, int], int] = {}
    newest = 0.0
    for name in files:
        try:
            found = os.stat(os.path.join(directory, name))
        except OSError:
            continue
        sizes[found.st_dev, found.st_ino] = found.st_size
        newest = max(newest, found.st_mtime)
    return sum(sizes.values()), newest
