"""Which of several checkpoints of one run is later. PURE.

    known step      by step, then attempt, then time
    follows         rewritten with every save (`last.ckpt`): after the newest of its series that is not newer than itself; so is
                    one of which only the epoch is known, after the last step of that epoch
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

    Key = tuple[int, float, float, int, float, str]

GUESSES = frozenset(("series", "single"))  # layouts that go by file names alone
TOGETHER = 60.0  # seconds: files of one save are written one after the other
_UNKNOWN_STEP, _OUTRANKED_GUESS, _KNOWN_STEP = 0, 1, 2


def arrange(found: Iterable[Checkpoint]) -> list[Checkpoint]:
    """All of `found`, oldest first."""
    items = list(found)
    stated = max((item.attempt or 0 for item in items if _is_statement(item)), default=-1)
    times, steps = _times_by_attempt(items), _steps_of_followers(items)
    keyed = [(order_key(item, time=times.get(id(item)), step=steps.get(id(item)), stated=stated), item) for item in items]
    return [item for _, item in sorted(keyed, key=lambda pair: pair[0])]


def order_key(checkpoint: Checkpoint, *, time: float | None = None, step: int | None = None, stated: int = -1) -> Key:
    """What one checkpoint is sorted by; `stated` is the newest attempt that made a statement (-1: none).

    `time` replaces its own, `step` one that is not known: that of the newest which it comes after.

    The path decides last, so that the order never depends on how a directory was listed.
    """
    when = checkpoint.time if time is None else time
    attempt = checkpoint.attempt or 0
    after = checkpoint.step is None
    step = step if after else checkpoint.step
    if step is None:
        return (_UNKNOWN_STEP, checkpoint.likeness, when, 0, attempt, checkpoint.path)
    outranked = _is_guess(checkpoint) and checkpoint.attempt is not None and checkpoint.attempt <= stated
    return (_OUTRANKED_GUESS if outranked else _KNOWN_STEP, step, attempt, after, when, checkpoint.path)


def _is_statement(item: Checkpoint) -> bool:
    return not _is_guess(item) and item.state == names.COMPLETE and item.step is not None


def _is_guess(item: Checkpoint) -> bool:
    return item.guess or item.layout in GUESSES


def _steps_of_followers(items: list[Checkpoint]) -> dict[int, int]:
    """For those whose step is not known, but whose place among others of their series is: the step that they come after. By id()."""
    followers = [item for item in items if item.step is None and (item.follows or item.epoch is not None)]
    wanted = {_pool(item) for item in followers}
    pools: dict[tuple[str, ...], list[Checkpoint]] = {}
    for item in items if followers else ():
        if item.step is not None and _pool(item) in wanted:
            pools.setdefault(_pool(item), []).append(item)
    found = {id(item): _step_before(item, pools.get(_pool(item), [])) for item in followers}
    return {key: step for key, step in found.items() if step is not None}


def _pool(item: Checkpoint) -> tuple[str, ...]:
    """Whom it is compared with: its series; for a guess, all that was guessed in the directory."""
    return (item.directory,) if item.layout in GUESSES else (item.directory, item.layout, item.series)


def _step_before(item: Checkpoint, others: list[Checkpoint]) -> int | None:
    if item.epoch is not None:
        steps = [other.step for other in others if other.epoch is not None and other.epoch <= item.epoch]
    else:
        by = item.time + (0.0 if item.layout in GUESSES else TOGETHER) if item.time else float("inf")
        steps = [other.step for other in others if other.time <= by]
    return max((step for step in steps if step is not None), default=None)


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
