"""Is there room for the next save? PURE."""

from __future__ import annotations

from ckptrun import units

TIMES = 2  # the next checkpoint is written beside the last one, and somebody else writes too


def warning(free: int, last_size: int, where: str) -> str:
    """A sentence with figures if fewer than twice the last checkpoint's bytes are free, else ""."""
    if free >= TIMES * last_size:
        return ""
    return (
        f"only {units.size(free)} are free in {where}, and the last checkpoint takes {units.size(last_size)}: "
        f"the next save may fail; free at least {units.size(TIMES * last_size - free)}"
    )
