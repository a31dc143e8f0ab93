"""Which tasks an array has: `0-15:4,20%2` as numbers. Pure."""

from __future__ import annotations

import re

MOST = 10_000  # tasks whose runs are worth listing; a site's MaxArraySize is mostly 1,001
_PART = re.compile(r"(?P<first>[0-9]{1,9})(-(?P<last>[0-9]{1,9})(:(?P<step>[0-9]{1,9}))?)?")


def numbers(spec: str) -> list[int] | None:
    """The tasks' numbers, ascending, without the limit after `%`; None for what is not understood, or too many."""
    found: set[int] = set()
    for part in spec.partition("%")[0].split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        first, last, step = int(match["first"]), int(match["last"] or match["first"]), int(match["step"] or 1)
        if step < 1 or last < first or (last - first) // step > MOST:
            return None
        found.update(range(first, last + 1, step))
    return sorted(found)
