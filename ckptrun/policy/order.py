"""Which of several checkpoints of one run is later. PURE.

    known step      by step, then attempt, then time
    unknown step    below all of those; by what the name promises (`likeness`), then time, then attempt

A checkpoint that ckptrun's own manifest or a framework's structure vouches for is a statement; one that was recognised by its file
name alone (is `preds_1000.npz` a state?) is a guess. A guess ranks below all steps that are known if its attempt, or a later one, has
made a statement: a script that says what its checkpoints are is believed. Clocks are set back and copies lose their times, attempts
are counted under a lease: nothing of unknown step is earlier than what an earlier attempt left.
"""

from __future__ import annotations

from ckptrun import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckptrun.model import Checkpoint

    Key = tuple[int, float, float, float, str]

GUESSES = frozenset(("series", "single"))  # layouts that go by file names alone
_UNKNOWN_STEP, _OUTRANKED_GUESS, _KNOWN_STEP = 0, 1, 2


def arrange(found: Iterable[Checkpoint]) -> list[Checkpoint]:
    """All of `found`, oldest first."""
    items = list(found)
    stated = max((item.attempt or 0 for item in items if _is_statement(item)), default=-1)
    times = _times_by_attempt(items)
    keyed = [(order_key(item, time=times.get(id(item)), stated=stated), item) for item in items]
    return [item for _, item in sorted(keyed, key=lambda pair: pair[0])]


def order_key(checkpoint: Checkpoint, *, time: float | None = None, stated: int = -1) -> Key:
    """What one checkpoint is sorted by; `time` replaces its own, `stated` is the newest attempt that made a statement (-1: none).

    The path decides last, so that the order never depends on how a directory was listed.
    """
    when = checkpoint.time if time is None else time
    attempt = checkpoint.attempt or 0
    if checkpoint.step is None:
        return (_UNKNOWN_STEP, checkpoint.likeness, when, attempt, checkpoint.path)
    outranked = checkpoint.layout in GUESSES and checkpoint.attempt is not None and checkpoint.attempt <= stated
    return (_OUTRANKED_GUESS if outranked else _KNOWN_STEP, checkpoint.step, attempt, when, checkpoint.path)


def _is_statement(item: Checkpoint) -> bool:
    return item.layout not in GUESSES and item.state == names.COMPLETE and item.step is not None


def _times_by_attempt(items: list[Checkpoint]) -> dict[int, float]:
    """For those of unknown step: their time, or that of the latest of an earlier attempt if that is later. By id()."""
    numbered = sorted((item for item in items if item.step is None and item.attempt is not None), key=_attempt)
    times: dict[int, float] = {}
    earlier, latest, number = float("-inf"), float("-inf"), 0
    for item in numbered:
        if item.attempt != number:
            earlier, number = latest, item.attempt or 0
        times[id(item)] = max(item.time, earlier)
        latest = max(latest, times[id(item)])
    return times


def _attempt(item: Checkpoint) -> int:
    return item.attempt or 0
