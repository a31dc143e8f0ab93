"""Which checkpoints are kept and which go, each with the reasons. PURE: `checkpoints.remove` does it.

    rules      what the user asked to keep, in union (`policy.rules`), of each family by itself
    protected  what nobody may ask to remove: the newest complete, the best, pinned, in use, too young to judge
    gates      of what no rule keeps, oldest first, only so much goes as --max-bytes and --until-free need

A family is what one numbering counts: one layout in one place, in all attempts of a run; of files that were recognised by their names,
those that differ in numbers only (a generator's and a discriminator's are two, or keeping the last would part a couple). Only complete
checkpoints count, and only those that have a name of their own: `last.ckpt` is the framework's to rewrite. Partial and corrupt ones that
are older than the newest complete one go; newer ones may be being written, and of what could not be read nobody knows what it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Checkpoint, Noun
from ckptrun.policy import gates, keeping, roles, rules, thinning
from ckptrun.policy.order import GUESSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckptrun.policy.gates import Around

YOUNG_SECONDS = 60.0
_OWN = "own"  # the layout of ckptrun itself
_ATTEMPT = re.compile(rf"(?<=/{names.ATTEMPTS}/)\d+(?=/{names.OUTPUT}(?:/|$))")
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")


class Judged(Noun, frozen=True, kw_only=True):
    """One checkpoint, and why it stays or goes."""

    checkpoint: Checkpoint
    reasons: list[str]


class Thinned(Noun, frozen=True, kw_only=True):
    """A checkpoint that stays, and the files of it that go: nobody will resume from it."""

    checkpoint: Checkpoint
    files: list[str]  # relative to its directory


class Decision(Noun, frozen=True, kw_only=True):
    """What stays and what goes, each oldest first; bytes that become free; sentences for what was asked and cannot be."""

    keep: list[Judged]
    remove: list[Judged]
    thin: list[Thinned] = []
    freed: int = 0
    notes: list[str] = []


def decide(found: Sequence[Checkpoint], asked: keeping.Policy, around: Around) -> Decision:
    """Judge `found`, oldest first and bearing their roles.

    Raises:
        UsageError: as `keeping.require`.
    """
    keeping.require(asked)
    kept: dict[int, list[str]] = {}
    for members in _families(found):
        kept.update(_kept(found, members, asked, around))
    gone = _order_of_going(found, [index for index in range(len(found)) if index not in kept])
    goes, spared, freed, notes = gates.gated(found, gone, asked, around)
    kept.update({index: [spared] for index in gone if index not in goes})
    thin = list(_thinned(found, kept, around)) if asked.thin else []
    freed += sum(inode.size for each in thin for inode in gates.names(each.checkpoint, around) if inode.name in each.files)
    return Decision(
        thin=thin,
        keep=[Judged(checkpoint=found[index], reasons=kept[index]) for index in sorted(kept)],
        remove=[Judged(checkpoint=found[index], reasons=[_why_it_goes(found[index])]) for index in sorted(goes)],
        freed=freed,
        notes=notes,
    )


def family(item: Checkpoint) -> tuple[str, str, str]:
    """What a checkpoint is counted together with."""
    shape = _NUMBERS.sub("#", item.name) if item.layout in GUESSES else item.series
    return item.layout, _ATTEMPT.sub("#", item.directory), shape


def _families(found: Sequence[Checkpoint]) -> Iterable[list[int]]:
    groups: dict[tuple[str, str, str], list[int]] = {}
    for index, item in enumerate(found):
        groups.setdefault(family(item), []).append(index)
    return groups.values()


# --- what stays --------------------------------------------------------------------------------------------------------
def _kept(found: Sequence[Checkpoint], members: list[int], asked: keeping.Policy, around: Around) -> dict[int, list[str]]:
    """Those of one family that stay, with all reasons: what protects them first."""
    whole = _whole(found, members)
    reused = {found[index].name: index for index in whole if found[index].reused}  # the newest attempt's of each name
    counted = [index for index in members if _counts(found[index]) and index not in reused.values()]
    reasons: dict[int, list[str]] = {index: _protections(found[index], around) for index in members}
    for index in reused.values():
        reasons[index].append("its framework gives that name to one after another")
    if whole and _NEWEST not in reasons[whole[-1]]:
        reasons[whole[-1]].insert(0, _NEWEST)
    written = max(whole, key=lambda index: found[index].time, default=-1)
    if whole and found[written].time > found[whole[-1]].time + YOUNG_SECONDS:  # somebody started over in the same directory
        reasons[written].append("written last, though its step is not the highest")
    for index in members:
        if found[index].state != names.COMPLETE and not found[index].thinned:
            reasons[index] += _untouched(found[index], newer=not whole or index > whole[-1])
        elif not asked.keeps and not gates.given(asked):
            reasons[index].append("nothing says what goes")
    for place, why in _by_rules([found[index] for index in counted], asked):
        if why not in reasons[counted[place]]:
            reasons[counted[place]].append(why)
    return {index: why for index, why in reasons.items() if why}


def _whole(found: Sequence[Checkpoint], members: Iterable[int]) -> list[int]:
    return [index for index in members if found[index].state == names.COMPLETE]


def _counts(item: Checkpoint) -> bool:
    """Whether the rules see it: it is complete, or was until it was thinned, and shall stay."""
    return (item.state == names.COMPLETE or item.thinned) and not item.temporary


def _by_rules(items: Sequence[Checkpoint], asked: keeping.Policy) -> Iterator[tuple[int, str]]:
    yield from rules.last(items, asked.last)
    yield from rules.first(items, asked.first)
    for best in asked.best:
        yield from rules.best(items, best, without_metric=asked.without_metric)
    for every in asked.every:
        yield from rules.every(items, every)
    yield from rules.within(items, asked.within)
    for name in rules.BUCKETS:
        yield from rules.bucketed(items, name, getattr(asked, name))
    yield from rules.permanent(items, asked.permanent)


_NEWEST = "the newest complete one"
_ROLES = {
    roles.LATEST: _NEWEST,
    roles.BEST: "the best",
    roles.PINNED: "pinned",
    roles.POINTER: "its framework's pointer leads to it",
}
_LINK = f"`{names.LATEST}` leads to it"


def _protections(item: Checkpoint, around: Around) -> list[str]:
    ours = item.layout == _OWN
    reasons = [_LINK if ours and role == roles.POINTER else why for role, why in _ROLES.items() if role in item.roles]
    if roles.BEST in item.called and roles.BEST not in item.roles:
        reasons.append("its framework calls it best")
    if item.path in around.in_use:
        reasons.append(around.in_use[item.path])
    if item.path in around.open:
        reasons.append(f"open: {around.open[item.path]}")
    if _young(item, around):
        reasons.append("younger than a minute")
    return reasons


def _young(item: Checkpoint, around: Around) -> bool:
    """Whether somebody may still be writing it."""
    return around.now - item.time < YOUNG_SECONDS and not (around.ours and item.layout == _OWN)


def _untouched(item: Checkpoint, *, newer: bool) -> list[str]:
    if item.state == names.UNKNOWN:
        return [f"it could not be read, which says nothing about it: {item.reason}"]
    if item.state == names.SOFT_DELETED:
        return ["soft-deleted: removing it is its framework's business"]
    return [f"{item.state}, but no complete one is newer: it may be being written"] if newer else []


# --- what goes ---------------------------------------------------------------------------------------------------------
def _why_it_goes(item: Checkpoint) -> str:
    if item.state != names.COMPLETE and not item.thinned:
        return f"{item.state}: {item.reason}"
    return "temporary, and a newer one is complete" if item.temporary else "no rule keeps it"


def _order_of_going(found: Sequence[Checkpoint], gone: list[int]) -> list[int]:
    """What is not whole first, then the oldest."""
    return sorted(gone, key=lambda index: (found[index].state == names.COMPLETE, found[index].time, index))


# --- what is thinned ---------------------------------------------------------------------------------------------------
_RESUMABLE = 2  # newest complete ones of a family that stay resumable: the second is what a start falls back to
_NEEDED = (roles.PINNED, roles.POINTER)


def _thinned(found: Sequence[Checkpoint], kept: dict[int, list[str]], around: Around) -> Iterator[Thinned]:
    """Those that stay, lose their optimizer's files, and are not kept to be resumed from."""
    for members in _families(found):
        begun = [index for index in members if found[index].thinned]  # of a prune that was killed, something may be left
        for index in [*_whole(found, members)[:-_RESUMABLE], *begun]:
            item = found[index]
            needed = {*_NEEDED} & {*item.roles} or item.path in around.in_use or item.path in around.open
            files = thinning.dispensable(item)
            if index in kept and files and not needed and not _young(item, around):
                yield Thinned(checkpoint=item, files=files)
