"""Looking into checkpoints, and what is told of it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ckptrun import names, units
from ckptrun.checkpoints import own, parts, seals
from ckptrun.checkpoints.reader import Reader
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.model import Noun
from ckptrun.report import working
from ckptrun.report.cells import Column
from ckptrun.report.text import some
from ckptrun.runs import beside, durable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.checkpoints.parts import Part
    from ckptrun.checkpoints.seals import Seal
    from ckptrun.model import Checkpoint
    from ckptrun.report.paper import Paper

COLUMNS = (Column("state"), Column("checkpoint"), Column("reason", words=True))


class Finding(Noun, frozen=True, kw_only=True):
    """One checkpoint that is not whole, or of which nobody can tell."""

    path: str
    state: str
    reason: str


class Verified(Noun, frozen=True, kw_only=True):
    """What came of it. `bytes` are those that were held against a checksum."""

    checked: int
    findings: list[Finding] = []
    remarks: list[str] = []
    deep: bool = False
    bytes: int = 0
    unproved: int = 0  # files, read deeply, that have no checksum
    seconds: float = 0.0

    @property
    def broken(self) -> list[Finding]:
        """Those that are not whole."""
        return [each for each in self.findings if each.state != names.UNKNOWN]

    @property
    def unread(self) -> list[Finding]:
        """Those that could not be read, which says nothing about them."""
        return [each for each in self.findings if each.state == names.UNKNOWN]

    @property
    def exit_code(self) -> int:
        """What the verb ends with: what is broken counts more than what could not be read."""
        if self.broken:
            return names.EXIT_FAILURE
        return names.EXIT_IO if self.unread else names.EXIT_OK


class _Work:
    """The checkpoints, what was found against each, and the files that are left to look into."""

    def __init__(self, items: Sequence[Checkpoint], *, deep: bool) -> None:
        self.items, self.deep = items, deep
        self.found: list[list[Broken]] = [[] for _ in items]
        self.parts: list[tuple[int, Part]] = []
        self.remarks: list[str] = []
        self.unproved = 0

    def plan(self) -> None:
        kept = seals_of(self.items)
        for number, item in enumerate(self.items):
            seal = kept.get(item.path)
            if isinstance(seal, Broken):
                self.remarks.append(f"{item.path}: {seal.reason}")
                seal = None
            try:
                plan = parts.plan(item, deep=self.deep, seal=seal)
            except Broken as broken:
                self.found[number].append(broken)
                continue
            self.parts += [(number, part) for part in plan.parts]
            self.remarks += [f"{item.path}: {plan.remark}"] if plan.remark else []

    def look(self, part: Part, tell: Callable[[int], None]) -> tuple[Broken | None, int]:
        told = [0]

        def count(more: int) -> None:
            told[0] += more
            tell(more)

        return parts.check(part, deep=self.deep, tell=count, patience=Patience((0.1,))), told[0]

    def read(self, reader: Reader) -> None:
        files = [part for _, part in self.parts]
        for which, (broken, told) in reader.over(files, self.look):
            number, part = self.parts[which]
            if broken is not None:
                self.found[number].append(broken)
            elif self.deep and part.size and not told:
                self.unproved += 1

    def findings(self) -> list[Finding]:
        made = []
        for item, found in zip(self.items, self.found, strict=True):
            if found and _is_gone(item):
                self.remarks.append(f"{item.path}: it is gone; it was there when this began")
            elif found:
                worst = own.worst(found)
                made.append(Finding(path=item.path, state=worst.state, reason=worst.reason))
        return made


def verify(
    items: Sequence[Checkpoint],
    *,
    deep: bool,
    jobs: int,
    page: Paper,
    monotonic: Callable[[], float] = time.monotonic,
) -> Verified:
    """Look into each: sizes, headers, directories; `deep`: every byte that has a checksum. `page` (stderr) shows how far it is."""
    began = monotonic()
    work = _Work(items, deep=deep)
    with working.busy("looking for files", page):
        work.plan()
    with working.metered("reading", sum(part.size for _, part in work.parts) if deep else 0, page) as meter:
        reader = Reader(jobs, meter.show if deep else lambda _: None)
        work.read(reader)
    return Verified(
        checked=len(items),
        findings=work.findings(),
        remarks=work.remarks,
        deep=deep,
        bytes=reader.read,
        unproved=work.unproved,
        seconds=monotonic() - began,
    )


def seals_of(items: Sequence[Checkpoint]) -> dict[str, Seal | Broken]:
    """The seals that there are, by the paths of their checkpoints; of one that says nothing, why.

    Raises:
        IoFailure: a directory of seals could not be read.
    """
    found: dict[str, Seal | Broken] = {}
    for directory in dict.fromkeys(item.directory for item in items):
        mine = [item.path for item in items if item.directory == directory]
        for path, file in beside.known(beside.boards(directory, names.SEALS), mine).items():
            found[path] = _seal(file)
    return found


def _seal(file: str) -> Seal | Broken:
    try:
        return seals.parse(durable.read(file, limit=seals.LARGEST))
    except Broken as broken:
        return Broken(broken.state, f"{broken.reason}: {file}")
    except OSError as error:
        return Broken(names.UNKNOWN, f"its seal cannot be read: {error.strerror or error}: {file}")


def _is_gone(item: Checkpoint) -> bool:
    return not any(os.path.lexists(os.path.join(item.directory, name)) for name in item.entries or item.files)


def show(found: Verified, page: Paper) -> None:
    """A line for each that is not whole, and one for all."""
    if found.findings:
        page.table(COLUMNS, [(each.state, each.path, each.reason) for each in found.findings])
    page.line(sentence(found))


def sentence(found: Verified) -> str:
    """`12 checkpoints: 11 whole, 1 broken (3.2 GB read in 1.1 s, 2.9 GB/s)`."""
    whole = found.checked - len(found.findings)
    parts_ = [f"{whole:,} whole"] if found.findings else []
    parts_ += [f"{len(found.broken):,} broken"] if found.broken else []
    parts_ += [f"{len(found.unread):,} could not be read"] if found.unread else []
    head = f"{some(found.checked, 'checkpoint')}: {', '.join(parts_) or 'all whole'}"
    if not found.deep:
        return (
            f"{head} (by sizes and structure, {units.duration(found.seconds)}; --deep reads every byte that has a checksum)"
        )
    speed = f", {units.size(found.bytes / found.seconds)}/s" if found.seconds > 0 else ""
    return f"{head} ({units.size(found.bytes)} read in {units.duration(found.seconds)}{speed})"


def remarks(found: Verified) -> list[str]:
    """What somebody should know beside."""
    more = list(found.remarks)
    if found.unproved:
        what, whose = ("file has", "its") if found.unproved == 1 else ("files have", "their")
        looked = f"only {whose} structure was looked at (`ckptrun seal` makes one for later)"
        more.append(f"{found.unproved:,} {what} no checksum: {looked}")
    return more


def document(found: Verified) -> dict[str, Any]:
    """The same for programs."""
    return {
        "format": names.FORMAT,
        "checked": found.checked,
        "whole": found.checked - len(found.findings),
        "broken": [{"path": each.path, "state": each.state, "reason": each.reason} for each in found.broken],
        "unread": [{"path": each.path, "reason": each.reason} for each in found.unread],
        "remarks": remarks(found),
        "deep": found.deep,
        "bytes": found.bytes,
        "seconds": round(found.seconds, 3),
    }
