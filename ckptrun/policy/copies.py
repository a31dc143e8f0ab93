"""Which file a script rewrites in place, whether there is a new version of it, and whether there is room for a copy. PURE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import names, units
from ckptrun.policy import backup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import Checkpoint

    Version = tuple[str, float, int]

SOONEST, LATEST = 1.0, 10.0  # seconds between two looks
AT_WORK = 0.25  # seconds between two looks at a copy that is being made
_A_SAVE = 4  # looks between two saves
_REST = 5  # a copy is at least so many times as long ago as it took
TIMES = 3  # the copy, the next save, and somebody else who writes


def rewritten(found: Sequence[Checkpoint], attempt: int) -> Checkpoint | None:
    """The file that this attempt rewrites, if that is what the next start would go on from; `found` is oldest first.

    A script that keeps checkpoints of several steps needs no copies.
    """
    live = [item for item in found if item.place != names.COPIES and item.state == names.COMPLETE]
    newest = live[-1] if live else None
    if newest is None or not backup.rewritten(newest) or newest.attempt not in (None, attempt):
        return None
    return newest


def version(item: Checkpoint) -> Version:
    """What tells one version of a file from the next."""
    return item.path, item.time, item.size


def pause(since_start: float, between_saves: float | None) -> float:
    """Seconds until the next look: often while a save follows the other, ever more rarely while nothing is saved."""
    wanted = since_start if between_saves is None else between_saves / _A_SAVE
    return min(max(wanted, SOONEST), LATEST)


def rest(took: float) -> float:
    """Seconds without another copy after one that took so long: no core is to be busy with them."""
    return _REST * took


def no_room(free: int, size: int) -> str:
    """Why a copy of so many bytes is not made; "" = there is room."""
    if free >= TIMES * size:
        return ""
    return f"only {units.size(free)} are free, and a copy takes {units.size(size)}"
