"""Looks a run or a directory up on disk and hands on what a listing shows: every checkpoint with its role."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.checkpoints import scan
from ckptrun.layouts.catalogue import OWN
from ckptrun.model import Noun, Series
from ckptrun.policy import roles
from ckptrun.report.listing import Listing
from ckptrun.runs import paths as run_paths
from ckptrun.runs import pins, records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.model import AttemptRecord, Checkpoint
    from ckptrun.runs.paths import RunPaths

_UP = 4  # checkpoints/NAME/… and attempts/NNNN/output/SUB/NAME are at most so deep inside a run


class Wish(Noun, frozen=True):
    """Which metric picks the best, and which end of it is better."""

    metric: str = ""
    mode: str = roles.AUTO


def run_listing(run: RunPaths, wish: Wish | None = None) -> Listing:
    """All checkpoints of a run, oldest first, wherever in it they lie.

    Raises:
        UsageError: the metric is not there, or its better end is not known.
        IoFailure: a directory could not be read.
    """
    found = _pinned(scan.scan_run(run.checkpoints, run.attempts, sizes=True), pins.boards(run.dir, run))
    best = _best(found, wish)
    pointers = {place: scan.pointer(*place) for place in {(item.directory, item.layout) for item in found}}
    pointed = {os.path.join(directory, name) for (directory, _), name in pointers.items() if name}
    marked = roles.marked(
        found, latest=roles.latest(found), best=best.checkpoint, resumed=resumed_paths(run), pointed=pointed
    )
    return Listing(
        title=run.name,
        base=run.dir,
        run=run.name,
        checkpoints=marked,
        series=_grouped(marked, run.name, best.checkpoint, pointers),
        metric=best.metric,
        best=best.why if best.checkpoint else "",
    )


def directory_listing(directory: str, wish: Wish | None = None) -> Listing:
    """All checkpoints of a directory, each of its series with a latest and a best of its own.

    Raises:
        UsageError, IoFailure: as `run_listing`.
    """
    around = run_around(directory)
    resumed = resumed_paths(around) if around else set()
    places = scan.scan_directory(directory)
    overall = _best([item for place in places for item in place.checkpoints], wish)
    series = []
    for place in places:
        place = _with_pins(place, around)  # noqa: PLW2901  # the same, as far as anybody sees
        best = _best_of(place, overall.metric, wish.mode if wish else roles.AUTO)
        series.append(_marked_series(place, best, resumed, around.name if around else place.run))
    checkpoints = [item for each in series for item in each.checkpoints]
    why = overall.why if overall.checkpoint else ""
    return Listing(title=directory, base=directory, checkpoints=checkpoints, series=series, metric=overall.metric, best=why)


def run_around(path: str) -> RunPaths | None:
    """The run that `path` lies in, None if it lies in none."""
    directory = os.path.abspath(path)
    for _ in range(_UP + 1):
        if os.path.lexists(os.path.join(directory, names.RUN_YAML)):
            return run_paths.RunPaths(dir=directory)
        directory = os.path.dirname(directory)
    return None


def attempt_records(run: RunPaths) -> list[AttemptRecord]:
    """The record of each attempt, in order; those that never came to be or cannot be understood are left out."""
    found = (_record(run, number) for number in run_paths.attempts(run))
    return [record for record in found if record is not None]


def resumed_paths(run: RunPaths) -> set[str]:
    """Absolute paths of what the attempts of a run resumed from."""
    return {resumed_path(run, record) for record in attempt_records(run) if record.resumed_from}


def resumed_path(run: RunPaths, record: AttemptRecord) -> str:
    """What an attempt resumed from, absolute; "" if it began from nothing."""
    return os.path.normpath(os.path.join(run.dir, record.resumed_from)) if record.resumed_from else ""


def resumed_by(run: RunPaths, item: Checkpoint) -> list[int]:
    """The attempts of a run that went on from this checkpoint."""
    return [record.attempt for record in attempt_records(run) if resumed_path(run, record) == item.path]


def _with_pins(place: Series, run: RunPaths | None) -> Series:
    return msgspec.structs.replace(place, checkpoints=_pinned(place.checkpoints, pins.boards(place.directory, run)))


def _pinned(found: list[Checkpoint], boards: list[pins.Board]) -> list[Checkpoint]:
    """The same, those that are pinned saying so."""
    held = pins.pinned(boards, [item.path for item in found])
    pinned = [msgspec.structs.replace(item, pinned=True) if item.path in held else item for item in found] if held else found
    return _thinned(pinned)


def _thinned(found: list[Checkpoint]) -> list[Checkpoint]:
    """The same, those of other frameworks that were thinned no longer complete: the mark lies beside them."""
    foreign = [item for item in found if item.layout != OWN.name]
    marked: set[str] = set()
    for directory in {item.directory for item in foreign}:
        marked |= pins.pinned(pins.beside(directory, names.THINNED), [item.path for item in foreign])
    return [_without_optimizer(item) if item.path in marked else item for item in found] if marked else found


def _without_optimizer(item: Checkpoint) -> Checkpoint:
    reason = "thinned by ckptrun prune: its optimizer's files were taken away"
    return msgspec.structs.replace(item, state=names.PARTIAL, reason=reason, thinned=True)


def _record(run: RunPaths, number: int) -> AttemptRecord | None:
    try:
        return records.read_attempt(run.attempt(number))
    except errors.CkptrunError:  # its checkpoints are there all the same; `show` says what is wrong with the record
        return None


def _grouped(
    marked: Sequence[Checkpoint], run: str, best: Checkpoint | None, pointers: Mapping[tuple[str, str], str]
) -> list[Series]:
    groups: dict[tuple[str, str], list[Checkpoint]] = {}
    for item in marked:
        groups.setdefault((item.directory, item.layout), []).append(item)
    return [_series(place, run, items, best, pointers[place]) for place, items in groups.items()]


def _series(place: tuple[str, str], run: str, items: list[Checkpoint], best: Checkpoint | None, pointer: str) -> Series:
    latest = roles.latest(items)
    return Series(
        directory=place[0],
        layout=place[1],
        run=run,
        latest=latest.name if latest else "",
        best=best.name if best and any(item.path == best.path for item in items) else "",
        pointer=pointer,
        checkpoints=items,
    )


def _marked_series(found: Series, best: Checkpoint | None, resumed: set[str], run: str) -> Series:
    latest = roles.latest(found.checkpoints)
    return msgspec.structs.replace(
        found,
        run=run,
        latest=latest.name if latest else "",
        best=best.name if best else "",
        checkpoints=roles.marked(
            found.checkpoints,
            latest=latest,
            best=best,
            resumed=resumed,
            pointed={os.path.join(found.directory, found.pointer)},
        ),
    )


def _best(found: Sequence[Checkpoint], wish: Wish | None) -> roles.Best:
    return roles.best(found, wish.metric, wish.mode) if wish else roles.best(found)


def _best_of(place: Series, metric: str, mode: str) -> Checkpoint | None:
    """One of several series: a metric that this one does not have makes none of it the best."""
    has = any(metric in item.metrics for item in place.checkpoints if item.state == names.COMPLETE)
    return roles.best(place.checkpoints, metric, mode).checkpoint if metric and has else None
