"""The catalogue applied to a directory: each entry belongs to the first layout that claims it; guesses get what is left."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from ckptrun.layouts import catalogue
from ckptrun.layouts.claim import UNFINISHED, Claim, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.layouts.claim import Guesser

_IN_NAMES = ("step", "epoch")


def claims(entries: Iterable[Entry], layouts: tuple[Layout, ...] = catalogue.CATALOGUE) -> list[Claim]:
    """Every checkpoint that the entries of one directory are, in no particular order."""
    found: list[Claim] = []
    left: list[Entry] = []
    for entry in entries:
        claim = _by_name(entry, layouts)
        if claim is None:
            left.append(entry)
        else:
            found.append(claim)
    for guess in _guessers() if left else ():
        guesses = guess(left)
        taken = {name for claim in guesses for name in claim.files}
        left = [entry for entry in left if entry.name not in taken]
        found.extend(guesses)
    return found


def _guessers() -> tuple[Guesser, ...]:
    from ckptrun.layouts import series, single  # noqa: PLC0415  # a run that holds nothing but ours need not load them

    return series.claims, single.claims


def layout(name: str) -> Layout | None:
    """The literal of that name; None for guesses."""
    return next((item for item in catalogue.CATALOGUE if item.name == name), None)


def _by_name(entry: Entry, layouts: tuple[Layout, ...]) -> Claim | None:
    for item in layouts:
        if entry.directory is not item.directory or entry.link:
            continue  # what a link leads to is claimed where it lies
        complete, unfinished = _expressions(item)
        if found := complete.fullmatch(entry.name):
            return _claim(item, entry, found, "")
        if unfinished and (found := unfinished.fullmatch(entry.name)):
            return _claim(item, entry, found, UNFINISHED)
    return None


def _claim(item: Layout, entry: Entry, found: re.Match[str], unfinished: str) -> Claim:
    groups = found.groupdict()
    return Claim(
        layout=item.name,
        name=entry.name,
        files=[entry.name],
        directory=entry.directory,
        step=int(groups["step"]) if groups.get("step") else None,
        epoch=int(groups["epoch"]) if groups.get("epoch") else None,
        metrics={key: float(value) for key, value in groups.items() if key not in _IN_NAMES and value},
        time=entry.time,
        unfinished=unfinished,
    )


@functools.cache
def _expressions(item: Layout) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    unfinished = re.compile(item.unfinished, re.DOTALL) if item.unfinished else None
    return re.compile(item.entry, re.DOTALL), unfinished
