"""Checkpoints as rows of a table and as the JSON of `ckptrun ls`. Pure: what is shown is decided from nouns alone."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import names, units
from ckptrun.model import Noun, Series
from ckptrun.policy import order, roles
from ckptrun.report.cells import Column, words
from ckptrun.report.text import some
from ckptrun.runs import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ckptrun.model import Checkpoint
    from ckptrun.report.cells import Cell
    from ckptrun.report.paper import Paper

_REASON = -2  # where the reason stands in a row
_LAYOUTS = {"own": "ckptrun", "series": "numbered names", "single": "rewritten in place", "file": "a file"}
STYLES = {
    names.COMPLETE: "green",
    names.PARTIAL: "yellow",
    names.CORRUPT: "red",
    names.UNKNOWN: "magenta",
    names.SOFT_DELETED: "dim",
}


class Listing(Noun, frozen=True, kw_only=True):
    """What one argument of `ckptrun ls` named: a run's checkpoints, or a directory's.

    `checkpoints` is oldest first over all of its places and bears the roles; `series` is the same, grouped by place and layout.
    """

    title: str
    base: str  # the directory that names are shown relative to
    run: str = ""
    checkpoints: list[Checkpoint] = []
    series: list[Series] = []
    metric: str = ""  # what picks the best one
    best: str = ""  # why it is the best: "lowest loss"
    whole: bool = True  # False: of what an attempt wrote, or a single one


# --- for people --------------------------------------------------------------------------------------------------------
def columns(listing: Listing) -> list[Column]:
    """The head of its table: one column for each metric that any checkpoint has; the one that picks the best stays longest."""
    metrics = enumerate(metrics_of(listing.checkpoints))
    return [
        Column("name"),
        Column("step", right=True),
        Column("epoch", right=True, spare=99),
        *(Column(name, right=True, spare=0 if name == listing.metric else 2 + place) for place, name in metrics),
        Column("age", right=True),
        Column("size", right=True),
        Column("attempt", right=True, spare=1),
        Column("state"),
        Column("roles"),
        Column("reason", words=True),
        Column("path", piped=True),
    ]


def rows(listing: Listing, metrics: Sequence[str], now: float) -> list[list[Cell]]:
    """One row for each checkpoint, oldest first, under `columns`."""
    usual = (listing.base, os.path.join(listing.base, names.CHECKPOINTS))
    return [_row(item, usual, metrics, now) for item in listing.checkpoints]


def show(listing: Listing, page: Paper, now: float) -> None:
    """The table on paper; for people, what was chosen for them beneath it."""
    if not listing.checkpoints and page.terminal:
        page.line(f"no checkpoints in {listing.title}")
        return
    apart = listing.series if page.terminal and not listing.run and len(listing.series) > 1 else []
    for series in apart:
        page.heading(_title(series, listing.base))
        _table(msgspec.structs.replace(listing, base=series.directory, checkpoints=series.checkpoints), page, now)
    if not apart:
        _table(listing, page, now)
    if page.terminal:
        page.line(footer(listing), "dim")


def _title(series: Series, base: str) -> str:
    """`lightning_logs/version_0/checkpoints: lightning`; what tells it from others of its kind goes last."""
    where = os.path.relpath(series.directory, base)
    name = series.name.strip("-_. #") if series.layout not in order.GUESSES else ""
    return ("" if where == "." else f"{where}: ") + layout(series.layout) + (f" {name}" if name else "")


def layout(name: str) -> str:
    """A layout as people call it."""
    return _LAYOUTS.get(name, name)


def _table(listing: Listing, page: Paper, now: float) -> None:
    head, body = columns(listing), rows(listing, metrics_of(listing.checkpoints), now)
    if page.terminal and not page.fits(head, body):
        head, body = head[1:], [_compact(row, item) for row, item in zip(body, listing.checkpoints, strict=True)]
    page.table(head, body)


def together(listings: Sequence[Listing]) -> Listing:
    """Several as one: for one header that tells of every line."""
    return Listing(title="", base="", checkpoints=[item for each in listings for item in each.checkpoints])


def one(item: Checkpoint, title: str, run: str) -> Listing:
    """One checkpoint by itself."""
    series = Series(
        directory=item.directory,
        layout=item.layout,
        run=run,
        latest=item.name if roles.LATEST in item.roles else "",
        best=item.name if roles.BEST in item.roles else "",
        checkpoints=[item],
    )
    return Listing(title=title, base=item.directory, run=run, checkpoints=[item], series=[series], whole=False)


def of_attempt(listing: Listing, number: int) -> Listing:
    """What one attempt wrote, of what is listed of its run."""
    kept = [_of_attempt(series, number) for series in listing.series]
    return msgspec.structs.replace(
        listing,
        title=f"{listing.title}/{number}",
        whole=False,
        checkpoints=[item for item in listing.checkpoints if item.attempt == number],
        series=[series for series in kept if series.checkpoints],
    )


def _of_attempt(series: Series, number: int) -> Series:
    items = [item for item in series.checkpoints if item.attempt == number]
    there = {item.name for item in items}
    return msgspec.structs.replace(
        series,
        checkpoints=items,
        latest=series.latest if series.latest in there else "",
        best=series.best if series.best in there else "",
        pointer=series.pointer if series.pointer in there else "",
    )


def footer(listing: Listing) -> str:
    """How many, how large, and which best was chosen for the user."""
    total = sum(item.size for item in listing.checkpoints)
    best = f"; best: {listing.best}" if listing.best else ""
    return f"{some(len(listing.checkpoints), 'checkpoint')}, {units.size(total)}{best}"


def metrics_of(shown: Iterable[Checkpoint]) -> list[str]:
    """The names of all metrics that these checkpoints have, in the order in which they appear."""
    return list({name: None for item in shown for name in item.metrics})


def _row(item: Checkpoint, usual: tuple[str, str], metrics: Sequence[str], now: float) -> list[Cell]:
    return [
        item.name if item.directory in usual else _distant(item, usual[0]),
        "" if item.step is None else str(item.step),
        number(item.epoch),
        *[number(item.metrics.get(metric)) for metric in metrics],
        units.duration(now - item.time) if item.time else "",
        units.size(item.size) if item.sized else "",
        "" if item.attempt is None else str(item.attempt),
        (item.state, STYLES.get(item.state, "")),
        (", ".join(telling(item.roles)), "bold" if roles.LATEST in item.roles else ""),
        item.reason,
        item.path,
    ]


def telling(held: Sequence[str]) -> list[str]:
    """A pointer to the latest says nothing; one to another is worth a look."""
    return [role for role in held if role != roles.POINTER or roles.LATEST not in held]


def _distant(item: Checkpoint, base: str) -> str:
    """The name of what lies neither in checkpoints/ nor in the directory that was asked for: where it lies too."""
    inside = item.directory[len(base) + 1 :] if item.directory.startswith(base + os.sep) else item.directory
    return os.path.join(inside, item.name)


def number(value: float | None) -> str:
    """A metric or an epoch: four digits are enough to compare; whole numbers stay whole."""
    if value is None:
        return ""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e6):
        return str(int(value))
    return f"{value:.4g}"


def _compact(row: list[Cell], item: Checkpoint) -> list[Cell]:
    """Without the name, which the step tells; one that it does not tell goes before the reason."""
    told = item.step is not None and row[0] == f"{names.STEP_PREFIX}{item.step:08d}"
    said = [words(cell) for cell in ("" if told else row[0], row[_REASON]) if words(cell)]
    return [*row[1:_REASON], ": ".join(said), row[-1]]


# --- for programs ------------------------------------------------------------------------------------------------------
def document(listings: Iterable[Listing]) -> dict[str, Any]:
    """The JSON of `ckptrun ls`: a stable interface."""
    return {"format": names.FORMAT, "series": [_series(series) for listing in listings for series in listing.series]}


def _series(series: Series) -> dict[str, Any]:
    return {
        "directory": series.directory,
        "layout": series.layout,
        "run": series.run or None,
        "pointer": series.pointer or None,
        "latest": series.latest or None,
        "best": series.best or None,
        "checkpoints": [checkpoint(item) for item in series.checkpoints],
    }


def checkpoint(item: Checkpoint) -> dict[str, Any]:
    """One checkpoint; metrics that JSON cannot hold are null, and named under `nonfinite` beside."""
    fields: dict[str, Any] = {
        "name": item.name,
        "path": item.path,
        "files": item.files,
        "step": item.step,
        "epoch": item.epoch,
        "metrics": item.metrics,
        "time": records.now_text(item.time) if item.time else None,
        "size": item.size if item.sized else None,
        "state": item.state,
        "reason": item.reason,
        "roles": item.roles,
        "pinned": item.pinned,
        "attempt": item.attempt,
    }
    odd = {name: str(value) for name, value in item.metrics.items() if not _finite(value)}
    return {**fields, "nonfinite": odd} if odd else fields


def _finite(value: float | None) -> bool:
    """None, which somebody else's manifest may hold, is finite: JSON holds it."""
    return value is None or math.isfinite(value)
