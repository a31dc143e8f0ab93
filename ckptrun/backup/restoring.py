"""One backup put back: fetched into a hidden directory beside its place, read again, and renamed when every file is what was backed up.

Killed anywhere, there is no checkpoint, or a whole one: of several entries the one that a script is given goes last. What was fetched
stays for the next try.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from typing import TYPE_CHECKING

from ckptrun import errors, names
from ckptrun.backup import copying, local, making, moving, places, pointers, record
from ckptrun.backup.unit import Unit
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Checkpoint, Noun
from ckptrun.policy import backup as policy
from ckptrun.policy import order
from ckptrun.runs import durable, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.backup.places import Place
    from ckptrun.backup.record import Part, Record

    Tell = Callable[[int], None]

STAGING = ".restore-"  # + the backup's name; a name with a dot is no checkpoint's
_STAGED = re.compile(rf"\{STAGING}.+", re.DOTALL)
_STAGED_SECONDS = 86400.0  # after which nobody goes on with what was fetched of another
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
ABSENT, SAME, OTHER = "absent", "same", "other"


class Target(Noun, frozen=True, kw_only=True):
    """Where a backup is put back: `directory` gets its entries, and lies in `root`, which nothing may leave."""

    root: str
    directory: str


class Restored(Noun, frozen=True, kw_only=True):
    """What became of it."""

    path: str  # what a script is given
    state: str  # restored | there | would be restored
    size: int = 0
    fetched: int = 0  # bytes
    notes: list[str] = []


def read(place: Place, home: str) -> Record | None:
    """The record of a backup, None where there is none or it is unfinished.

    Raises:
        errors.IoFailure: it is damaged, or of a later ckptrun.
    """
    data = place.read(home, names.BACKUP_JSON)
    if data is None:
        return None
    try:
        return record.parse(data)
    except Broken as broken:
        raise errors.IoFailure(f"{places.below(place.shown, home)}: {broken.reason}") from broken


def as_checkpoint(found: Record, home: str) -> Checkpoint:
    """A backup as what it was, so that the same rule says which of several is the newest."""
    return Checkpoint(
        name=home,
        path=home,
        directory="",
        layout=found.layout,
        attempt=found.attempt,
        step=found.step,
        epoch=found.epoch,
        time=found.time,
    )


def every(place: Place) -> list[tuple[str, Record]]:
    """All whole backups of a place, oldest first. What is damaged is passed over."""
    found = _records(place)
    return [
        (item.name, found[item.name]) for item in order.arrange(as_checkpoint(known, home) for home, known in found.items())
    ]


def newest(place: Place, at: str = "") -> tuple[str, Record] | None:
    """The newest whole backup of a place, or that of a step or a name; None where there is none. What is damaged is passed over."""
    found = {home: known for home, known in _records(place).items() if at in ("", home, known.name, str(known.step))}
    best = policy.newest([as_checkpoint(known, home) for home, known in found.items()])
    return (best.name, found[best.name]) if best else None


def _records(place: Place) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for home in place.homes():
        try:
            if (known := read(place, home)) is not None:
                found[home] = known
        except errors.IoFailure:
            continue
    return found


def target_in_run(found: Record, run_dir: str) -> Target:
    """The place in a run where the checkpoint was, or checkpoints/ for one that comes from elsewhere."""
    inside = found.path.split(os.sep)[0] if found.run else ""
    tail = os.sep + found.entry
    if inside not in (names.CHECKPOINTS, names.ATTEMPTS) or not found.path.endswith(tail) or _odd(found.path):
        directory = os.path.join(run_dir, names.CHECKPOINTS)
        return Target(root=directory, directory=directory)
    return Target(root=os.path.join(run_dir, inside), directory=os.path.join(run_dir, found.path[: -len(tail)]))


def _odd(path: str) -> bool:
    return any(word in ("", os.curdir, os.pardir) for word in path.split(os.sep))


class Restorer:
    """Puts one backup back. `set_aside` is asked to move what is in the way; None: nothing may be."""

    def __init__(
        self,
        place: Place,
        home: str,
        found: Record,
        target: Target,
        *,
        jobs: int,
        tell: Tell,
        set_aside: Callable[[list[str]], None] | None,
        now: float,
    ) -> None:
        self._place, self._home, self._record, self._target = place, home, found, target
        self._jobs, self._tell, self._set_aside, self._now = jobs, tell, set_aside, now
        self._staging = os.path.join(target.directory, STAGING + (home or found.name))
        self._fetched = 0

    def restore(self, *, dry_run: bool = False) -> Restored:
        """Put it back.

        Raises:
            errors.CannotCreate: something else is in its place.
            errors.IoFailure: it cannot be fetched, is damaged, or there is no room.
        """
        states = self._states()
        path = os.path.join(self._target.directory, self._record.entry)
        if all(state == SAME for state in states.values()):
            notes = [] if dry_run else self._finished()
            return Restored(path=path, state="there", size=self._record.size, notes=notes)
        self._require_free(states)
        if dry_run:
            return Restored(path=path, state="would be restored", size=self._record.size)
        self._make_directory()
        self._fetch_all([name for name, state in states.items() if state != SAME])
        in_the_way = [os.path.join(self._target.directory, name) for name, state in states.items() if state == OTHER]
        if in_the_way and self._set_aside is not None:
            self._set_aside(in_the_way)
        self._go_live([name for name, state in states.items() if state != SAME])
        notes = self._finished()
        return Restored(path=path, state="restored", size=self._record.size, fetched=self._fetched, notes=notes)

    # --- what is there ---------------------------------------------------------------------------------------------------
    def _entries(self) -> list[str]:
        """The names in the directory, the one that a script is given last."""
        paths = [*(part.path for part in self._record.files), *self._record.links, *self._record.empty]
        found = sorted({path.split(os.sep)[0] for path in paths})
        main = self._record.entry.split(os.sep)[0]
        return sorted(found, key=lambda name: name == main)

    def _states(self) -> dict[str, str]:
        self._require_inside()
        return {name: self._state(name) for name in self._entries()}

    def _state(self, name: str) -> str:
        path = os.path.join(self._target.directory, name)
        if not os.path.lexists(path):
            return ABSENT
        wanted = [part for part in self._record.files if part.path.split(os.sep)[0] == name]
        try:
            item = Checkpoint(
                name=name, path=path, directory=self._target.directory, layout=self._record.layout, files=[name]
            )
            there = Unit(item, self._record).record
            if {part.path for part in there.files} != {part.path for part in wanted}:
                return OTHER
            same = all(self._is_there(part, os.path.join(self._target.directory, part.path)) for part in wanted)
        except (Broken, OSError):
            return OTHER
        return SAME if same else OTHER

    def _is_there(self, part: Part, path: str) -> bool:
        """Whether a file holds what was backed up, and leads to where it is now."""
        if self._is_pointer(part):
            return durable.read(path, limit=pointers.LARGEST) == self._adjusted(part)
        size = os.lstat(path).st_size
        if moving.applies(self._record.layout, part.path):
            return (
                size >= part.size and copying.digest_of(path, size=part.size) == part.xxh3_128 and self._is_moved(path, part)
            )
        return size == part.size and copying.digest_of(path) == part.xxh3_128

    def _is_moved(self, path: str, part: Part) -> bool:
        directory, before = os.path.abspath(self._target.directory), os.path.dirname(self._record.path)
        return moving.is_moved(path, directory, before, part.size)

    def _require_inside(self) -> None:
        """Return if the directory lies in the root, also when links are followed.

        Raises:
            errors.UsageError: it does not.
        """
        root, directory = os.path.realpath(self._target.root), os.path.realpath(self._target.directory)
        if not (directory + os.sep).startswith(root + os.sep):
            raise errors.UsageError(
                f"{durable.printable(self._target.directory)} leads out of {durable.printable(self._target.root)}",
                "a link is in the way: nothing was written",
            )

    def _require_free(self, states: dict[str, str]) -> None:
        others = [name for name, state in states.items() if state == OTHER]
        if others and self._set_aside is None:
            path = durable.printable(os.path.join(self._target.directory, others[0]))
            raise errors.CannotCreate(
                f"something else is in its place: {path}", "--force sets it aside first; --to chooses another place"
            )

    # --- fetching --------------------------------------------------------------------------------------------------------
    def _make_directory(self) -> None:
        local.make_durably(self._target.directory)
        self._require_inside()
        local.make(self._staging, self._target.directory)

    def _fetch_all(self, entries: Sequence[str]) -> None:
        parts = [part for part in self._record.files if part.path.split(os.sep)[0] in entries]
        missing = [part for part in parts if not self._staged(part)]
        making.require_space(self._staging, sum(part.size for part in missing), len(missing))
        with making.Pool(self._jobs) as pool:
            pool.over(self._fetch, missing)
        for path in self._record.empty:
            os.makedirs(os.path.join(self._staging, path), exist_ok=True)
        for path, link in self._record.links.items():
            local.make(os.path.dirname(os.path.join(self._staging, path)), self._staging)
            local.make_link(os.path.join(self._staging, path), link)
        for directory, _, _ in os.walk(self._staging):
            durable.fsync_dir(directory)

    def _staged(self, part: Part) -> bool:
        """Whether an earlier try fetched it, whole."""
        path = os.path.join(self._staging, part.path)
        try:
            state = os.lstat(path)
            return stat.S_ISREG(state.st_mode) and self._is_there(part, path)
        except OSError:
            return False

    def _fetch(self, part: Part) -> str:
        path = os.path.join(self._staging, part.path)
        local.make(os.path.dirname(path), self._staging)
        fd = os.open(path, _OPEN, 0o600)
        try:
            self._place.fetch(self._home, part, fd, self._tell)
            found = copying.digest(fd)
            if found != part.xxh3_128:
                os.ftruncate(fd, 0)
                raise errors.IoFailure(
                    f"{places.below(self._place.shown, self._home)}/{durable.printable(part.path)} is damaged: "
                    f"its checksum is {found}, and was {part.xxh3_128} when it was backed up",
                    "nothing was restored; try another backup",
                )
            if self._is_pointer(part):
                data = pointers.inside(os.pread(fd, part.size, 0), self._target.directory)
                os.ftruncate(fd, 0)
                os.lseek(fd, 0, os.SEEK_SET)
                durable.write_all(fd, data)
            elif moving.applies(self._record.layout, part.path):
                moving.move(path, os.path.abspath(self._target.directory), os.path.dirname(self._record.path))
            os.fchmod(fd, part.mode & 0o777)
            os.utime(fd, ns=(part.modified, part.modified))
            os.fsync(fd)
        finally:
            os.close(fd)
        self._fetched += part.size
        return ""

    def _is_pointer(self, part: Part) -> bool:
        small = part.size <= pointers.LARGEST
        return small and os.path.basename(part.path) == pointers.INSIDE and self._record.layout in ("transformers", "series")

    def _adjusted(self, part: Part) -> bytes | None:
        """A pointer's text as it will be."""
        data = self._place.read(self._home, part.path)
        return None if data is None else pointers.inside(data, self._target.directory)

    # --- going live ------------------------------------------------------------------------------------------------------
    def _go_live(self, entries: Sequence[str]) -> None:
        for name in entries:
            target = os.path.join(self._target.directory, name)
            if os.path.lexists(target):  # it came meanwhile, or was not set aside
                raise errors.CannotCreate(f"something else is in its place now: {durable.printable(target)}")
            os.rename(os.path.join(self._staging, name), target)
        durable.fsync_dir(self._target.directory)

    def _finished(self) -> list[str]:
        """What comes after, and what a kill may have left undone: all is in its place, and what was fetched is not needed any more."""
        shutil.rmtree(self._staging, ignore_errors=True)
        unfinished.sweep(self._target.directory, self._now, _STAGED, after=_STAGED_SECONDS)
        unfinished.sweep(self._target.directory, self._now)
        note = self._pointed()
        return [note] if note else []

    def _pointed(self) -> str:
        """Let the framework's own pointer lead to what was restored, where it leads nowhere."""
        row = pointers.beside(self._record.layout, self._target.directory, self._record.entry.split(os.sep)[0])
        if row is None:
            return ""
        path = os.path.join(self._target.directory, row[0])
        try:
            old = durable.read(path, limit=1 << 16).decode("utf-8", "replace").strip()
        except OSError:
            old = ""
        named = os.path.join(self._target.directory, old)
        if old and old != row[1] and (os.path.lexists(named) or self._record.layout == "megatron"):
            return ""
        durable.replace(path, row[1].encode("utf-8", "surrogateescape"))
        return f"{row[0]} leads to it now"
