"""What belongs to a checkpoint on disk: files, links, empty directories; and whether any of it changes while it is read."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.backup import record as records
from ckptrun.backup.record import Part
from ckptrun.checkpoints import manifest
from ckptrun.checkpoints.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckptrun.backup.record import Record
    from ckptrun.model import Checkpoint

    Seen = tuple[int, int, int, int]  # device, inode, size, last change of content


class Unit:
    """A checkpoint's files as they are now. `record` says what they are, `seen` what they were when that was found out."""

    def __init__(self, item: Checkpoint, blank: Record) -> None:
        self.directory = item.directory
        self.seen: dict[str, Seen] = {}
        self.read: set[str] = set()  # files whose digest is of now, not what a manifest says
        self.followed: set[str] = set()  # links whose contents are copied
        self._states: dict[str, os.stat_result] = {}
        self._links: dict[str, str] = {}
        self._empty: list[str] = []
        for name in _entries(item):
            self._take(name)
        if not self.seen:
            raise Broken(names.PARTIAL, f"{item.name} is not there any more")
        known = _digests(item)
        files = [self._part(path, known.get(path, "")) for path in sorted(self._states)]
        self.record = msgspec.structs.replace(blank, files=files, links=self._links, empty=sorted(self._empty))

    def path(self, part: Part) -> str:
        """Where a file of it lies."""
        return f"{self.directory}/{part.path}"

    def require_unchanged(self, parts: Iterable[Part] | None = None) -> None:
        """Return if the files are what they were when the unit was looked at.

        Raises:
            Broken: somebody has written to one, or it is gone.
        """
        for part in self.record.files if parts is None else parts:
            try:
                now = _seen(os.stat(self.path(part)))
            except OSError as error:
                raise Broken(names.PARTIAL, f"{part.path} is gone: {error.strerror}") from error
            if now != self.seen[part.path]:
                raise Broken(names.PARTIAL, f"{part.path} was written to while it was copied")

    def _part(self, path: str, digest: str) -> Part:
        found = self._states[path]
        return Part(
            path=path, size=found.st_size, xxh3_128=digest, modified=found.st_mtime_ns, mode=stat.S_IMODE(found.st_mode)
        )

    def _take(self, name: str) -> None:
        full = f"{self.directory}/{name}"
        state = os.lstat(full)
        if stat.S_ISLNK(state.st_mode):
            self._take_link(name, full)
        elif stat.S_ISDIR(state.st_mode):
            below = sorted(os.listdir(full))
            if not below:
                self._empty.append(name)
            for each in below:
                self._take(f"{name}/{each}")
        else:
            self._take_file(name, state)

    def _take_link(self, name: str, full: str) -> None:
        """One to something in the checkpoint stays a link; what another leads to is copied: a backup that needs it is none."""
        target = os.readlink(full)
        if os.sep in name and records.stays_inside(name, target) and _leads_into(full, name, self.directory):
            self._links[name] = target
        else:
            self.followed.add(name)
            self._take_file(name, os.stat(full))

    def _take_file(self, name: str, state: os.stat_result) -> None:
        if not stat.S_ISREG(state.st_mode):
            raise Broken(names.CORRUPT, f"{name} is neither a file nor a link to one, and cannot be backed up")
        self._states[name] = state
        self.seen[name] = _seen(state)


def _entries(item: Checkpoint) -> list[str]:
    """The names in its directory that a checkpoint consists of, the one that a script is given first."""
    first = os.path.relpath(item.path, item.directory).split(os.sep)[0]
    found = dict.fromkeys([first, *(name.split(os.sep)[0] for name in item.files), *item.entries, *item.shared])
    return [name for name in found if os.path.lexists(os.path.join(item.directory, name))]


def _leads_into(full: str, name: str, directory: str) -> bool:
    """Whether a link leads to something in the same entry of the directory; a directory would be walked twice."""
    inside = os.path.realpath(os.path.join(directory, name.split(os.sep, 1)[0])) + os.sep
    return os.path.realpath(full).startswith(inside)


def _digests(item: Checkpoint) -> dict[str, str]:
    """What ckptrun's own manifest vouches for, so that nothing need be read twice."""
    if item.layout != "own":
        return {}
    try:
        found = manifest.read(item.path)
    except Broken:
        return {}
    return {f"{item.name}/{entry.path}": entry.xxh3_128 for entry in found.files}


def _seen(state: os.stat_result) -> Seen:
    """Without the time of change of the inode: a hard link, ours too, changes that."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
