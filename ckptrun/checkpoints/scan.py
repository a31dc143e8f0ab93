"""All checkpoints of a run, or under a directory. One listing for each directory, one small read for each checkpoint."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.checkpoints import abreast, own
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.layouts import match
from ckptrun.layouts.claim import Entry
from ckptrun.model import Checkpoint, Noun, Series
from ckptrun.policy import order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.layouts.claim import Claim

DEPTH = 2  # levels below a place of a run: plain scripts write there
DEEP = 4  # levels below a directory that somebody asks about: runs lie there
_NOWHERE = -1
_DEEPEST = 8  # levels below, whatever they are called
# What frameworks put around their checkpoints costs no level: lightning_logs/version_0/checkpoints/…
_AROUND = re.compile(r"lightning_logs|tb_logs|version_\d+|checkpoints?|ckpts?|weights|models|train\d*|nemo_experiments")
# Large, and never the place of a checkpoint.
_PASSED_BY = frozenset(("node_modules", "__pycache__", "site-packages", "wandb", "mlruns", "events"))
_DELETED = re.compile(
    r"to[-_]?delete\w*|deleted\w*|trash(?:ed)?(?:[-_]\w+)?", re.IGNORECASE
)  # Orbax's todelete_subdir is the user's word

Key = tuple[str, str, str]  # a series: its directory, layout and name


class Found(Noun, frozen=True, kw_only=True):
    """What lies in the places that were looked at: checkpoints, oldest first, and what the pointers of each series name."""

    checkpoints: list[Checkpoint] = []
    pointers: dict[Key, str] = {}


def scan_run(
    checkpoints: str,
    attempts: str,
    *,
    sizes: bool = False,
    unfinished: bool = False,
    patterns: tuple[Layout, ...] = (),
) -> list[Checkpoint]:
    """Every checkpoint of a run, oldest first: in `checkpoints`, in the output of every attempt under `attempts`, in its copies.

    With `sizes`, every file is looked at too, not only what says that all are there (a `verify.quick` for each of our own). Saves of
    ours that are not finished are no checkpoints (the next start removes them); with `unfinished` they are listed, as partial. `patterns` are the
    user's own layouts.

    Raises:
        errors.IoFailure: one of the directories cannot be listed, so that nobody knows what is in it.
    """
    found = look_run(checkpoints, attempts, sizes=sizes, patterns=patterns).checkpoints
    return [item for item in found if unfinished or not item.name.startswith(names.TMP_PREFIX)]


def look_run(checkpoints: str, attempts: str, *, sizes: bool = True, patterns: tuple[Layout, ...] = ()) -> Found:
    """As `scan_run`, unfinished saves and pointers too."""
    patience = Patience()
    places = [_Place(checkpoints, names.CHECKPOINTS, None, patience, sizes=sizes, patterns=patterns)]
    for attempt in _attempts(attempts, patience):
        for name in (names.OUTPUT, names.COPIES):
            place = os.path.join(attempts, f"{attempt:04d}", name)
            places.append(_Place(place, name, attempt, patience, sizes=sizes, patterns=patterns))
    return _found(places)


def look_directory(directory: str, *, sizes: bool = True, patterns: tuple[Layout, ...] = (), below: bool = True) -> Found:
    """The checkpoints in any directory and, if `below`, some levels below it. Without `sizes`, no file's size and time is looked up.

    Raises:
        errors.IoFailure: the directory cannot be listed.
        errors.UsageError: it is not there.
    """
    if not os.path.isdir(directory):
        raise errors.UsageError(f"there is no directory {directory}")
    place = _Place(directory, names.ELSEWHERE, None, Patience(), sizes=sizes, times=sizes, patterns=patterns)
    itself = list(place.itself())
    return Found(checkpoints=itself) if itself else _found([place], DEEP if below else _NOWHERE)


def scan_directory(directory: str, *, sizes: bool = True) -> list[Series]:
    """The same by directory, layout and series, each oldest first."""
    return series_of(look_directory(directory, sizes=sizes))


def series_of(found: Found) -> list[Series]:
    """Checkpoints by directory, layout and series; a pointer that leads to none of them makes a series as well."""
    groups: dict[Key, list[Checkpoint]] = {key: [] for key in found.pointers}
    for item in found.checkpoints:
        groups.setdefault((item.directory, item.layout, item.series), []).append(item)
    return [_series(key, groups[key], found.pointers.get(key, "")) for key in sorted(groups) if groups[key]]


def _series(key: Key, items: list[Checkpoint], pointer: str) -> Series:
    whole = [item.name for item in items if item.state == names.COMPLETE]
    directory, layout, name = key
    latest = whole[-1] if whole else ""
    return Series(directory=directory, layout=layout, name=name, pointer=pointer, latest=latest, checkpoints=items)


def _found(places: Iterable[_Place], depth: int = DEPTH) -> Found:
    checkpoints: list[Checkpoint] = []
    pointers: dict[Key, str] = {}
    for place in places:
        checkpoints.extend(place.checkpoints(depth))
        pointers.update(place.pointers)
    return Found(checkpoints=order.arrange(checkpoints), pointers=pointers)


def _attempts(attempts: str, patience: Patience) -> list[int]:
    return sorted(int(entry.name) for entry in _listing(attempts, patience) if entry.name.isdigit())


class _Place:
    """A directory in which checkpoints are looked for, with what is known of all that lies in it."""

    def __init__(
        self,
        root: str,
        place: str,
        attempt: int | None,
        patience: Patience,
        *,
        sizes: bool,
        times: bool = True,
        patterns: tuple[Layout, ...] = (),
    ) -> None:
        self._root, self._place, self._attempt, self._patience = root, place, attempt, patience
        self._sizes, self._times, self._patterns = sizes, times, patterns
        self._listed: dict[str, list[os.DirEntry[str]]] = {}  # directories that were listed to see what they are
        self._failed: dict[str, Broken] = {}  # those that could not be
        self.pointers: dict[Key, str] = {}

    def checkpoints(self, depth: int) -> Iterator[Checkpoint]:
        """Everything in the place, in no particular order."""
        yield from self._look(self._root, depth, _DEEPEST, "")

    def itself(self) -> Iterator[Checkpoint]:
        """The place as a checkpoint, if a framework knows it for one: whoever asks about `checkpoint-500` means that."""
        from ckptrun.layouts import catalogue, frameworks  # noqa: PLC0415  # only where a directory is asked about

        above, name = os.path.split(os.path.abspath(self._root))
        entry = Entry(name=name, directory=True)
        claims = frameworks.claims(
            [entry],
            where=os.path.basename(above),
            inside=lambda name: self._inside(os.path.join(above, name)),
            layouts=self._patterns + catalogue.frameworks(),
        )
        yield from self._inspect(above, [entry], [claim for claim in claims if not claim.unfinished and not claim.guess])

    def _look(self, directory: str, depth: int, most: int, deleted: str) -> Iterator[Checkpoint]:
        listing = self._list(directory)
        entries = [_entry(found) for found in listing if not _is_irrelevant(found.name)]
        claims = match.claims(
            entries,
            where=os.path.basename(os.path.abspath(directory)),
            inside=lambda name: self._inside(os.path.join(directory, name)),
            timed=lambda entry: _timed(directory, entry),
            patterns=self._patterns,
            ours=lambda claimed: self._place == names.CHECKPOINTS or own.are_here(directory, claimed),
        )
        claimed: set[str] = set()
        for item in self._inspect(directory, entries, claims):
            claimed.update(item.entries)
            yield _soft_deleted(item, deleted) if deleted else item
        for entry in entries if most else ():
            if entry.directory and not entry.link and entry.name not in claimed and not _is_passed_by(entry.name, claimed):
                below = depth if _AROUND.fullmatch(entry.name) else depth - 1
                if below >= 0:
                    gone = deleted or (entry.name if _DELETED.fullmatch(entry.name) else "")
                    yield from self._below(os.path.join(directory, entry.name), below, most - 1, gone)

    def _inspect(self, directory: str, entries: list[Entry], claims: list[Claim]) -> list[Checkpoint]:
        """What is claimed in one directory, with its state; pointers are followed and remembered."""
        ours = [claim for claim in claims if claim.layout == "own"]
        found = [item for item in abreast.over(lambda claim: self._own(directory, claim), ours) if item]
        others = [claim for claim in claims if claim.layout != "own"]
        if others:
            from ckptrun.checkpoints.foreign import Directory  # noqa: PLC0415  # a run of ours alone need not load it

            found += Directory(
                directory,
                self._place,
                self._attempt,
                self._patience,
                sizes=self._sizes,
                times=self._times,
                inside=self._inside,
                seen=self._listed.get,
            ).checkpoints(others)
            found = (
                [self._as_far_as_known(item) for item in found if not self._is_gone(item.path)] if self._failed else found
            )
        if found and any(_may_point(entry) for entry in entries):
            from ckptrun.checkpoints import hints  # noqa: PLC0415  # as above

            found, pointers = hints.pointed(directory, entries, found, self._patterns)
            self.pointers.update(pointers)
        return found

    def _own(self, directory: str, claim: Claim) -> Checkpoint | None:
        return own.inspect(directory, claim, self._place, self._patience, sizes=self._sizes)

    def _is_gone(self, path: str) -> bool:
        return path in self._failed and self._failed[path].state == names.PARTIAL

    def _as_far_as_known(self, item: Checkpoint) -> Checkpoint:
        """What cannot be listed is not called partial: its name is all that is known of it."""
        broken = self._failed.get(item.path)
        return msgspec.structs.replace(item, state=broken.state, reason=broken.reason) if broken else item

    def _below(self, directory: str, depth: int, most: int, deleted: str) -> Iterator[Checkpoint]:
        try:
            yield from self._look(directory, depth, most, deleted)
        except errors.IoFailure as error:
            yield self._unreadable(directory, error.message)

    def _list(self, directory: str) -> list[os.DirEntry[str]]:
        listed = self._listed.pop(directory, None)
        return _listing(directory, self._patience) if listed is None else listed

    def _inside(self, directory: str) -> list[str]:
        """The names in a directory below; of one that cannot be listed none, and it is remembered why."""
        if directory in self._failed:
            return []
        if directory not in self._listed:
            try:
                self._listed[directory] = self._patience.read(lambda: _scandir(directory), directory)
            except _File:
                return []
            except Broken as broken:
                self._failed[directory] = broken
                return []
        return [entry.name for entry in self._listed[directory]]

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
            entries=(name,),
            sized=False,
        )


class _File(Exception):
    """It is no directory."""


def _scandir(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except NotADirectoryError as error:
        raise _File from error


def _listing(directory: str, patience: Patience) -> list[os.DirEntry[str]]:
    try:
        return patience.read(lambda: _scandir(directory), directory)
    except _File:
        return []
    except Broken as broken:
        if broken.state == names.PARTIAL:
            return []  # there is no such directory (yet)
        raise errors.IoFailure(
            broken.reason, "what cannot be read may be whole, so nothing was done: look at its owner and mode, or try again"
        ) from broken


def _is_irrelevant(name: str) -> bool:
    return name.startswith(".") and not name.startswith(names.TMP_PREFIX + names.STEP_PREFIX)


def _is_passed_by(name: str, claimed: set[str]) -> bool:
    """Hidden, never the place of a checkpoint, or somebody's copy of one: `checkpoint-100-merged` beside `checkpoint-100`."""
    return name.startswith(".") or name in _PASSED_BY or _is_copy(name, claimed)


def _is_copy(name: str, claimed: set[str]) -> bool:
    return any(name[:end] in claimed for end in range(1, len(name)) if name[end] in "-._ ")


def _entry(found: os.DirEntry[str]) -> Entry:
    try:
        directory = found.is_dir(follow_symlinks=False)
        return Entry(name=found.name, directory=directory, link=not directory and found.is_symlink())
    except OSError:
        return Entry(name=found.name, link=True)  # gone; only where the filesystem does not say what a name is


def _timed(directory: str, entry: Entry) -> Entry:
    try:
        return Entry(name=entry.name, time=os.stat(os.path.join(directory, entry.name)).st_mtime)
    except OSError:
        return entry


def _may_point(entry: Entry) -> bool:
    """Cheap: whether anything in a directory is worth the loading of what reads pointers."""
    return entry.link or (not entry.directory and ("latest" in entry.name or "checkpoint" in entry.name))


def _soft_deleted(item: Checkpoint, where: str) -> Checkpoint:
    return msgspec.structs.replace(item, state=names.SOFT_DELETED, reason=f"it was moved to {where}/ to be deleted")
