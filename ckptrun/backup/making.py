"""One backup: look at the checkpoint, find its home, send what is not there yet, look again, and write the record last.

Killed anywhere, it is unfinished: a note of what it will hold (backup.begun.json) lets the next one go on with what is there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.backup import copying, places, record
from ckptrun.backup.unit import Unit
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun
from ckptrun.policy import backup as policy
from ckptrun.runs import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from ckptrun.backup.places import Place
    from ckptrun.backup.record import Part, Record
    from ckptrun.model import Checkpoint

    Tell = Callable[[int], None]
    Check = Callable[[], str]

MADE, THERE, FAILED, WOULD = "made", "there", "failed", "would be made"


class Made(Noun, frozen=True, kw_only=True):
    """What became of one checkpoint's backup."""

    checkpoint: str  # its path
    name: str = ""  # of its home in the place
    path: str = ""  # the place's, without passwords
    state: str  # MADE | THERE | FAILED | WOULD
    reason: str = ""
    size: int = 0  # bytes
    sent: int = 0  # bytes that were not there yet
    how: dict[str, int] = {}  # files by reflink, link, copy, sent


class Wish(Noun, frozen=True, kw_only=True):
    """How backups are made."""

    copy: bool = False  # every byte, even where a link would do
    verify: bool = False  # read everything that is there
    jobs: int = 4
    dry_run: bool = False


class Maker:
    """Makes backups in one place. `tell` hears of every so many bytes; `check` says why a checkpoint is not to be trusted now, or ""."""

    def __init__(self, place: Place, wish: Wish, clock: Callable[[], float], tell: Tell) -> None:
        self._place, self._wish, self._clock, self._tell = place, wish, clock, tell

    def make(self, item: Checkpoint, *, run_dir: str = "", run: str = "", check: Check = lambda: "") -> Made:
        """One backup; a checkpoint that changes or is broken is said, not raised.

        Raises:
            errors.CkptrunError, OSError: the place cannot be read or written.
        """
        try:
            unit = Unit(item, record.of(item, run_dir, run, self._clock()))
            home, _, done = self._home(item, unit)
            if done is None and not self._wish.dry_run:
                with self._place.alone(home):
                    home, begun, done = self._home(item, unit)  # whoever had it before us may have made it
                    if done is None:
                        return self._made(self._blank(item, unit, home), unit, home, begun=begun, check=check)
            blank = self._blank(item, unit, home)
            return msgspec.structs.replace(blank, state=WOULD) if done is None else self._already(blank, home, done)
        except Broken as broken:
            return Made(checkpoint=item.path, state=FAILED, reason=f"{broken.state}: {broken.reason}")

    def _blank(self, item: Checkpoint, unit: Unit, home: str) -> Made:
        return Made(checkpoint=item.path, name=home, path=self._shown(home), state=THERE, size=unit.record.size)

    def _home(self, item: Checkpoint, unit: Unit) -> tuple[str, bool, Record | None]:
        """The home, whether what lies there is a beginning of this, and the record if it is whole: then there is nothing to do."""
        first = policy.home(item, unit.record.path if unit.record.run else "")
        for number in range(1, 10_000):
            home = first if number == 1 else f"{first}.{number}"
            found = self._read(home, names.BACKUP_JSON)
            if found is not None:
                if self._same(unit, found):
                    return home, False, found
                continue
            begun = self._read(home, names.BACKUP_BEGUN)
            return home, begun is not None and self._same(unit, begun), None
        raise errors.IoFailure(f"{self._shown(first)}: there are ten thousand others of this name")

    def _read(self, home: str, name: str) -> Record | None:
        data = self._place.read(home, name)
        if data is None:
            return None
        try:
            return record.parse(data)
        except Broken:
            taken = name == names.BACKUP_JSON  # by something that is not ours to judge
            return record.Record(name="") if taken else None

    def _same(self, unit: Unit, found: Record) -> bool:
        """Whether both hold the same. Where only the times differ the bytes decide."""
        if record.same(unit.record, found):
            return True
        sizes = {part.path: part.size for part in found.files}
        if sizes != {part.path: part.size for part in unit.record.files}:
            return False
        self._read_all(unit)
        return record.same(unit.record, found)

    def _read_all(self, unit: Unit) -> None:
        """Digests of what nobody has vouched for."""
        unread = [part for part in unit.record.files if not part.xxh3_128]
        if not unread:
            return
        with Pool(self._wish.jobs) as pool:
            digests = pool.over(lambda part: copying.digest_of(unit.path(part)), unread)
        found = {part.path: digest for part, digest in zip(unread, digests, strict=True)}
        unit.read.update(found)
        files = [
            msgspec.structs.replace(part, xxh3_128=found[part.path]) if part.path in found else part
            for part in unit.record.files
        ]
        unit.record = msgspec.structs.replace(unit.record, files=files)

    def _already(self, blank: Made, home: str, found: Record) -> Made:
        if not self._wish.verify:
            return blank
        wrong = self._wrong(home, found)
        why = f"the backup is damaged: {wrong}; remove it to make it anew"
        return msgspec.structs.replace(blank, state=FAILED, reason=why) if wrong else blank

    def _wrong(self, home: str, found: Record) -> str:
        """What does not hold of a backup when all of it is read; "" = everything does."""
        with Pool(self._wish.jobs) as pool:
            digests = pool.over(lambda part: self._place.digest(home, part, self._tell), found.files)
        wrong = [part.path for part, digest in zip(found.files, digests, strict=True) if digest != part.xxh3_128]
        others = f", and {len(wrong) - 1} others" if wrong[1:] else ""
        return f"{wrong[0]} does not hold what was sent{others}" if wrong else ""

    def _made(self, blank: Made, unit: Unit, home: str, *, begun: bool, check: Check) -> Made:
        if why := check():
            raise Broken(names.PARTIAL, why)
        self._read_all(unit)
        if not begun:
            self._place.clear(home)
            self._place.write(home, names.BACKUP_BEGUN, record.encode(unit.record))
        missing = self._missing(home, unit)
        self._require_space(missing, unit)
        how = self._send(unit, home, missing)
        unit.require_unchanged()
        if why := check():
            raise Broken(names.PARTIAL, why)
        if left := self._missing(home, unit):
            raise errors.IoFailure(f"{self._shown(home)}/{left[0].path} is not there as it was sent")
        if self._wish.verify and (wrong := self._wrong(home, unit.record)):
            raise errors.IoFailure(f"{self._shown(home)}: {wrong}")
        self._place.finish(home, unit.record)
        self._place.write(home, names.BACKUP_JSON, record.encode(unit.record))
        self._place.remove(home, names.BACKUP_BEGUN)
        return msgspec.structs.replace(
            blank, state=MADE, size=unit.record.size, sent=sum(part.size for part in missing), how=how
        )

    def _missing(self, home: str, unit: Unit) -> list[Part]:
        there = self._place.sizes(home)
        return [part for part in unit.record.files if there.get(part.path) != part.size]

    def _send(self, unit: Unit, home: str, parts: Sequence[Part]) -> dict[str, int]:
        link = policy.may_link(unit.record.layout) and not self._wish.copy
        with Pool(1 if link and not self._place.remote else self._wish.jobs) as pool:
            done = pool.over(lambda part: self._place.put(unit, part, home, self._tell, link=link), parts)
        return {how: done.count(how) for how in dict.fromkeys(done)}

    def _require_space(self, parts: Sequence[Part], unit: Unit) -> None:
        """Where every byte will be copied onto a disk of ours: it must not be filled under a training.

        Raises:
            errors.IoFailure: there is no room.
        """
        if self._place.remote or (policy.may_link(unit.record.layout) and not self._wish.copy):
            return
        require_space(self._place.shown, sum(part.size for part in parts), len(parts))

    def _shown(self, home: str) -> str:
        return places.below(self._place.shown, home)


class Pool:
    """A few threads; the first error ends the work."""

    def __init__(self, jobs: int) -> None:
        self._threads = _threads(jobs) if jobs > 1 else None

    def __enter__(self) -> Pool:  # noqa: PYI034  # Self came with 3.11
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def over(self, act: Callable[[Part], str], parts: Sequence[Part]) -> list[str]:
        """What `act` says of each part, in their order."""
        each = map(act, parts) if self._threads is None or len(parts) < 2 else self._threads.map(act, parts)
        return list(each)


def _threads(jobs: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # where there is something to send

    return ThreadPoolExecutor(jobs)


def require_space(directory: str, size: int, files: int) -> None:
    """Return if so many bytes and files can be written there, as far as the filesystem tells.

    Raises:
        errors.IoFailure: with the figures.
    """
    there = directory
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    disk = os.statvfs(there)
    free = disk.f_bavail * disk.f_frsize
    if free < size or (disk.f_files and disk.f_favail < files):
        from ckptrun import units  # noqa: PLC0415  # for the sentence

        raise errors.IoFailure(
            f"there is no room in {durable.printable(directory)}: {units.size(size)} in {files} files are to be written, "
            f"{units.size(free)} and {disk.f_favail} files are free",
            "free some space, or choose another place with --to",
        )
