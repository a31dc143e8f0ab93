"""Whether a start may go ahead, judged from what the run went through before. PURE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckptrun import errors, names
from ckptrun.model import AttemptRecord, Noun
from ckptrun.policy import restart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Asked(Noun, frozen=True, kw_only=True):
    """What this start is: the command, what identifies the code, who starts it, and the options that reopen."""

    run: str
    command: list[str]
    commit: str = ""
    script_digest: str = ""
    sweep: dict[str, Any] = {}  # the values of this task, where there is a sweep
    automatic: bool = False
    again: bool = False
    changed: bool = False
    fresh: bool = False
    max_failures: int = 3


class Decision(Noun, frozen=True, kw_only=True):
    """Go ahead, or that the run is complete already (`done`: the sentence to print), with notes to say either way."""

    done: str = ""
    notes: list[str] = []
    clear_stop: bool = False


class Recorded(Noun, frozen=True, kw_only=True):
    """What the run was started with before; an empty command: it was not."""

    command: list[str] = []
    sweep: dict[str, Any] = {}


def decide(asked: Asked, history: Sequence[AttemptRecord], recorded: Recorded, stopped: str) -> Decision:
    """May this start go ahead? `stopped` is the sentence of the durable stop mark, "" if there is none.

    Raises:
        UsageError: a named run is started with another command, or other values of a sweep, and without --changed.
        DoNotRestart: an automatic start of a run that the user stopped, or whose budget is spent.
    """
    different = check_same(asked, recorded)
    if stopped and asked.automatic:
        raise errors.DoNotRestart(f"run {asked.run} is not started: {stopped}", "start it by hand to go on")
    done = _complete(asked, history, reopened=different)
    if done:
        return Decision(done=done)
    _check_budget(asked, history)
    return Decision(notes=_notes(asked, history, stopped), clear_stop=bool(stopped))


def check_same(asked: Asked, recorded: Recorded) -> bool:
    """Whether this start asks for something else than the run was started with, on purpose.

    Raises:
        UsageError: it does, and nobody has said that it is meant so.
    """
    command, values = recorded.command != asked.command, recorded.sweep != asked.sweep
    if not recorded.command or not (command or values):
        return False
    if not (asked.changed or asked.fresh):
        what = "another command" if command else "other values"
        how = difference(recorded.command, asked.command) if command else other_values(recorded.sweep, asked.sweep)
        raise errors.UsageError(
            f"run {asked.run} was started with {what}: {how}",
            f"add --changed to go on with the new {'command' if command else 'values'}, --fresh to start over, or choose another --run",
        )
    return True


def difference(before: Sequence[str], now: Sequence[str]) -> str:
    """Where two commands differ, in one line: `argument 3 was '--lr 0.1', now is '--lr 0.2'`."""
    for index in range(max(len(before), len(now))):
        old = before[index] if index < len(before) else None
        new = now[index] if index < len(now) else None
        if old != new:
            was = "missing" if old is None else repr(old)
            is_now = "missing" if new is None else repr(new)
            where = "the command" if index == 0 else f"argument {index}"
            return f"{where} was {was}, now it is {is_now}"
    return "no difference"


def other_values(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Where two tasks' values differ, in one line: `lr was 0.1, now it is 0.2`."""
    different = [
        name for name in {**before, **now} if before.get(name) != now.get(name) or (name in before) != (name in now)
    ]
    return "; ".join(f"{name} was {before.get(name, 'missing')}, now it is {now.get(name, 'missing')}" for name in different)


def _complete(asked: Asked, history: Sequence[AttemptRecord], *, reopened: bool) -> str:
    if not history or history[-1].outcome != names.COMPLETED or asked.again or asked.fresh or reopened:
        return ""
    last = history[-1]
    how = "proved" if last.proved else "assumed"
    return f"run {asked.run} is complete ({how}: {last.why}); nothing to do. --again goes on with it, --fresh starts over"


def _check_budget(asked: Asked, history: Sequence[AttemptRecord]) -> None:
    if not asked.automatic or not history or _changed_since(asked, history[-1]):
        return
    verdict = restart.again(history, max_failures=asked.max_failures)
    if verdict.spent:
        hint = "look at `ckptrun logs " + asked.run + "`, then start it by hand: a start by a person is never refused"
        raise errors.DoNotRestart(f"run {asked.run} is not started again: {verdict.why}", hint)


def _changed_since(asked: Asked, last: AttemptRecord) -> bool:
    before = (last.command, last.sweep, last.commit, last.script_digest)
    return (asked.command, asked.sweep, asked.commit, asked.script_digest) != before


def _notes(asked: Asked, history: Sequence[AttemptRecord], stopped: str) -> list[str]:
    notes = [f"the earlier stop is lifted by this start ({stopped})"] if stopped else []
    stuck = restart.stuck_on_checkpoint(history)
    if stuck:
        notes.append(
            f"the last two attempts died before their first new step on {stuck}, which is whole; "
            "to go on from an earlier one: --resume-at STEP (`ckptrun ls " + asked.run + "` lists them)"
        )
    return notes
