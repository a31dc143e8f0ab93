"""What a checkpoint lacks, as far as names tell: parts, shards, a marker, ranks that its siblings have. PURE."""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.layouts.claim import Claim, Inside

_SHARD = re.compile(r"(?P<before>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<after>.*)", re.DOTALL)
_INDEX = re.compile(r"(?P<before>.+)(?P<after>\.\w+)\.index\.json", re.DOTALL)
_DISTCP, _METADATA = ".distcp", ".metadata"
_MOST_SHARDS = 100_000


def among(layout: Layout, found: Sequence[Claim], inside: Inside) -> list[Claim]:
    """The same claims, each with the reason why its names say that it is not complete."""
    names = {claim.name: list(inside(claim.name)) if claim.directory else [] for claim in found}
    found = [_replaced(claim, _one(layout, claim, names[claim.name])) for claim in found]
    return _by_marker(layout, found, names) if layout.marker else found


def _replaced(claim: Claim, reason: str) -> Claim:
    return msgspec.structs.replace(claim, unfinished=reason) if reason and not claim.unfinished else claim


def _one(layout: Layout, claim: Claim, inside: Sequence[str]) -> str:
    if layout.veto and (veto := _veto(layout, claim)) in claim.files:
        return f"{veto} lies beside it: it was not finished"
    if not claim.directory:
        return _first_missing(layout.parts, claim.files) or shards(claim.files)
    if not inside:
        return "it is empty"
    if layout.never and (said := next(filter(_compiled(layout.never).fullmatch, inside), "")):
        return f"{said} says so"
    return directory(inside) or _first_missing(layout.needs, inside) or _alone(layout.together, inside)


def _veto(layout: Layout, claim: Claim) -> str:
    return layout.veto.format(name=claim.name, stem=os.path.splitext(claim.name)[0])


def _first_missing(needs: Mapping[str, str], names: Iterable[str]) -> str:
    names = list(names)
    for words, expression in needs.items():
        if not any(map(_compiled(expression).fullmatch, names)):
            return f"{words} is missing"
    return ""


def _alone(together: Mapping[str, str], inside: Sequence[str]) -> str:
    for one, other in together.items():
        there = next(filter(_compiled(one).fullmatch, inside), "")
        if there and not any(map(_compiled(other).fullmatch, inside)):
            return f"what {there} belongs to is missing"
    return ""


def directory(inside: Sequence[str]) -> str:
    """What the names in any directory say that it lacks, "" if nothing: shards of an index, torch's `.metadata`."""
    if any(name.endswith(_DISTCP) for name in inside) and _METADATA not in inside:
        return f"{_METADATA}, which is written last, is missing"
    return shards(inside)


def shards(names: Iterable[str]) -> str:
    """Which of n numbered files are missing: `model-00001-of-00003.safetensors` (from 1), `ckpt.data-00000-of-00001` (from 0)."""
    groups: dict[tuple[str, int, str], set[int]] = {}
    indexes = []
    for name in names:
        if found := _SHARD.fullmatch(name):
            groups.setdefault((found["before"], int(found["count"]), found["after"]), set()).add(int(found["number"]))
        elif found := _INDEX.fullmatch(name):
            indexes.append((found["before"], found["after"], name))
    for (before, count, after), there in sorted(groups.items()):
        first = 0 if 0 in there or before.endswith(".data") else 1
        if missing := sorted(set(range(first, first + count)) - there) if count <= _MOST_SHARDS else []:
            more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
            return f"{before}-{missing[0]:05d}-of-{count:05d}{after}{more} missing"
    for before, after, name in indexes:
        if not any(key[0] == before and key[2] == after for key in groups):
            return f"the files that {name} names are missing"
    return ""


def _by_marker(layout: Layout, found: list[Claim], names: Mapping[str, list[str]]) -> list[Claim]:
    """A marker that some have is missing elsewhere; what is older than the first of them may be of a time when nobody wrote it."""
    marked = {claim.name for claim in found if any(map(_compiled(layout.marker).fullmatch, names[claim.name]))}
    first = min((claim.step or 0 for claim in found if claim.name in marked and not claim.unfinished), default=None)
    what = layout.marker.replace("\\", "")
    judged = []
    for claim in found:
        if claim.name in marked or claim.unfinished:
            judged.append(claim)
        elif first is not None and (claim.step or 0) > first:
            judged.append(_replaced(claim, f"{what} is missing, which {len(marked)} of its siblings have"))
        else:
            judged.append(
                msgspec.structs.replace(claim, doubt=f"{what} is missing, and nothing else says that it was finished")
            )
    return judged


@functools.cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)
