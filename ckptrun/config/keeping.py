"""What may be said about keeping: `5:val_loss:min` (the best 5), `1000`, `1000:greedy`, `2h` (one in so many), counts and sizes.

A count of 0 means none, as if the rule were not there; -1 means all.
"""

from __future__ import annotations

from ckptrun import units
from ckptrun.model import Noun

ALL, NONE = -1, 0
MODES = ("min", "max", "auto")
EXACT, GREEDY, CLOSEST = "exact", "greedy", "closest"
KEEP, REMOVE = "keep", "remove"
_NEVER = ("off", "none", "never", "no")


class KeepBest(Noun, frozen=True, kw_only=True):
    """The best `count` by a metric; without a name, the one that `ls` marks the best by."""

    count: int
    metric: str = ""
    mode: str = "auto"  # min | max | auto: by the metric's name

    def __str__(self) -> str:
        mode = "" if self.mode == "auto" else f":{self.mode}"
        return f"{self.count}:{self.metric}{mode}" if self.metric else f"{self.count}{mode}"


class KeepEvery(Noun, frozen=True, kw_only=True):
    """One in so many steps, epochs or seconds; `amount` 0 means none, -1 all."""

    kind: str  # steps | epochs | seconds
    amount: float
    how: str = EXACT  # exact: multiples; greedy: so far from the last kept; closest: the nearest to each multiple
    text: str = ""  # as it was written

    def __str__(self) -> str:
        return self.text


def count(given: str, _base: str) -> int:
    """A whole number; 0 = none, -1 = all."""
    try:
        number = int(given)
    except ValueError:
        raise ValueError(f"{given!r} is not a whole number (0 = none, -1 = all)") from None
    if number < ALL:
        raise ValueError(f"{given} is less than -1 (0 = none, -1 = all)")
    return number


def best(given: str, base: str) -> KeepBest:
    """`5`, `5:val_loss`, `5:val_loss:min`, `5:max`."""
    number, _, rest = given.strip().partition(":")
    metric, _, mode = rest.rpartition(":")
    if mode not in MODES:
        metric, mode = rest, "auto"
    try:
        return KeepBest(count=count(number, base), metric=metric.strip(), mode=mode)
    except ValueError:
        raise ValueError(
            f"{given!r} is not a number of the best; write for instance 3, 3:val_loss or 3:val_acc:max"
        ) from None


def every(given: str, _base: str) -> KeepEvery:
    """`1000` (steps), `2h`, `2epochs`; with `:greedy` or `:closest` behind where saves do not fall on multiples."""
    bare, _, how = given.strip().partition(":")
    if bare in ("0", "-1"):
        return KeepEvery(kind="steps", amount=int(bare), text=given.strip())
    if how in ("", EXACT, GREEDY, CLOSEST):
        kind, amount = units.parse_every(bare)
        return KeepEvery(kind=kind, amount=amount, how=how or EXACT, text=given.strip())
    try:
        kind, amount = units.parse_every(given)  # a time such as 1:30:00
    except ValueError:
        raise ValueError(f"{given!r} is neither a cadence (1000, 2h) nor one with :greedy or :closest behind") from None
    return KeepEvery(kind=kind, amount=amount, text=given.strip())


def within(given: str, _base: str) -> float:
    """Seconds; 0 = none, -1 = all."""
    bare = given.strip().lower()
    if bare == "-1":
        return float(ALL)
    return 0.0 if bare in _NEVER else units.parse_duration(given)


def size(given: str, _base: str) -> int | None:
    """Bytes; -1 or `off` = no limit."""
    bare = given.strip().lower()
    if bare in _NEVER or bare == "-1":
        return None
    number = units.parse_bytes(given)
    if number < 0:
        raise ValueError(f"{given!r} is less than nothing (off = no limit)")
    return number
