"""The rules of retention, one function each: complete checkpoints, oldest first → which of them it keeps, and why. PURE.

What is kept is the union of all rules, so that their order does not matter and a rule more never keeps less. A count of 0 is no
rule, -1 keeps all. Hours, days, ISO weeks, months and years are those of UTC.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from ckptrun import units
from ckptrun.config import keeping
from ckptrun.policy import roles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ckptrun.config.keeping import KeepBest, KeepEvery
    from ckptrun.model import Checkpoint

    Kept = Iterator[tuple[int, str]]  # index, why

_DAY = 86400.0
_MONDAY = 3  # days from a Monday to 1970-01-01
BUCKETS: dict[str, Callable[[float], object]] = {
    "hourly": lambda at: at // 3600,
    "daily": lambda at: at // _DAY,
    "weekly": lambda at: (at // _DAY + _MONDAY) // 7,
    "monthly": lambda at: time.gmtime(at)[:2],
    "yearly": lambda at: time.gmtime(at)[0],
}


def last(items: Sequence[Checkpoint], count: int) -> Kept:
    """The newest ones."""
    chosen = range(len(items)) if count < 0 else range(max(0, len(items) - count), len(items))
    yield from ((index, "all" if count < 0 else f"last {count}") for index in chosen)


def first(items: Sequence[Checkpoint], count: int) -> Kept:
    """The oldest ones."""
    chosen = range(len(items)) if count < 0 else range(min(count, len(items)))
    yield from ((index, "all" if count < 0 else f"first {count}") for index in chosen)


def best(items: Sequence[Checkpoint], rule: KeepBest, *, without_metric: str) -> Kept:
    """The best by a metric: of equals the later, what is no finite number last; those without it as `without_metric` says.

    Where nobody has the metric (yet) all are kept: there is nothing to tell good from bad by.

    Raises:
        UsageError: the metric's better end is not known.
    """
    if not rule.count:
        return
    metric, way = ranking(items, rule)
    ranked = sorted((_height(item, metric, way, i) for i, item in enumerate(items) if metric in item.metrics), reverse=True)
    how = f"{'lowest' if way == roles.MIN else 'highest'} {metric}"
    for place, (_, _, index) in enumerate(ranked if rule.count < 0 else ranked[: rule.count], 1):
        yield index, f"best {rule.count} ({how}): number {place}" if rule.count > 0 else "all"
    for index, item in enumerate(items):
        if metric not in item.metrics and (without_metric == keeping.KEEP or not ranked):
            yield index, f"it has no {metric or rule.metric or 'metric'}: nobody knows how good it is"


def ranking(items: Sequence[Checkpoint], rule: KeepBest) -> tuple[str, str]:
    """The metric that `rule` ranks these by, and the better end of it; ("", "") where none of them has it.

    Raises:
        UsageError: as `best`.
    """
    if not any(rule.metric in item.metrics if rule.metric else item.metrics for item in items):
        return "", ""
    found = roles.best(items, rule.metric, rule.mode)
    return found.metric, rule.mode if rule.mode != roles.AUTO else roles.direction(found.metric)


def every(items: Sequence[Checkpoint], rule: KeepEvery) -> Kept:
    """One in so many steps, epochs or seconds."""
    if rule.amount < 0:
        yield from ((index, "all") for index in range(len(items)))
    elif rule.amount:
        how = "" if rule.how == keeping.EXACT else f", {rule.how}"
        unit = rule.kind if rule.kind != "seconds" else ""
        why = f"every {units.duration(rule.amount) if not unit else f'{rule.amount:g} {unit}'}{how}"
        chosen = _greedy(items, rule) if rule.kind == "seconds" or rule.how == keeping.GREEDY else _multiples(items, rule)
        yield from ((index, why) for index in chosen)


def within(items: Sequence[Checkpoint], seconds: float) -> Kept:
    """Those written at most so long before the newest: of a run that is over, time does not go on."""
    if items and seconds:
        why = "all" if seconds < 0 else f"within {units.duration(seconds)} of the newest"
        since = -math.inf if seconds < 0 else items[-1].time - seconds
        yield from ((index, why) for index, item in enumerate(items) if item.time >= since)


def bucketed(items: Sequence[Checkpoint], name: str, count: int) -> Kept:
    """The newest of each of the last `count` hours, days, … that have any; the oldest of all while there are fewer."""
    seen: set[object] = set()
    for index in reversed(range(len(items))):
        bucket = BUCKETS[name](items[index].time)
        if bucket in seen or (count >= 0 and len(seen) >= count):
            continue
        seen.add(bucket)
        yield index, f"{name}{f' {count}' if count > 0 else ''}"
    if items and count and (count < 0 or len(seen) < count):
        yield 0, f"{name}: the oldest"


def permanent(items: Sequence[Checkpoint], wanted: bool) -> Kept:  # noqa: FBT001  # a rule's value, as the counts are
    """Those that their framework does not call temporary."""
    yield from ((index, "permanent") for index, item in enumerate(items) if wanted and not item.temporary)


def _height(item: Checkpoint, metric: str, way: str, index: int) -> tuple[bool, float, int]:
    value = item.metrics[metric]
    if not math.isfinite(value):
        return False, 0.0, index
    return True, value if way == roles.MAX else -value, index


def _measure(item: Checkpoint, kind: str) -> float | None:
    return {"steps": item.step, "epochs": item.epoch, "seconds": item.time}[kind]


def _greedy(items: Sequence[Checkpoint], rule: KeepEvery) -> Iterator[int]:
    """The first, then each that is so far from the last kept; where a clock or a count was set back, it begins anew."""
    kept: float | None = None
    for index, item in enumerate(items):
        at = _measure(item, rule.kind)
        if at is not None and (kept is None or at - kept >= rule.amount or at < kept):
            kept = at
            yield index


def _multiples(items: Sequence[Checkpoint], rule: KeepEvery) -> Iterator[int]:
    """Those on a multiple; with `closest`, the nearest to each multiple, of two the later."""
    known = [(at, index) for index, item in enumerate(items) if (at := _measure(item, rule.kind)) is not None]
    for place, (at, index) in enumerate(known):
        if rule.how == keeping.EXACT:
            chosen = at % rule.amount == 0
        else:
            low = (known[place - 1][0] + at) / 2 if place else -math.inf
            high = (at + known[place + 1][0]) / 2 if place + 1 < len(known) else math.inf
            chosen = _holds_a_multiple(low, high, rule.amount, at)
        if chosen:
            yield index


def _holds_a_multiple(low: float, high: float, amount: float, at: float) -> bool:
    """Whether a multiple is nearer to `at` than to its neighbours, which are halfway at `low` (ours) and `high` (theirs)."""
    if math.isinf(high):
        return True  # the last: the next multiple may be nearest to it
    start = low if math.isfinite(low) else min(0.0, at)
    return math.ceil(start / amount) * amount < high
