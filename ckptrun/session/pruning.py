"""Retention carried out: what is around the checkpoints is looked up, the policy decides, what goes is renamed into the trash.

Two looks: nobody asks every process and every run who needs something before it is known that something would go.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.checkpoints import remove, trash, using, verify
from ckptrun.layouts.catalogue import OWN
from ckptrun.model import Checkpoint, Identity, Noun
from ckptrun.policy import retention, roles
from ckptrun.policy.gates import Around
from ckptrun.report import gather
from ckptrun.runs import branches, ledger, records, unfinished
from ckptrun.runs import paths as run_paths
from ckptrun.session import forgetting, permission, pointing, resuming, thinning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ckptrun.policy.keeping import Policy
    from ckptrun.policy.retention import Decision, Judged
    from ckptrun.runs.paths import RunPaths
    from ckptrun.session.permission import Free, Permission

TRIES = 3  # looks at a run that others start and stop meanwhile
PRUNED = "pruned"  # the ledger's event


class Place(Noun, frozen=True, kw_only=True):
    """Checkpoints that are judged together, oldest first and with their roles; the run that they lie in, if any."""

    checkpoints: list[Checkpoint]
    run: RunPaths | None = None
    root: str = ""  # whose runs may have been branched from these
    ours: bool = False  # we hold the run's lease
    ended: bool = False  # and its command has ended: nobody writes

    def trash(self, directory: str) -> str:
        """Where what lies in `directory` goes."""
        return remove.place(directory, self.run.trash if self.run else "")

    @property
    def trashes(self) -> list[str]:
        """Every trash in which something of these may lie."""
        directories = {item.directory for item in self.checkpoints}
        return sorted({self.trash(directory) for directory in directories} | ({self.run.trash} if self.run else set()))


def without_copies(found: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Copies of a file that is rewritten in place count for nothing here: `keep_copies` says how many there are."""
    return [item for item in found if item.place != names.COPIES]


class Asked(Noun, frozen=True, kw_only=True):
    """What is to be kept, and who asks."""

    policy: Policy
    me: Identity
    by: str = ""
    credit: int = 0  # bytes on the same disk that are about to be free already


class Pruned(Noun, frozen=True, kw_only=True):
    """What was decided about a place, and done; sentences about what was not."""

    place: Place
    decision: Decision
    left: list[str] = []


def prune(run: RunPaths | None, look: Callable[[], Place], asked: Asked, *, clock: Callable[[], float]) -> Pruned:
    """Remove what goes. Where somebody starts or ends the run meanwhile, look and decide again.

    Raises:
        Leased: it is being started by somebody else at this moment.
        UsageError, IoFailure: as `decide`; nothing more is removed then.
    """
    gone: list[Judged] = []
    for tried in range(1, TRIES + 1):
        allowed = permission.of(run, asked.me)  # before the look: what changes afterwards is noticed
        try:
            place = verified(look())
            decision = decide(place, asked.policy, clock(), credit=asked.credit)
            done = carry_out(place, decision, allowed, now=clock())
            thinned = thinning.thin(decision.thin, place.trash, allowed, by=asked.by, now=clock())
            troubles = _write_down(run, done.moved, thinned.moved, allowed, asked.by, clock)
            troubles += tidied(place, clock())
            return Pruned(
                place=place, decision=_as_done(decision, done.moved, gone, troubles), left=[*done.left, *thinned.left]
            )
        except permission.Changed:
            if tried == TRIES:
                raise
            gone += [each for each in decision.remove if not os.path.lexists(each.checkpoint.path)]
        finally:
            allowed.close()
    raise AssertionError  # the last try returns or raises


def decide(place: Place, policy: Policy, now: float, *, credit: int = 0) -> Decision:
    """What stays and what goes of the checkpoints of a place, and why. `credit`: bytes that are about to be free besides.

    Raises:
        UsageError: the policy keeps nothing, or names a metric whose better end is not known.
    """
    inodes = {item.path: remove.inodes(item) for item in place.checkpoints}
    free = _free(place)
    around = Around(now=now, inodes=inodes, free=None if free is None else free + credit, ours=place.ours)
    first = retention.decide(place.checkpoints, policy, around)
    if not first.remove:
        return first
    doomed = [judged.checkpoint for judged in first.remove]
    around = msgspec.structs.replace(around, in_use=in_use(place), open=_open(doomed))
    return retention.decide(place.checkpoints, policy, around)


def verified(place: Place) -> Place:
    """The same, after every byte of the newest complete one of each family was checked: one that is not whole counts for nothing.

    Without that, pruning to the last would remove what a start could have fallen back to.
    """
    found = list(place.checkpoints)
    sure: set[tuple[str, str, str]] = set()
    for index in reversed(range(len(found))):
        item, family = found[index], retention.family(found[index])
        if item.state != names.COMPLETE or family in sure:
            continue
        state, reason = verify.deep(item)
        if state == names.COMPLETE:
            sure.add(family)
        else:
            left = [role for role in item.roles if role != roles.LATEST]
            found[index] = msgspec.structs.replace(item, state=state, reason=reason, roles=left)
    return msgspec.structs.replace(place, checkpoints=found)


def carry_out(place: Place, decision: Decision, guard: Callable[[], None], *, now: float, sync: bool = True) -> remove.Moved:
    """Rename what goes into the trash, its names out of pointers first; `guard` is asked before each and may refuse by raising.

    Raises:
        errors.CkptrunError: from `guard`.
    """
    stay, going = ([judged.checkpoint for judged in each] for each in (decision.keep, decision.remove))
    guard()
    spared = pointing.mend(going, before=now if place.ended else pointing.at_rest(now))
    stay += [item for item in going if item.path in spared]
    units = remove.units([item for item in going if item.path not in spared], stay)
    done = remove.move(units, place.trash, guard, sync=sync)
    return msgspec.structs.replace(done, left=[*spared.values(), *done.left])


def finish(place: Place) -> list[str]:
    """Unlink what lies in the trash, what a killed prune left there included. What could not be, with the reason."""
    return [line for each in place.trashes for line in trash.empty(each)]


def tidied(place: Place, now: float) -> list[str]:
    """Remove what is left of checkpoints that are gone, and what was left half-written; what could not be, with the reason."""
    directories = sorted({item.directory for item in place.checkpoints if item.layout != OWN.name})
    for directory in directories:
        unfinished.sweep(directory, now)
    there = [item.path for item in place.checkpoints if _is_there(item)]
    return forgetting.forget(directories, there, now)


def _is_there(item: Checkpoint) -> bool:
    return any(os.path.lexists(os.path.join(item.directory, name)) for name in item.entries or item.files)


def waiting(place: Place) -> list[str]:
    """The trashes in which something lies."""
    return [each for each in place.trashes if resuming.holds_something(each)]


def same_disk(one: Place, other: Place) -> bool:
    """Whether what is freed of one place is free for the other."""
    places = [place.checkpoints[0].directory for place in (one, other) if place.checkpoints]
    try:
        return len({os.stat(directory).st_dev for directory in places}) == 1
    except OSError:
        return False


def _write_down(
    run: RunPaths | None,
    moved: Sequence[str],
    thinned: Sequence[str],
    allowed: Permission | Free,
    by: str,
    clock: Callable[[], float],
) -> list[str]:
    """One line in the ledger, which is its holder's: only where nobody runs it. What went wrong; a full disk is why people prune."""
    if run is None or not (moved or thinned) or not allowed.idle:
        return []
    book = ledger.Ledger(run.ledger, allowed, clock)
    try:
        book.append(PRUNED, by=by, removed=inside(run, moved), thinned=inside(run, thinned))
    except errors.CkptrunError as error:
        return [f"the ledger does not tell of it: {error.message}"]
    finally:
        book.close()
    return []


def inside(run: RunPaths, paths: Sequence[str]) -> list[str]:
    """Paths as the ledger has them: relative to the run."""
    return [os.path.relpath(path, run.dir) for path in paths]


def _as_done(decision: Decision, moved: Sequence[str], gone: Sequence[Judged], troubles: list[str]) -> Decision:
    """The decision as far as it was carried out, with what an earlier try removed."""
    there = set(moved)
    removed = [each for each in decision.remove if each.checkpoint.path in there]
    freed = decision.freed if len(removed) == len(decision.remove) else sum(each.checkpoint.size for each in removed)
    return msgspec.structs.replace(
        decision,
        remove=[*gone, *removed],
        freed=freed + sum(each.checkpoint.size for each in gone),
        notes=[*decision.notes, *troubles],
    )


def in_use(place: Place) -> dict[str, str]:
    """Paths of what somebody goes on from, with who: the newest attempt of its run, and every run that was branched from it."""
    found: dict[str, str] = {}
    if place.run is not None:
        newest = next(iter(reversed(gather.attempt_records(place.run))), None)
        if newest is not None and newest.resumed_from:
            found[gather.resumed_path(place.run, newest)] = f"attempt {newest.attempt} resumed from it"
        found.update(branches.in_use(place.run))
    roots = {place.root, os.path.dirname(place.run.dir) if place.run else ""} - {""}
    for other in (run for root in sorted(roots) for run in run_paths.all_runs(root)):
        if place.run is None or other.dir != place.run.dir:
            found.update((path, f"run {other.name} was branched from it") for path in _origins(other))
    return found


def _origins(run: RunPaths) -> Iterable[str]:
    """What lies outside of a run and its attempts began with."""
    try:
        asked = records.read_run(run)
    except errors.CkptrunError:
        asked = None  # damaged: what its attempts say counts
    if asked is not None and not asked.parent:
        return []
    begun = (gather.resumed_path(run, record) for record in gather.attempt_records(run))
    return [path for path in begun if path and not path.startswith(run.dir + os.sep)]


def _open(doomed: Sequence[Checkpoint]) -> dict[str, str]:
    entries = {os.path.join(item.directory, name): item.path for item in doomed for name in item.entries}
    return {entries[path]: who for path, who in using.open_below(entries).items()}


def _free(place: Place) -> int | None:
    if not place.checkpoints:
        return None
    try:
        disk = os.statvfs(place.checkpoints[-1].directory)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
