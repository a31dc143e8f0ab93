"""Whether a start may go ahead, judged from what the run went through before. PURE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import errors, names
from ckptrun.model import AttemptRecord, Noun
from ckptrun.policy import restart

if TYPE_CHECKING:
    from collections.abc import Sequence


class Asked(Noun, frozen=True, kw_only=True):
    """What this start is: the command, what identifies the code, who starts it, and the options that reopen."""

    run: str
    command: list[str]
    commit: str = ""
    script_digest: str = ""
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


def decide(asked: Asked, history: Sequence[AttemptRecord], recorded_command: Sequence[str], stopped: str) -> Decision:
    """May this start go ahead? `stopped` is the sentence of the durable stop mark, "" if there is none.

    Raises:
        UsageError: a named run is started with another command and without --changed.
        DoNotRestart: an automatic start of a run that the user stopped, or whose budget is spent.
    """
    different = bool(recorded_command) and list(recorded_command) != list(asked.command)
    if different and not (asked.changed or asked.fresh):
        _refuse_other_command(asked, recorded_command)
    if stopped and asked.automatic:
        raise errors.DoNotRestart(f"run {asked.run} is not started: {stopped}", "start it by hand to go on")
    done = _complete(asked, history, reopened=different)
    if done:
        return Decision(done=done)
    _check_budget(asked, history)
    return Decision(notes=_notes(asked, history, stopped), clear_stop=bool(stopped))


def _refuse_other_command(asked: Asked, recorded: Sequence[str]) -> None:
    raise errors.UsageError(
        f"run {asked.run} was started with another command: {difference(recorded, asked.command)}",
        "add --changed to go on with the new command, --fresh to start over, or choose another --run",
    )


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
    return (asked.command, asked.commit, asked.script_digest) != (last.command, last.commit, last.script_digest)


def _notes(asked: Asked, history: Sequence[AttemptRecord], stopped: str) -> list[str]:
    notes = [f"the earlier stop is lifted by this start ({stopped})"] if stopped else []
    stuck = restart.stuck_on_checkpoint(history)
    if stuck:
        notes.append(
            f"the last two attempts died before their first new step on {stuck}, which is whole; "
            "to go on from an earlier one: --resume-at STEP (`ckptrun ls " + asked.run + "` lists them)"
        )
    return notes
