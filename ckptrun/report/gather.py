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
from ckptrun.runs import beside, pins, records
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.model import AttemptRecord, Checkpoint
    from ckptrun.runs.paths import RunPaths
    from ckptrun.runs.records import RunRecord

_FEW = 3
_UP = 4  # checkpoints/NAME/… and attempts/NNNN/output/SUB/NAME are at most so deep inside a run


class Wish(Noun, frozen=True):
    """Which metric picks the best, which end of it is better, whether sizes are looked up, and the user's own layouts."""

    metric: str = ""
    mode: str = roles.AUTO
    sizes: bool = True
    patterns: tuple[Layout, ...] = ()


def run_listing(run: RunPaths, wish: Wish | None = None) -> Listing:
    """All checkpoints of a run, oldest first, wherever in it they lie.

    Raises:
        UsageError: the metric is not there, or its better end is not known.
        IoFailure: a directory could not be read.
    """
    wish = wish or Wish()
    patterns = wish.patterns + recorded_patterns(run_record(run))
    looked = scan.look_run(run.checkpoints, run.attempts, sizes=wish.sizes, patterns=patterns)
    found = [item for item in looked.checkpoints if not item.name.startswith(names.TMP_PREFIX)]
    found = _pinned(found, pins.boards(run.dir, run))
    best = roles.best(found, wish.metric, wish.mode)
    marked = roles.marked(found, latest=roles.latest(found), best=best.checkpoint, resumed=resumed_paths(run))
    return Listing(
        title=run.name,
        base=run.dir,
        run=run.name,
        checkpoints=marked,
        series=_grouped(marked, run.name, best.checkpoint, looked.pointers),
        metric=best.metric,
        best=best.why if best.checkpoint else "",
    )


def directory_listing(directory: str, wish: Wish | None = None, *, below: bool = True) -> Listing:
    """All checkpoints of a directory, and some levels below it, each of its series with a latest and a best of its own.

    Raises:
        UsageError, IoFailure: as `run_listing`.
    """
    around = run_around(directory)
    resumed = resumed_paths(around) if around else set()
    wish = wish or Wish()
    looked = scan.look_directory(directory, sizes=wish.sizes, patterns=wish.patterns, below=below)
    found = msgspec.structs.replace(looked, checkpoints=_with_pins(looked.checkpoints, around))
    overall = roles.best(found.checkpoints, wish.metric, wish.mode)  # complains of a metric that none has
    series, reasons = [], {}
    for place in scan.series_of(found):
        best = _best_of(place, wish)
        reasons.update({best.why: best.metric} if best.checkpoint else {})
        series.append(_marked_series(place, best.checkpoint, resumed, around.name if around else place.run))
    return Listing(
        title=directory,
        base=directory,
        checkpoints=[item for each in series for item in each.checkpoints],
        series=series,
        metric=overall.metric or next(filter(None, reasons.values()), ""),
        best=", ".join(reasons),
    )


def run_around(path: str) -> RunPaths | None:
    """The run that `path` lies in, None if it lies in none."""
    directory = os.path.abspath(path)
    for _ in range(_UP + 1):
        if os.path.lexists(os.path.join(directory, names.RUN_YAML)):
            return run_paths.RunPaths(dir=directory)
        directory = os.path.dirname(directory)
    return None


def require_no_runs(directory: str, found: Sequence[Checkpoint]) -> None:
    """Return unless checkpoints of a directory belong to runs below it.

    Raises:
        UsageError: they do, and each run is something by itself.
    """
    if run_around(directory) is not None:
        return
    inside = sorted({around.dir for item in found if (around := run_around(item.directory))})
    if inside:
        more = " …" if len(inside) > _FEW else ""
        few = " ".join(inside[:_FEW])
        raise errors.UsageError(f"{directory} holds runs, each of which is taken by itself", f"name them: {few}{more}")


def run_record(run: RunPaths) -> RunRecord | None:
    """What run.yaml says; None where it says nothing that can be understood."""
    try:
        return records.read_run(run)
    except errors.CkptrunError:
        return None


def recorded_patterns(record: RunRecord | None) -> tuple[Layout, ...]:
    """The layouts of the patterns that a run was started with."""
    setting = record.settings.get("patterns") if record else None
    if setting is None or not isinstance(setting.value, list) or not setting.value:
        return ()
    from ckptrun.layouts import patterns  # noqa: PLC0415  # only where there are patterns

    try:
        return patterns.layouts(str(each) for each in setting.value)
    except errors.CkptrunError:  # edited by hand
        return ()


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


def _with_pins(found: list[Checkpoint], run: RunPaths | None) -> list[Checkpoint]:
    """The same, each with what is known of it: outside of runs, the marks of a directory lie beside it."""
    if run is not None:
        return _pinned(found, pins.boards(run.dir, run))
    return _pinned(found, _boards(found, names.PINS))


def _pinned(found: list[Checkpoint], boards: list[beside.Board]) -> list[Checkpoint]:
    """The same, those that are pinned saying so."""
    held = pins.pinned(boards, [item.path for item in found])
    pinned = [msgspec.structs.replace(item, pinned=True) if item.path in held else item for item in found] if held else found
    return _thinned(pinned)


def _thinned(found: list[Checkpoint]) -> list[Checkpoint]:
    """The same, those of other frameworks that were thinned no longer complete: the mark lies beside them."""
    foreign = [item for item in found if item.layout != OWN.name]
    marked = pins.pinned(_boards(foreign, names.THINNED), [item.path for item in foreign])
    return [_without_optimizer(item) if item.path in marked else item for item in found] if marked else found


def _boards(found: list[Checkpoint], kind: str) -> list[beside.Board]:
    """All places of marks about these; many directories share the one above them."""
    each = (board for directory in sorted({item.directory for item in found}) for board in beside.boards(directory, kind))
    return list({board.directory: board for board in each}.values())


def _without_optimizer(item: Checkpoint) -> Checkpoint:
    reason = "thinned by ckptrun prune: its optimizer's files were taken away"
    return msgspec.structs.replace(item, state=names.PARTIAL, reason=reason, thinned=True)


def _record(run: RunPaths, number: int) -> AttemptRecord | None:
    try:
        return records.read_attempt(run.attempt(number))
    except errors.CkptrunError:  # its checkpoints are there all the same; `show` says what is wrong with the record
        return None


def _grouped(
    marked: Sequence[Checkpoint], run: str, best: Checkpoint | None, pointers: Mapping[scan.Key, str]
) -> list[Series]:
    found = scan.Found(checkpoints=list(marked), pointers=dict(pointers))
    return [_of_run(series, run, best) for series in scan.series_of(found)]


def _of_run(series: Series, run: str, best: Checkpoint | None) -> Series:
    holds_best = best is not None and any(item.path == best.path for item in series.checkpoints)
    return msgspec.structs.replace(series, run=run, best=best.name if best and holds_best else "")


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
        ),
    )


def _best_of(place: Series, wish: Wish) -> roles.Best:
    """One of several series: a metric that this one does not have makes none of it the best."""
    has = any(wish.metric in item.metrics for item in place.checkpoints if item.state == names.COMPLETE)
    if wish.metric and not has:
        return roles.Best(checkpoint=None)
    return roles.best(place.checkpoints, wish.metric, wish.mode)
