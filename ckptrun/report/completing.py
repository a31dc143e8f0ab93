"""What a reference that is half typed could become: runs, attempts after RUN/, steps and roles after RUN@ and DIR@."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ckptrun import errors, names
from ckptrun.model import Noun
from ckptrun.policy import roles
from ckptrun.report import gather, listing, refs
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.model import Checkpoint

_INSIDE = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]*)([@/])(.*)", re.DOTALL)


class Offer(Noun, frozen=True):
    """A whole word, and what it is."""

    value: str
    told: str = ""


def inside(typed: str, marks: str, *, root: str, cwd: str, patterns: tuple[Layout, ...] = ()) -> list[Offer] | None:
    """What may stand after `RUN/`, `RUN@` or `DIR@`, those of the `marks`; None: nothing of this kind was begun.

    Raises:
        CkptrunError, OSError: it could not be read.
    """
    wish = gather.Wish(sizes=False, patterns=patterns)
    parts = _INSIDE.fullmatch(typed)
    if parts and parts[2] in marks and refs.exists(run := run_paths.run_paths(root, parts[1])):
        offers = _attempts(run) if parts[2] == "/" else _at(gather.run_listing(run, wish), parts[3])
        return _fitting(typed, parts[1] + parts[2], offers)
    directory, at, rest = typed.rpartition("@")
    path = os.path.normpath(os.path.join(cwd, os.path.expanduser(directory)))
    if not directory or at not in marks or not os.path.isdir(path):
        return None
    around = gather.run_around(path)
    is_run = around is not None and os.path.samefile(around.dir, path)
    found = gather.run_listing(around, wish) if around and is_run else gather.directory_listing(path, wish)
    return _fitting(typed, directory + at, _at(found, rest))


def _fitting(typed: str, before: str, offers: Iterator[Offer]) -> list[Offer]:
    whole = (Offer(before + each.value, each.told) for each in offers)
    return [each for each in whole if each.value.startswith(typed) and each.value.isprintable()]


def _attempts(run: run_paths.RunPaths) -> Iterator[Offer]:
    told = {record.attempt: record.outcome for record in gather.attempt_records(run)}
    for number in reversed(run_paths.attempts(run)):
        yield Offer(str(number), told.get(number, ""))


def _at(found: listing.Listing, rest: str) -> Iterator[Offer]:
    """Roles, then steps, the newest first; names where there is no step, or where one was begun."""
    there = [item for item in reversed(found.checkpoints) if not item.name.startswith(names.TMP_PREFIX)]
    whole = [item for item in there if item.state == names.COMPLETE]
    for role in (refs.LATEST, refs.BEST):
        yield from [Offer(role, item.name) for item in whole if role in item.roles][:1]
    yield from _metrics(whole)
    yield from (Offer(step, told) for step, told in _steps(there).items())
    yield from (Offer(item.name, _told(item)) for item in there if item.step is None or (rest and not rest.isdigit()))


def _steps(there: Sequence[Checkpoint]) -> dict[str, str]:
    """Each step once; of two with the same one, what is said is of the complete one."""
    found: dict[str, str] = {}
    for item in sorted(there, key=lambda item: item.state != names.COMPLETE):  # which keeps the order otherwise
        if item.step is not None:
            found.setdefault(str(item.step), _told(item))
    return dict(sorted(found.items(), key=lambda pair: -int(pair[0])))


def _metrics(whole: Sequence[Checkpoint]) -> Iterator[Offer]:
    for metric in listing.metrics_of(whole):
        try:
            found = roles.best(whole, metric)
        except errors.UsageError:  # which end is better, its name does not tell
            continue
        if found.checkpoint is not None:
            yield Offer(f"{refs.BEST}:{metric}", f"{found.checkpoint.name}, {found.why}")


def _told(item: Checkpoint) -> str:
    """`complete, loss 0.12, latest`."""
    metrics = [f"{name} {listing.number(value)}" for name, value in item.metrics.items()]
    return ", ".join([item.state, *metrics, *listing.telling(item.roles)])
