"""The frameworks' literals applied to what is left of a directory: which entries are one checkpoint, and what their names say of it."""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING

import msgspec

from ckptrun.layouts import catalogue, lacks, naming, numbers
from ckptrun.layouts.claim import UNFINISHED, Claim
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.layouts.claim import Entry, Inside

_DIGIT = re.compile(r"(?<!\.h)(?<!\.hdf)\d")  # those of .h5 and .hdf5 are letters
_PREFIX = "prefix"
_DEEPEST = 4  # directories that slashes in the name of a metric make


class Place(Noun, frozen=True, kw_only=True):
    """A directory as the literals see it: its own name, all names in it, and what is inside of those below."""

    name: str
    names: frozenset[str]
    inside: Inside


class _Match(Noun, frozen=True, kw_only=True):
    """An entry whose name fits a literal's expression number `rank`."""

    entry: Entry
    groups: dict[str, str | None]
    rank: int = 0
    unfinished: bool = False


def claims(
    entries: Sequence[Entry], *, where: str, inside: Inside, layouts: tuple[Layout, ...] | None = None
) -> list[Claim]:
    """Every checkpoint that frameworks know among the entries of the directory called `where`."""
    place = Place(name=where, names=frozenset(entry.name for entry in entries), inside=inside)
    found: list[Claim] = []
    taken: set[str] = set()
    for layout, matches in _matches(entries, catalogue.frameworks() if layouts is None else layouts):
        mine = list(_of(layout, [match for match in matches if match.entry.name not in taken], place))
        taken.update(name for claim in mine for name in claim.files)
        found.extend(mine)
    return found


# --- which names fit ---------------------------------------------------------------------------------------------------
def _matches(entries: Sequence[Entry], layouts: tuple[Layout, ...]) -> Iterator[tuple[Layout, list[_Match]]]:
    """For each layout, the entries whose names fit it. Names that differ in digits only are tried once."""
    shapes: dict[tuple[str, bool], list[Layout]] = {}
    fitting: dict[str, list[_Match]] = {}
    for entry in entries:
        if entry.link:
            continue  # what a link leads to is claimed where it lies
        shape = (_DIGIT.sub("1", entry.name), entry.directory)
        if shape not in shapes:
            shapes[shape] = [layout for layout in layouts if layout.exact or _fit(layout, *shape)]
        for layout in shapes[shape]:
            if match := _match(layout, entry):
                fitting.setdefault(layout.name, []).append(match)
    return ((layout, fitting[layout.name]) for layout in layouts if layout.name in fitting)


def _match(layout: Layout, entry: Entry) -> _Match | None:
    found = _fit(layout, entry.name, entry.directory)
    return _Match(entry=entry, groups=found[0].groupdict(), rank=found[1], unfinished=found[2]) if found else None


def _fit(layout: Layout, name: str, directory: bool) -> tuple[re.Match[str], int, bool] | None:  # noqa: FBT001
    for expression in layout.unfinished:
        if found := _compiled(expression).fullmatch(name):
            return found, 0, True
    if layout.directory is not None and layout.directory is not directory:
        return None
    for rank, expression in enumerate(layout.entry):
        if found := _compiled(expression).fullmatch(name):
            return found, rank, False
    if directory and layout.nest and (found := _compiled(layout.nest).fullmatch(name)):
        return found, len(layout.entry), False
    return None


@functools.cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)


def _any(expression: str, names: Iterable[str]) -> bool:
    compiled = _compiled(expression)
    return any(compiled.fullmatch(name) for name in names)


# --- which of them are checkpoints -------------------------------------------------------------------------------------
def _of(layout: Layout, matches: list[_Match], place: Place) -> Iterator[Claim]:
    if not matches or (layout.within and not _any(layout.within, [place.name])):
        return
    if layout.beside and not _any(layout.beside, place.names):
        return
    meant = [*_files(layout, matches), *_directories(layout, matches, place)]
    units = _units(layout, meant)
    series = _only_prefix(units)
    yield from lacks.among(layout, _counted([_claim(layout, unit, place, series) for unit in units]), place.inside)


def _files(layout: Layout, matches: list[_Match]) -> list[_Match]:
    files = [match for match in matches if not match.entry.directory]
    return [match for match in files if not (layout.guess and naming.is_something_else(match.entry.name))]


def _directories(layout: Layout, matches: list[_Match], place: Place) -> list[_Match]:
    """Those with the contents that a checkpoint has; where there is one, also those that are named as the framework names them."""
    candidates = [match for match in matches if match.entry.directory]
    sure = [match for match in candidates if _has_contents(layout, match, place)]
    if not sure:
        return []
    certain = {match.entry.name for match in sure}
    return [match for match in candidates if match.entry.name in certain or not (match.rank or match.unfinished)]


def _has_contents(layout: Layout, match: _Match, place: Place) -> bool:
    name = match.entry.name
    if match.unfinished:
        return not layout.unfinished_inside or _any(layout.unfinished_inside, place.inside(name))
    names = list(place.inside(name))
    if layout.inside and _any(layout.inside, names):
        return True
    if layout.nested:
        return bool(_nested(layout, name, place))
    if not layout.below:
        return False
    below = list(_below(name, names, place))
    return _any(layout.below, below) and not (layout.not_below and _any(layout.not_below, below))


def _nested(layout: Layout, name: str, place: Place) -> str:
    """The path of the one file in a directory, or in its only one, that is the checkpoint; "" if there is none."""
    for _ in range(_DEEPEST):
        names = list(place.inside(name))
        if len(names) != 1:
            return ""
        name = os.path.join(name, names[0])
        if _any(layout.nested, names) and not list(place.inside(name)):
            return name
    return ""


def _below(name: str, names: Iterable[str], place: Place) -> Iterator[str]:
    return (f"{first}/{second}" for first in names for second in place.inside(os.path.join(name, first)))


def _units(layout: Layout, matches: list[_Match]) -> list[list[_Match]]:
    """Matches that are one checkpoint together, what a script is given first."""
    groups: dict[tuple[object, ...], list[_Match]] = {}
    for match in matches:
        groups.setdefault(_key(layout, match), []).append(match)
    units = [sorted(group, key=lambda match: (not _is_main(layout, match), match.entry.name)) for group in groups.values()]
    return [unit for unit in units if _is_proved(layout, unit)]


def _is_proved(layout: Layout, unit: list[_Match]) -> bool:
    return not layout.proof or unit[0].unfinished or _any(layout.proof, (match.entry.name for match in unit))


def _key(layout: Layout, match: _Match) -> tuple[object, ...]:
    if layout.unit is None or match.unfinished:
        return (match.entry.name,)
    key = tuple(match.groups.get(group) for group in layout.unit)
    return key if any(value is not None for value in key) or layout.proof or layout.beside else (match.entry.name,)


def _is_main(layout: Layout, match: _Match) -> bool:
    return not layout.main or _any(layout.main, [match.entry.name])


# --- what is said of them ----------------------------------------------------------------------------------------------
def _only_prefix(units: list[list[_Match]]) -> str:
    """The one prefix that there is: names without any, such as `best_model.zip`, belong to it."""
    prefixes = {unit[0].groups.get(_PREFIX) for unit in units} - {None}
    return prefixes.pop() or "" if len(prefixes) == 1 else ""


def _claim(layout: Layout, unit: list[_Match], place: Place, series: str) -> Claim:
    first = unit[0]
    name = first.entry.name
    nested = _is_nested(layout, first, place)
    name = nested or name
    follows, best = _is(layout.follows, name), _is(layout.best, name)
    step, epoch, metrics = numbers.of_name(name, first.groups, pairs=layout.pairs, measures=layout.measures)
    return Claim(
        layout=layout.name,
        name=first.groups.get("stem") or name,
        files=[*(match.entry.name for match in unit), *_companions(layout, name, place)],
        directory=first.entry.directory and not nested,
        step=step,
        epoch=epoch,
        metrics=metrics,
        unfinished=UNFINISHED if first.unfinished else "",
        guess=layout.guess,
        prefix_path=layout.prefix_path or bool(nested),
        series=series if first.groups.get(_PREFIX) is None else first.groups[_PREFIX] or "",
        follows=follows,
        best=best,
        likeness=2 if follows else 0 if best else 1,
        shared=tuple(sorted(other for other in place.names if _is(layout.shared, other))) if layout.shared else (),
    )


def _is_nested(layout: Layout, match: _Match, place: Place) -> str:
    """The path of the file that a directory is there for, "" if the directory itself is the checkpoint."""
    if not layout.nested or not match.entry.directory or _any(layout.inside, place.inside(match.entry.name)):
        return ""
    return _nested(layout, match.entry.name, place)


def _is(expression: str, name: str) -> bool:
    return bool(expression) and _any(expression, [name])


def _companions(layout: Layout, name: str, place: Place) -> list[str]:
    wanted = [_beside(template, name) for template in (*layout.companions, *filter(None, [layout.veto]))]
    return [other for other in wanted if other in place.names]


def _beside(template: str, name: str) -> str:
    return template.format(name=name, stem=os.path.splitext(name)[0])


def _counted(found: list[Claim]) -> list[Claim]:
    """Where no name of a series has a step, the epoch is the number that counts."""
    stepless = {claim.series for claim in found} - {claim.series for claim in found if claim.step is not None}
    return [_counted_by_epoch(claim) if claim.series in stepless else claim for claim in found]


def _counted_by_epoch(claim: Claim) -> Claim:
    return claim if claim.epoch is None else msgspec.structs.replace(claim, step=int(claim.epoch))
