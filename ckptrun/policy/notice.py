"""When to save once it is known that the attempt will end. Pure: times and durations in, what and why out.

Saving at once and again just before the end keeps 0.984 of what is possible, one late save 0.971, and the early save
survives a late one that is torn. Margins: 1.5 times the slowest save; 3 times a guess where nothing was measured.
"""

from __future__ import annotations

from ckptrun import units
from ckptrun.model import Learned, Noun

SAFETY = 1.5  # on saves: their time varies
GUESS_FACTOR = 3.0
GUESS_STEP, GUESS_SAVE, GUESS_EXIT = 1.0, 5.0, 1.0


class Plan(Noun, frozen=True, kw_only=True):
    """What to ask of the script, and why."""

    save_now: bool  # ask for a save at once, and go on training
    stop_at: float  # when to ask for the (last) save and the stop; not later than the end
    why: str
    short: bool = False  # the lead is shorter than a step and a save: nothing can be promised


class Needs(Noun, frozen=True, kw_only=True):
    """How long things take, in seconds: learned, or three times a guess."""

    step: float
    save: float
    first_save: float
    exit: float


def needs(learned: Learned) -> Needs:
    """The durations to plan with."""
    save = _known(learned.save, GUESS_SAVE)
    first = learned.first_save if learned.save is None and learned.first_save is not None else save
    return Needs(step=_known(learned.step, GUESS_STEP), save=save, first_save=first, exit=_known(learned.exit, GUESS_EXIT))


def last_call(end: float, learned: Learned) -> float:
    """When the last save must be asked for, so that everything is over at `end`."""
    need = needs(learned)
    return end - (need.step + SAFETY * need.save + need.exit)


def plan(now: float, end: float | None, learned: Learned, *, goes_on: bool) -> Plan:
    """What to do about a notice that comes at `now` for an end at `end` (None = unknown), in one clock's seconds.

    Args:
        now: when the notice came.
        end: when the attempt must be over.
        learned: durations seen so far.
        goes_on: the script goes on training after a save that is no stop.
    """
    need = needs(learned)
    if end is None:
        return Plan(save_now=False, stop_at=now, why="it is not known when the end comes: save and stop at once")
    lead = end - now
    if lead < need.step + need.save:
        needed = units.duration(need.step + need.save)
        why = f"{units.duration(max(lead, 0))} are left, a step and a save take {needed}: they may not fit"
        return Plan(save_now=False, stop_at=now, why=why, short=True)
    if not goes_on:
        return Plan(save_now=False, stop_at=now, why=f"{units.duration(lead)} are left: save and stop at once")
    last = last_call(end, learned)
    if last <= now + need.step + need.first_save:
        return Plan(
            save_now=False,
            stop_at=now,
            why=f"{units.duration(lead)} are left, too little for two saves: save and stop at once",
        )
    why = f"{units.duration(lead)} are left: save at once, go on, save again and stop in {units.duration(last - now)}"
    return Plan(save_now=True, stop_at=last, why=why)


def raise_at(end: float, learned: Learned, *, goes_on: bool, grace: float) -> float:
    """When ckptrun itself gives notice of an end that is known long before: a time limit.

    Where no save was measured yet, the grace, which is the user's word for how long one may take, counts if it is longer.
    """
    need = needs(learned)
    saves = need.first_save + need.save if goes_on else need.save + need.exit
    lead = SAFETY * (need.step + saves)
    return end - (max(lead, grace) if learned.save is None and learned.first_save is None else lead)


def _known(measured: float | None, guess: float) -> float:
    return GUESS_FACTOR * guess if measured is None else measured
