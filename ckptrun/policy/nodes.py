"""Nodes on which a training dies as soon as it begins. PURE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import names, units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import AttemptRecord

SOON_SECONDS = 60.0
TIMES = 2
_DEATHS = (names.FAILED, names.KILLED)


def bad(history: Sequence[AttemptRecord]) -> dict[str, str]:
    """Nodes to leave out, each with the reason: attempts died on it within a minute, twice since one there lived longer."""
    deaths: dict[str, list[int]] = {}
    for record in history:
        node = record.node if not record.tasks else record.blamed  # of several it is the one that failed first
        if not node:
            continue
        if record.outcome in _DEATHS and not record.checkpoints and _seconds(record) < SOON_SECONDS:
            deaths.setdefault(node, []).append(record.attempt)
        else:
            deaths.pop(node, None)
    return {node: _reason(numbers) for node, numbers in deaths.items() if len(numbers) >= TIMES}


def _reason(numbers: Sequence[int]) -> str:
    return f"attempts {', '.join(map(str, numbers))} died on it within a minute"


def _seconds(record: AttemptRecord) -> float:
    """How long it lived; one whose end is not known lived long."""
    if not record.started or not record.ended:
        return float("inf")
    return units.from_rfc3339(record.ended) - units.from_rfc3339(record.started)
