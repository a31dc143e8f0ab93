"""Moments of a command, drawn at random: at each it is struck, then it is looked at what holds.

A number does not say which call is struck: how often a process reads /proc, or writes a line of its log, is its timing's business. So a
moment is a call by what it does (`Call.moment`). Where the number has struck another call, or none, it is counted anew and tried again,
and one that does not come any more is replaced by another. What was struck instead is judged as well.

    found = breaches(case, place, judge, hows=lambda call: (KILL, "ENOSPC"), count=200)
    assert not found, "\\n".join(found)
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from crash.harness import Call, Case, Ran

KILL = "KILL"
MANY = 200
_TRIES = 4
_SEED = "CKPTRUN_TEST_SEED"


def breaches(
    case: Case,
    place: object,
    judge: Callable[[Ran, Call, str], Iterable[str]],
    *,
    hows: Callable[[Call], Sequence[str]],
    count: int,
    only: Callable[[Call], bool] = lambda _: True,
    least: float = 0.9,
) -> list[str]:
    """What `judge` finds after strikes at `count` moments (all, where there are fewer), at each in every way that `hows` says.

    The last line says how to draw the same ones again, and which could not be struck, where fewer than `least` of them were:
    what depends on the timing of several processes is not to be had every time.
    """
    seed = os.environ.get(_SEED) or os.urandom(4).hex()
    draw = random.Random(seed)
    calls = [call for call in case.calls(place) if only(call)]
    assert len(calls) > 4, f"hardly anything to strike: {[*map(str, calls)]}"
    draw.shuffle(calls)
    wanted = min(count, len(calls))
    found: list[str] = []
    missed: list[str] = []
    reached = 0
    for call in calls:
        if reached == wanted:
            break
        hits = [_struck(case, place, judge, call, how, found) for how in hows(call)]
        reached += all(hits)
        missed += [] if all(hits) else [str(call)]
    if reached < wanted * least:
        found.append(f"{wanted - reached} of {wanted} moments could not be struck: {'; '.join(missed)}")
    return [*found, f"(drawn with {_SEED}={seed})"] if found else []


def _struck(
    case: Case,
    place: object,
    judge: Callable[[Ran, Call, str], Iterable[str]],
    call: Call,
    how: str,
    found: list[str],
) -> bool:
    """Whether the moment was struck in the end; every breach on the way there goes into `found`."""
    for _ in range(_TRIES):
        with case.killed(place, call) if how == KILL else case.failed(place, call, how) as ran:
            found += [f"{how} at {call}: {breach}" for breach in judge(ran, call, how)]
        if call.moment in ran.hits:
            return True
        again = next((each for each in case.calls(place) if each.moment == call.moment), None)
        if again is None:
            break
        call = again
    return False


def is_below(call: Call) -> bool:
    """Whether it changes something in the world, and opens no stream again, which has its own way out."""
    return '"/proc/' not in call.text and '"/dev/' not in call.text
