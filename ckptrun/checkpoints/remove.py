"""Deleting checkpoints: each is renamed, as a whole, into a trash on its filesystem; what is in the trash is unlinked afterwards.

Killed anywhere, this leaves no half of a checkpoint under its name: an entry is there or in the trash, and of one that has several
entries the one that a script is given goes first, and whoever empties the trash moves the others after it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.checkpoints import trash
from ckptrun.model import Noun
from ckptrun.policy.weights import Inode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ckptrun.model import Checkpoint


class Unit(Noun, frozen=True, kw_only=True):
    """A checkpoint as what has to be moved: entries of one directory, the one that a script is given first."""

    name: str
    path: str
    directory: str
    entries: list[str]
    seen: dict[str, tuple[int, int, int]] = {}  # what each entry was when it was judged


class Moved(Noun, frozen=True, kw_only=True):
    """Paths of what lies in the trash now; what does not, each with its reason; the directories that it was taken from."""

    moved: list[str] = []
    left: list[str] = []
    directories: list[str] = []


def units(items: Sequence[Checkpoint], others: Iterable[Checkpoint]) -> list[Unit]:
    """What goes with each of `items`, as it is now: all of it but what `others`, which stay, need too."""
    needed = {(other.directory, name) for other in others for name in other.entries}
    needed |= {(other.directory, name) for other in (*items, *others) for name in other.shared}
    return [_unit(item, [name for name in item.entries if (item.directory, name) not in needed]) for item in items]


def file_unit(path: str, name: str) -> Unit:
    """One file, as it is now, to be called `name` in the trash."""
    directory, entry = os.path.split(path)
    return Unit(name=name, path=path, directory=directory, entries=[entry], seen=_seen(directory, [entry]))


def _unit(item: Checkpoint, mine: list[str]) -> Unit:
    return Unit(name=item.name, path=item.path, directory=item.directory, entries=mine, seen=_seen(item.directory, mine))


def _seen(directory: str, entries: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    try:
        fd = os.open(directory, trash.OPEN & ~os.O_NOFOLLOW)
    except OSError:
        return {}
    try:
        return {name: trash.identity(name, fd) for name in entries}
    finally:
        os.close(fd)


def place(directory: str, of_run: str) -> str:
    """The trash for what lies in `directory`: the run's own, else `.ckptrun/trash` beside the directory, else (a mount) in it.

    Nothing is made. A framework may choke on names in its directory that are none of its own: beside is better.
    """
    real = os.path.realpath(directory)
    beside = [os.path.join(base, names.SIDE, names.TRASH) for base in (os.path.dirname(real), real)]
    for candidate in ([of_run] if of_run else []) + beside:
        if _usable(candidate, real):
            return candidate
    return beside[-1]


def _usable(candidate: str, directory: str) -> bool:
    """Whether things of `directory` can be renamed to it: on the same filesystem, and writable by us."""
    there = candidate
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    try:
        return os.stat(there).st_dev == os.stat(directory).st_dev and os.access(there, os.W_OK | os.X_OK)
    except OSError:
        return False


def move(units: Sequence[Unit], place: Callable[[str], str], guard: Callable[[], None], *, sync: bool = True) -> Moved:
    """Rename each into the trash that `place` names for its directory; `guard` is asked before each.

    With `sync` it is durable on return. Unlinking is `trash.empty`'s.

    Raises:
        errors.CkptrunError: from `guard`; what was moved so far is moved.
    """
    moved: list[str] = []
    left: list[str] = []
    mover = _Mover()
    try:
        for each in units:
            guard()
            try:
                mover.move(each, place(each.directory))
                moved.append(each.path)
            except OSError as error:
                left.append(f"{each.name} could not be removed: {error.strerror or error}")
    finally:
        if sync:
            left += mover.sync()
        mover.close()
    return Moved(moved=moved, left=left, directories=mover.directories)


class _Mover:
    """Renames; keeps the directories open that it works in."""

    def __init__(self) -> None:
        self._sources: dict[str, int] = {}
        self._trashes: dict[str, int] = {}

    @property
    def directories(self) -> list[str]:
        return list(self._sources)

    def move(self, unit: Unit, place: str) -> None:
        if unit.directory not in self._sources:
            self._sources[unit.directory] = os.open(os.path.realpath(unit.directory), trash.OPEN)
        source = self._sources[unit.directory]
        for name in unit.entries:
            if unit.seen.get(name) != (now := trash.identity(name, source)) and now != (0, 0, 0):
                raise OSError(errno.EAGAIN, f"{name} has changed since it was judged")
        there = [name for name in unit.entries if unit.seen[name] != (0, 0, 0)]
        if place not in self._trashes:
            self._trashes[place] = trash.open_trash(place)
        if len(there) == 1:
            self._rename(there[0], source, trash.fresh_name(unit.name), self._trashes[place])
        elif there:
            self._move_many(unit, there, source, place)

    def _move_many(self, unit: Unit, there: list[str], source: int, place: str) -> None:
        fd, home = self._trashes[place], trash.fresh_name(unit.name)
        os.mkdir(home, 0o700, dir_fd=fd)
        back = os.path.relpath(os.path.realpath(unit.directory), os.path.realpath(place))
        trash.write_note(trash.Moving(directory=back, entries={name: unit.seen[name] for name in there}), fd, home)
        for name in there:
            self._rename(name, source, os.path.join(home, name), fd)

    @staticmethod
    def _rename(name: str, source: int, target: str, place: int) -> None:
        try:
            os.rename(name, target, src_dir_fd=source, dst_dir_fd=place)
        except FileNotFoundError:
            if trash.identity(name, source) != (0, 0, 0):
                raise  # else somebody else removes the same at this moment

    def sync(self) -> list[str]:
        """Make the renames durable; what could not be, with the reason."""
        left = []
        for path, fd in [*self._sources.items(), *self._trashes.items()]:
            try:
                os.fsync(fd)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    left.append(f"{path} could not be synced: {error.strerror}")
        return left

    def close(self) -> None:
        for fd in [*self._sources.values(), *self._trashes.values()]:
            os.close(fd)
        self._trashes.clear()


def inodes(item: Checkpoint) -> list[Inode]:
    """Every name of a file in it, and the file behind it: what is freed when its last name goes."""
    found = []
    for name in item.files:
        try:
            state = os.lstat(os.path.join(item.directory, name))
        except OSError:
            continue
        if not stat.S_ISDIR(state.st_mode):
            found.append(
                Inode(device=state.st_dev, number=state.st_ino, size=state.st_size, links=state.st_nlink, name=name)
            )
    return found
