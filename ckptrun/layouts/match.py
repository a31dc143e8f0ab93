"""The catalogue applied to a directory: each entry belongs to the first layout that claims it; guesses get what is left."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from ckptrun.layouts import catalogue
from ckptrun.layouts.claim import UNFINISHED, Claim, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.layouts.claim import Inside


def claims(
    entries: Iterable[Entry],
    *,
    where: str = "",
    inside: Inside = lambda _: (),
    timed: Callable[[Entry], Entry] = lambda entry: entry,
    patterns: tuple[Layout, ...] = (),
    ours: Callable[[Iterable[str]], bool] = lambda _: True,
) -> list[Claim]:
    """Every checkpoint that the entries of the directory called `where` are, in no particular order.

    `inside` names what a directory below holds, `timed` looks up when a file was modified; both are asked only where it matters.
    `patterns` are the user's own layouts, which come first. `ours` says whether directories that are called as ckptrun's are.
    """
    entries = list(entries)
    found = [claim for entry in entries if (claim := _own(entry))]
    if found and not ours(claim.name for claim in found):
        found = []  # LitGPT calls its own so
    mine = {claim.name for claim in found}
    left = [entry for entry in entries if entry.name not in mine]
    if any(not entry.link for entry in left):
        found.extend(_others(left, where, inside, timed, patterns))
    return found


def _others(
    left: list[Entry], where: str, inside: Inside, timed: Callable[[Entry], Entry], patterns: tuple[Layout, ...]
) -> list[Claim]:
    # ruff: noqa: PLC0415  # a run that holds nothing but ours need not load them
    from ckptrun.layouts import frameworks, series, single

    layouts = patterns + catalogue.frameworks()
    found = frameworks.claims(left, where=where, inside=inside, layouts=layouts)
    left = _without(left, found)
    data = series.data(left, where)
    left = [entry for entry in left if entry.name not in data]
    found.extend(series.claims(left, where))
    left = _without(left, found)
    found.extend(single.claims([timed(entry) for entry in left if single.may_be(entry)]))
    return found


def _without(entries: list[Entry], claims: list[Claim]) -> list[Entry]:
    taken = {name for claim in claims for name in claim.files} | {name for claim in claims for name in claim.shared}
    return [entry for entry in entries if entry.name not in taken]


def _own(entry: Entry) -> Claim | None:
    if not entry.directory or entry.link:
        return None  # what a link leads to is claimed where it lies
    complete, unfinished = _expressions()
    found = complete.fullmatch(entry.name)
    if found is None:
        if (found := unfinished.fullmatch(entry.name)) is None:
            return None
        return _claim(entry, found, UNFINISHED)
    return _claim(entry, found, "")


def _claim(entry: Entry, found: re.Match[str], unfinished: str) -> Claim:
    return Claim(
        layout=catalogue.OWN.name,
        name=entry.name,
        files=[entry.name],
        directory=True,
        step=int(found["step"]),
        unfinished=unfinished,
    )


@functools.cache
def _expressions() -> tuple[re.Pattern[str], re.Pattern[str]]:
    (entry,), (unfinished,) = catalogue.OWN.entry, catalogue.OWN.unfinished
    return re.compile(entry, re.DOTALL), re.compile(unfinished, re.DOTALL)
