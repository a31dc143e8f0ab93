"""When a script saves of its own accord. PURE: the clock is an argument. Imports next to nothing, for a script imports it.

`step` is the zero-based step just finished; `seconds` are read from any clock that only goes forward.
"""

from __future__ import annotations

from ckptrun import names, units

EVERY = "every"  # why: the cadence says so
FINAL = "final"  # why: it is the last step


class Every:
    """A cadence as people write it: `20` (steps), `10m`, `2epochs`."""

    __slots__ = ("amount", "kind", "text")

    def __init__(self, text: str = names.DEFAULT_EVERY) -> None:
        """Parse `text`.

        Raises:
            ValueError: with a sentence that names the text.
        """
        self.kind, self.amount = units.parse_every(text)  # kind: steps | epochs | seconds
        self.text = text


class Last:
    """What was saved last: its step and epoch (None: nothing yet), and when, by the caller's clock."""

    __slots__ = ("epoch", "seconds", "step")

    def __init__(self, step: int | None, epoch: float | None, seconds: float) -> None:
        self.step = step
        self.epoch = epoch
        self.seconds = seconds


def due(every: Every, last: Last, *, step: int, epoch: float | None, total: int | None, seconds: float) -> str:
    """EVERY or FINAL when the state after `step` should be saved, else "".

    With N steps (or epochs): when step // N > last // N, so at 20, 40, … whatever happened between, and never at 0.
    """
    if last.step is not None and step <= last.step:
        return ""  # this very state, or an older one, is saved
    if total is not None and step >= total - 1:
        return FINAL
    if every.kind == "steps":
        reached = step // every.amount > (last.step or 0) // every.amount
    elif every.kind == "epochs":
        reached = epoch is not None and epoch // every.amount > (last.epoch or 0) // every.amount
    else:
        reached = seconds - last.seconds >= every.amount
    return EVERY if reached else ""
