"""Which checkpoint the next attempt continues from, and why. PURE: the session verifies what is chosen and asks again.

`decide` is given every checkpoint that a scan found, oldest first by `policy.order`. When the session finds that the chosen one is
not whole after all, it replaces that one's state and asks again, so that each fallback is the same decision made with more knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import errors, names
from ckptrun.model import Checkpoint, Noun

if TYPE_CHECKING:
    from collections.abc import Sequence

_BAD = (names.PARTIAL, names.CORRUPT)


class Passed(Noun, frozen=True, kw_only=True):
    """A checkpoint that was not taken, and why."""

    checkpoint: Checkpoint
    why: str


class Resume(Noun, frozen=True, kw_only=True):
    """What an attempt starts from.

    `set_aside` lists, newest first, what has to be moved into superseded/ before the attempt starts, with `label` (fallback, rewind,
    fresh, from) as the reason. `unknown` are those that could not be read and would have been taken: the session retries, then gives up.
    """

    chosen: Checkpoint | None
    why: str
    passed: list[Passed] = []
    set_aside: list[Checkpoint] = []
    label: str = ""
    unknown: list[Checkpoint] = []


def decide(found: Sequence[Checkpoint], *, fresh: bool = False, at_step: int | None = None) -> Resume:
    """Choose the newest complete checkpoint of `found` (oldest first), or none with --fresh, or step `at_step`.

    Raises:
        UsageError: `at_step` names a step of which there is no complete checkpoint; the hint lists those there are.
    """
    live = [item for item in found if item.state != names.SOFT_DELETED]
    if fresh:
        return Resume(chosen=None, why=_why_fresh(live), set_aside=live[::-1], label="fresh" if live else "")
    if at_step is not None:
        return _rewind(live, at_step)
    return _newest(live)


def superseded_by_parent(found: Sequence[Checkpoint], parent: Checkpoint) -> Resume:
    """Continue from another run's checkpoint: what this run has itself is set aside first."""
    live = [item for item in found if item.state != names.SOFT_DELETED]
    why = f"--from: {parent.path}"
    return Resume(chosen=parent, why=why, set_aside=live[::-1], label="from" if live else "")


def _newest(live: list[Checkpoint]) -> Resume:
    passed: list[Passed] = []
    for index in range(len(live) - 1, -1, -1):
        item = live[index]
        if item.state == names.UNKNOWN:
            why = f"{item.name} could not be read: {item.reason}"
            return Resume(chosen=None, why=why, passed=passed, unknown=[item])
        if item.state in _BAD:
            passed.append(Passed(checkpoint=item, why=f"{item.state}: {item.reason}"))
            continue
        aside = [entry.checkpoint for entry in passed]
        return Resume(
            chosen=item, why=_why_newest(item, live, passed), passed=passed, set_aside=aside, label=_fallback(aside)
        )
    aside = [entry.checkpoint for entry in passed]
    return Resume(chosen=None, why=_why_nothing(passed), passed=passed, set_aside=aside, label=_fallback(aside))


def _fallback(aside: list[Checkpoint]) -> str:
    return "fallback" if aside else ""


def _rewind(live: list[Checkpoint], at_step: int) -> Resume:
    matches = [index for index, item in enumerate(live) if item.step == at_step and item.state == names.COMPLETE]
    if not matches:
        steps = sorted({item.step for item in live if item.state == names.COMPLETE and item.step is not None})
        there = ", ".join(str(step) for step in steps[-12:]) or "none"
        raise errors.UsageError(
            f"--resume-at {at_step}: there is no complete checkpoint of step {at_step}", f"complete steps: {there}"
        )
    index = matches[-1]
    later = live[index + 1 :]
    why = f"--resume-at {at_step}" + (f"; {len(later)} later set aside" if later else "")
    return Resume(chosen=live[index], why=why, set_aside=later[::-1], label="rewind" if later else "")


def _why_newest(item: Checkpoint, live: list[Checkpoint], passed: list[Passed]) -> str:
    whole = sum(1 for other in live if other.state == names.COMPLETE)
    what = "the only complete checkpoint" if whole == 1 else f"the newest of {whole} complete checkpoints"
    if item.step is None:
        what += " (by time: its step is not known)"
    if passed:
        what += f", after {len(passed)} newer that {'is' if len(passed) == 1 else 'are'} not whole"
    return what


def _why_nothing(passed: list[Passed]) -> str:
    if passed:
        return f"none of {len(passed)} checkpoints is whole: starting from the beginning"
    return "no checkpoint yet: starting from the beginning"


def _why_fresh(live: list[Checkpoint]) -> str:
    if not live:
        return "--fresh: starting from the beginning"
    return f"--fresh: starting from the beginning; {len(live)} earlier set aside"
