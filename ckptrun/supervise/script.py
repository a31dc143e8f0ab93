"""What is known of the script from what it says: ranks, steps, saves, and what they teach about durations. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from ckptrun.model import Learned, Noun

if TYPE_CHECKING:
    from ckptrun.supervise.events import Hello, Saved, Stepped

RECENT = 32  # "slowest recent" means the slowest of so many
AHEAD_SECONDS = 1.0  # how far beyond where they are several ranks agree to save


class Script(Noun, frozen=True, kw_only=True):
    """The script's own account."""

    ranks: frozenset[int] = frozenset()  # pids that said hello
    goes_on: bool = False
    world: int = 1
    apart: bool = False  # several ranks that cannot agree by themselves: they are told at which step to save
    step: int | None = None
    total: int | None = None
    epoch: float | int | None = None
    stepped_at: float | None = None
    counted: tuple[int, int, float] | None = None  # (pid, step, when): what the next step is measured against
    saving: bool = False
    saved_at: float | None = None
    saved_step: int | None = None
    saved_since: float = 0.0  # seconds spent saving since the last step
    step_seconds: tuple[float, ...] = ()
    save_seconds: tuple[float, ...] = ()
    checkpoints: tuple[str, ...] = ()
    done: str = ""


def hello(script: Script, event: Hello) -> Script:
    """One more rank. All must say that they go on."""
    goes_on = event.goes_on and (script.goes_on or not script.ranks)
    return msgspec.structs.replace(
        script,
        ranks=script.ranks | {event.pid},
        goes_on=goes_on,
        world=max(script.world, event.world),
        apart=script.apart or event.apart,
    )


def stepped(script: Script, event: Stepped, now: float) -> Script:
    """A step is over: how far we are, and how long one takes (saves taken out)."""
    seconds = script.step_seconds
    counted = script.counted
    if counted is not None and counted[0] == event.pid and event.step > counted[1]:
        each = max(now - counted[2] - script.saved_since, 0.0) / (event.step - counted[1])
        seconds = (*seconds, each)[-RECENT:]
    if counted is None or counted[0] == event.pid:
        script = msgspec.structs.replace(script, counted=(event.pid, event.step, now), saved_since=0.0)
    return msgspec.structs.replace(
        script,
        step=event.step if script.step is None else max(script.step, event.step),
        total=script.total if event.total is None else event.total,
        epoch=script.epoch if event.epoch is None else event.epoch,
        stepped_at=now,
        step_seconds=seconds,
    )


def saved(script: Script, event: Saved, now: float, asked_at: float | None) -> Script:
    """A checkpoint more; `asked_at` is when it was asked for, if it answers a request."""
    took = event.seconds if asked_at is None else max(now - asked_at, event.seconds)
    steps = [step for step in (script.step, event.step) if step is not None]  # steps are told once a second only
    return msgspec.structs.replace(
        script,
        step=max(steps) if steps else None,
        saving=False,
        saved_at=now,
        saved_step=event.step,
        saved_since=script.saved_since + event.seconds,
        save_seconds=(*script.save_seconds, took)[-RECENT:],
        checkpoints=(*script.checkpoints, event.name) if event.name not in script.checkpoints else script.checkpoints,
    )


def learned(script: Script, before: Learned, exit_seconds: float | None = None) -> Learned:
    """The slowest of what earlier attempts and this one saw."""
    return Learned(
        step=_slowest(before.step, *script.step_seconds),
        save=_slowest(before.save, *script.save_seconds),
        first_save=script.save_seconds[0] if script.save_seconds and before.first_save is None else before.first_save,
        exit=_slowest(before.exit, exit_seconds),
    )


def at_step(script: Script, now: float, ahead: float = 0.0, end: float | None = None) -> int | None:
    """The step after which several ranks save together; None where they agree by themselves, or no pace is known yet.

    It lies beyond where the fastest can be by now, and so much further that all have read the request before; but no more than a
    quarter of the time until `end` is given away, or half where little is left. `ahead` is how many seconds the request needs to reach them all.
    """
    if not script.apart or script.step is None or script.stepped_at is None or not script.step_seconds:
        return None
    pace = max(min(script.step_seconds), 0.001)
    margin = AHEAD_SECONDS + ahead
    if end is not None:
        left = max(0.0, end - now)
        margin = min(margin, max(left / 4, min(left / 2, AHEAD_SECONDS)))
    return script.step + math.ceil((now - script.stepped_at) / pace) + 1 + math.ceil(margin / pace)


def _slowest(*seconds: float | None) -> float | None:
    known = [each for each in seconds if each is not None]
    return max(known) if known else None
