"""Checkpoints that others wrote: what is claimed in one directory, with its files, its state and what stands beside it.

What names cannot tell is looked up here, each thing once for a whole directory: sizes and times, the ends of files, metrics.
"""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.checkpoints import abreast, hints, reading, siblings, wholeness
from ckptrun.checkpoints.measure import Measured, listed, measure, nothing
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.layouts import catalogue, lacks, naming, records, sidecars
from ckptrun.model import Checkpoint
from ckptrun.policy import roles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckptrun.layouts.claim import Claim

_STRUCTURE = "structure"
_GUESSED_DIRECTORY = "series"
_ENOUGH = 3  # siblings that agree, before one that differs from them is the odd one
_ALIKE, _SMALL = 1.1, 0.5  # sizes that agree are within this ratio; what is below that part of them was cut short


class Directory:
    """One directory that holds checkpoints of others."""

    def __init__(
        self,
        directory: str,
        place: str,
        attempt: int | None,
        patience: Patience,
        *,
        sizes: bool,
        times: bool,
        inside: Callable[[str], Iterable[str]],
        seen: Callable[[str], list[os.DirEntry[str]] | None],
    ) -> None:
        self._directory, self._place, self._attempt, self._patience = directory, place, attempt, patience
        self._sizes, self._times, self._inside, self._seen = sizes, times, inside, seen

    def checkpoints(self, claims: Iterable[Claim]) -> list[Checkpoint]:
        """What the claims are; a directory that is only named like a checkpoint is none."""
        kept = _kept(abreast.over(lambda claim: (claim, self._measured(claim)), claims))
        pointed = hints.vouched(self._directory, [claim for claim, _ in kept])
        lacking = siblings.lacking(
            {claim.name: found.files for claim, found in kept if claim.name not in pointed and _counts_ranks(claim)}
        )
        lacking = _short_of_vouched(kept, pointed) | lacking
        items = [self._item(claim, found, lacking.get(claim.name, "")) for claim, found in kept]
        items = _without_names(items)
        items = hints.told(self._directory, items, self._inside)
        return _in_band(_twins(items, {claim.name: found for claim, found in kept}), dict(_by_name(kept)))

    def _measured(self, claim: Claim) -> Measured:
        """Its files; with their sizes where these are asked for, or where nothing but its files says what it is."""
        if self._sizes or claim.layout == _GUESSED_DIRECTORY:
            return measure(self._directory, claim.files, seen=self._seen)
        if self._times:
            return measure(self._directory, claim.files, deep=_is_judged_by_files(claim), seen=self._seen)
        if claim.directory:
            return listed(claim.name, self._inside(os.path.join(self._directory, claim.name)))
        return nothing([claim.name] if claim.prefix_path and os.sep in claim.name else claim.files)

    def _item(self, claim: Claim, found: Measured, lacking: str) -> Checkpoint:
        item = Checkpoint(
            name=claim.name,
            path=os.path.join(self._directory, claim.name if claim.prefix_path else claim.files[0]),
            directory=self._directory,
            layout=claim.layout,
            place=self._place,
            attempt=self._attempt,
            step=claim.step,
            epoch=claim.epoch,
            metrics=claim.metrics,
            time=found.time,
            size=found.size,
            sized=found.whole,
            files=found.files or claim.files,
            entries=tuple(claim.files),
            shared=claim.shared,
            series=claim.series,
            follows=claim.follows,
            reused=not claim.guess and (claim.follows or (claim.best and claim.step is None and claim.epoch is None)),
            called=(roles.BEST,) if claim.best else (),
            guess=claim.guess,
            why=claim.why,
            likeness=claim.likeness,
        )
        state, reason = self._state(item, claim, found, lacking)
        return item if state == names.COMPLETE else msgspec.structs.replace(item, state=state, reason=reason)

    def _state(self, item: Checkpoint, claim: Claim, found: Measured, lacking: str) -> tuple[str, str]:
        if reason := claim.unfinished or self._doubted(claim) or _lacks(claim, found) or lacking or _empty(claim, found):
            return names.PARTIAL, reason
        if not _is_judged_by_files(claim) or (claim.directory and not (self._sizes or self._times)):
            return names.COMPLETE, ""
        try:
            wholeness.judge(item, deep=False, patience=self._patience, tell=lambda _: None)
        except Broken as broken:
            return broken.state, broken.reason
        return names.COMPLETE, ""

    def _doubted(self, claim: Claim) -> str:
        """Orbax of a time when no marker was written: its own metadata says when it was committed, if there are any."""
        if not claim.doubt:
            return ""
        path = os.path.join(self._directory, claim.name, "_CHECKPOINT_METADATA")
        try:
            return "" if records.committed(reading.small(path, sidecars.LARGEST)) else claim.doubt
        except FileNotFoundError:
            return ""  # older than that file
        except (Broken, OSError):
            return claim.doubt


def _kept(measured: list[tuple[Claim, Measured]]) -> list[tuple[Claim, Measured]]:
    """Those that hold a state; of a guessed series that has such, also later ones, which were cut short before they did."""
    sure: set[str] = set()
    kept = []
    for claim, found in sorted(measured, key=lambda pair: pair[0].step or 0):
        if claim.layout != _GUESSED_DIRECTORY or _holds_state(claim, found):
            kept.append((claim, found))
            sure.add(claim.series)
        elif claim.directory and claim.series in sure:
            kept.append((claim, found))
    return kept


def _without_names(items: list[Checkpoint]) -> list[Checkpoint]:
    """Where names tell how good each is, the name `best` tells less: it is of one metric, and may be a copy."""
    told = {item.layout for item in items if any(map(roles.direction, item.metrics))}
    return [msgspec.structs.replace(item, called=()) if item.called and item.layout in told else item for item in items]


def _is_judged_by_files(claim: Claim) -> bool:
    layout = catalogue.layout(claim.layout)
    return layout is None or layout.check != _STRUCTURE


def _by_name(kept: list[tuple[Claim, Measured]]) -> Iterable[tuple[str, Measured]]:
    return ((claim.name, found) for claim, found in kept)


def _holds_state(claim: Claim, found: Measured) -> bool:
    return not claim.directory or any(naming.holds_state(os.path.basename(name)) for name in found.files)


def _counts_ranks(claim: Claim) -> bool:
    layout = catalogue.layout(claim.layout)
    if layout is None:
        return claim.directory
    return layout.ranks and (claim.directory or layout.unit is not None)


def _short_of_vouched(kept: list[tuple[Claim, Measured]], pointed: set[str]) -> dict[str, str]:
    """What is later than the one that its framework vouches for, and has less than that: the save that was cut short."""
    counted = [(claim, found) for claim, found in kept if claim.step is not None and found.files and _counts_ranks(claim)]
    found = {}
    for vouched, theirs in counted:
        for claim, mine in counted if vouched.name in pointed else ():
            if claim.layout == vouched.layout and (claim.step or 0) > (vouched.step or 0):
                found[claim.name] = siblings.short_of(claim.name, mine.files, vouched.name, theirs.files)
    return {name: reason for name, reason in found.items() if reason}


def _lacks(claim: Claim, found: Measured) -> str:
    """Of a directory of an unknown script, what names inside it say; a literal's own were looked at already."""
    inside = (
        [name[len(claim.name) + 1 :] for name in found.files]
        if claim.layout == _GUESSED_DIRECTORY and claim.directory
        else []
    )
    if claim.layout == _GUESSED_DIRECTORY and not _holds_state(claim, found):
        return "it holds no state, as others of its series do"
    return lacks.directory(inside) if inside else ""


def _empty(claim: Claim, found: Measured) -> str:
    """A file of nothing where a state should be: what a power cut or a full disk leaves."""
    if _is_judged_by_files(claim):
        return ""  # each file is looked at
    empty = [name for name, size in found.sizes.items() if not size and (not claim.directory or naming.is_never_empty(name))]
    return f"{min(empty)} is empty" if empty else ""


def _twins(items: list[Checkpoint], measured: dict[str, Measured]) -> list[Checkpoint]:
    """Where what is called best is a hard link to one with a step, that one is the best."""
    best = {measured[item.name].inodes: item for item in items if roles.BEST in item.called and item.step is None}
    twins = {
        item.name: best[key]
        for item in items
        if item.step is not None and (key := measured[item.name].inodes) in best and key
    }
    others = {item.name for item in twins.values()}
    return [_with_twin(item, is_twin=item.name in twins) if item.name in {*twins, *others} else item for item in items]


def _with_twin(item: Checkpoint, *, is_twin: bool) -> Checkpoint:
    return msgspec.structs.replace(item, called=(roles.BEST,) if is_twin else ())


def _in_band(items: list[Checkpoint], measured: dict[str, Measured]) -> list[Checkpoint]:
    """One that is much smaller than all others of its series, which agree: formats that say nothing of their end are judged so."""
    groups: dict[tuple[str, str], list[Checkpoint]] = {}
    for item in items:
        if item.step is not None and item.state == names.COMPLETE and item.size and measured[item.name].whole:
            groups.setdefault((item.layout, item.series), []).append(item)
    small: dict[int, str] = {}
    for group in groups.values():
        small.update(_small(group))
    return [
        msgspec.structs.replace(item, state=names.PARTIAL, reason=small[id(item)]) if id(item) in small else item
        for item in items
    ]


def _small(group: list[Checkpoint]) -> dict[int, str]:
    sizes = [item.size for item in group]
    if len(sizes) <= _ENOUGH:
        return {}
    usual = statistics.median(sizes)
    alike = [size for size in sizes if usual / _ALIKE <= size <= usual * _ALIKE]
    if len(alike) < max(_ENOUGH, len(sizes) - 1):
        return {}
    return {
        id(item): f"it has {item.size} bytes, and all {len(alike)} others of its series about {int(usual)}"
        for item in group
        if item.size < usual * _SMALL
    }
