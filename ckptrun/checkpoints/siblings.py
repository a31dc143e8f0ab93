"""What one directory of a series lacks and all others have: how a save that was cut short shows where nothing else says so."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"\d+")
_ENOUGH = 3  # with two, nobody can tell which of them is the odd one


def lacking(units: dict[str, list[str]]) -> dict[str, str]:
    """For each directory that lacks something, a sentence. `units`: its name → its files, as `name/file`."""
    contents = {name: {_shape(path[len(name) + 1 :]) for path in files} for name, files in units.items() if files}
    families: dict[str, list[str]] = {}
    for name in contents:
        families.setdefault(_shape(name), []).append(name)
    found = {}
    for members in families.values():
        for name in members if len(members) >= _ENOUGH else ():
            others = [contents[other] for other in members if other != name]
            if lacks := set.intersection(*others) - contents[name]:
                found[name] = f"{min(lacks)} is missing, which its {len(others)} siblings have"
    return found


def _shape(name: str) -> str:
    """A name without its numbers: what `rank-1.pt` and `rank-2.pt` have in common."""
    return _DIGITS.sub("#", name)
