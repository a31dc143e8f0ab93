"""What one checkpoint of a series lacks and all others have: how a save that was cut short shows where nothing else says so."""

from __future__ import annotations

import re
from collections import Counter

from ckptrun.layouts import naming

_DIGITS = re.compile(r"\d+")
_ENOUGH = 3  # with two, nobody can tell which of them is the odd one


def lacking(units: dict[str, list[str]]) -> dict[str, str]:
    """For each checkpoint that lacks something, a sentence. `units`: its name → its files, as `name/file` or beside each other."""
    contents = {name: _contents(name, files) for name, files in units.items() if files}
    families: dict[str, list[str]] = {}
    for name in contents:
        families.setdefault(_shape(name), []).append(name)
    found = {}
    for members in families.values():
        for name in members if len(members) >= _ENOUGH else ():
            if reason := _lacks(contents[name], [contents[other] for other in members if other != name]):
                found[name] = reason
    return found


def short_of(name: str, files: list[str], vouched: str, others: list[str]) -> str:
    """What a checkpoint lacks beside an earlier one that is `vouched` for: all ranks had saved that; "" if nothing."""
    return _lacks(_contents(name, files), [_contents(vouched, others)]) if _shape(name) == _shape(vouched) else ""


def _contents(name: str, files: list[str]) -> Counter[str]:
    return Counter(_shape(path[len(name) + 1 :] if path.startswith(name + "/") else path) for path in files)


def _lacks(mine: Counter[str], others: list[Counter[str]]) -> str:
    everywhere = set.intersection(*(set(other) for other in others))
    if missing := everywhere - set(mine):
        return f"{min(missing)} is missing, which {_its(others)} have"
    for shape in sorted(everywhere):
        counts = {other[shape] for other in others}
        if len(counts) == 1 and mine[shape] < min(counts) and _is_of_ranks(shape):
            return f"it has {mine[shape]} of {shape}, and {_its(others)} have {min(counts)}"
    return ""


def _its(others: list[Counter[str]]) -> str:
    return f"its {len(others)} siblings" if len(others) > 1 else "those before it"


def _is_of_ranks(shape: str) -> bool:
    """One for each rank, rather than one for each picture that was drawn."""
    return naming.holds_state(shape) or "rank" in shape


def _shape(name: str) -> str:
    """A name without its numbers: what `rank-1.pt` and `rank-2.pt` have in common."""
    return _DIGITS.sub("#", name)
