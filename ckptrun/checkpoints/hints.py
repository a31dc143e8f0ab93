"""What frameworks say of their checkpoints outside of them: pointers, and small files with metrics. Hints, never the truth."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from ckptrun.checkpoints import abreast, reading
from ckptrun.checkpoints.reading import Broken
from ckptrun.layouts import catalogue, pointers, sidecars
from ckptrun.layouts.catalogue import Pointer
from ckptrun.layouts.claim import Entry
from ckptrun.policy import roles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ckptrun.layouts.catalogue import Layout
    from ckptrun.layouts.claim import Claim
    from ckptrun.layouts.facts import Facts
    from ckptrun.layouts.sidecars import Sidecar
    from ckptrun.model import Checkpoint

    Key = tuple[str, str, str]

# Links that people and plain scripts make beside their checkpoints.
_BY_HAND = (
    Pointer(name=r"(?:.*[-_])?(?:latest|last|newest|current|checkpoint)(?:\.\w+)*"),
    Pointer(name=r"(?:.*[-_])?best(?:[-_]\w+)?(?:\.\w+)*", best=True),
)
_BEST, _POINTER = roles.BEST, roles.POINTER


# --- pointers ----------------------------------------------------------------------------------------------------------
def pointed(
    directory: str, entries: Sequence[Entry], found: list[Checkpoint], patterns: tuple[Layout, ...] = ()
) -> tuple[list[Checkpoint], dict[Key, str]]:
    """The same checkpoints, those that pointers lead to called so, and what the pointers of each series name."""
    called: dict[str, list[str]] = {}
    named: dict[Key, str] = {}
    for layout in dict.fromkeys(item.layout for item in found):
        mine = [item for item in found if item.layout == layout]
        for entry, pointer in _pointing(layout, entries, patterns):
            name = leads_to(directory, entry, pointer)
            target = _of_name(mine, name)
            if target is None and not (name and _belongs(pointer)):
                continue
            if target is not None:
                called.setdefault(target.path, []).append(_BEST if pointer.best else _POINTER)
            if not pointer.best:
                named.setdefault(_key(target or mine[-1]), target.name if target else name)
    return [_also_called(item, called.get(item.path, ())) for item in found], named


def vouched(directory: str, claims: Sequence[Claim]) -> set[str]:
    """The names of those that a pointer names which is written after all ranks have saved."""
    found = set()
    for layout in {claim.layout for claim in claims}:
        literal = catalogue.layout(layout)
        for pointer in literal.pointers if literal else ():
            if pointer.vouches:
                found.add(leads_to(directory, Entry(name=pointer.name.replace("\\", "")), pointer))
    return found


def beside(directory: str, layout: str) -> list[tuple[Entry, Pointer]]:
    """The pointers to checkpoints of one layout that lie in a directory now.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(directory) as found:
        entries = [Entry(name=each.name, link=each.is_symlink()) for each in found if not each.is_dir(follow_symlinks=False)]
    return list(_pointing(layout, entries, ()))


def _pointing(layout: str, entries: Sequence[Entry], patterns: tuple[Layout, ...]) -> Iterable[tuple[Entry, Pointer]]:
    literal = next((item for item in patterns if item.name == layout), None) or catalogue.layout(layout)
    known = literal.pointers if literal else ()
    for entry in entries:
        for pointer in known if not entry.directory else ():
            if (entry.link or pointer.format != pointers.LINK) and re.fullmatch(pointer.name, entry.name, re.DOTALL):
                yield entry, pointer
                break
        else:
            yield from ((entry, each) for each in _BY_HAND if entry.link and re.fullmatch(each.name, entry.name, re.DOTALL))


def leads_to(directory: str, entry: Entry, pointer: Pointer) -> str:
    """The name that stands in a pointer, "" if it cannot be read."""
    try:
        return surely_leads_to(directory, entry, pointer)
    except (Broken, OSError):
        return ""


def surely_leads_to(directory: str, entry: Entry, pointer: Pointer) -> str:
    """The name that stands in a pointer, "" if none does.

    Raises:
        Broken, OSError: it cannot be read.
    """
    path = os.path.join(directory, entry.name)
    if entry.link:
        return pointers.read(pointers.LINK, os.readlink(path))
    return pointers.read(pointer.format, reading.small(path, pointers.LARGEST).decode("utf-8", "surrogateescape"))


def _belongs(pointer: Pointer) -> bool:
    """Is it the framework's own, so that what it names should be there?"""
    return pointer not in _BY_HAND


def _of_name(items: Iterable[Checkpoint], name: str) -> Checkpoint | None:
    return next((item for item in items if name and (name == item.name or name in item.entries)), None)


def _key(item: Checkpoint) -> Key:
    return item.directory, item.layout, item.series


def _also_called(item: Checkpoint, names: Iterable[str]) -> Checkpoint:
    more = [name for name in dict.fromkeys(names) if name not in item.called]
    return msgspec.structs.replace(item, called=(*item.called, *more)) if more else item


# --- small files -------------------------------------------------------------------------------------------------------
def told(directory: str, items: list[Checkpoint], inside: Callable[[str], Iterable[str]]) -> list[Checkpoint]:
    """The same checkpoints with what their layouts' small files say of them."""
    for layout in {item.layout for item in items}:
        literal = catalogue.layout(layout)
        sidecar = sidecars.SIDECARS[literal.sidecar] if literal and literal.sidecar else None
        if sidecar is None:
            continue
        mine = [item for item in items if item.layout == layout]
        new = {item.path: item for item in _told(directory, mine, sidecar, inside)}
        items = [new.get(item.path, item) for item in items]
    return items


def _told(
    directory: str, items: list[Checkpoint], sidecar: Sidecar, inside: Callable[[str], Iterable[str]]
) -> list[Checkpoint]:
    if sidecar.newest:
        return _of_all(items, _newest(items, sidecar))
    if sidecar.beside:
        tried = (_facts(os.path.normpath(os.path.join(directory, name)), sidecar) for name in sidecar.beside)
        return _of_all(items, next((facts for facts in tried if facts), None))
    own = abreast.over(lambda item: _own_facts(item, sidecar, inside), items)
    return [_with(item, facts) if facts else item for item, facts in zip(items, own, strict=True)]


def _own_facts(item: Checkpoint, sidecar: Sidecar, inside: Callable[[str], Iterable[str]]) -> Facts | None:
    if sidecar.part:
        part = next((name for name in item.entries if sidecar.part in name), "")
        return _facts(os.path.join(item.directory, part), sidecar) if part else None
    if sidecar.needs and sidecar.needs not in inside(item.path):
        return None
    return _facts(f"{item.path}/{sidecar.inside}", sidecar)


def _newest(items: list[Checkpoint], sidecar: Sidecar) -> Facts | None:
    """The file of the newest that has a readable one: it speaks of all before it."""
    for item in sorted(items, key=lambda item: item.step or 0, reverse=True):
        facts = _facts(os.path.join(item.path, sidecar.inside), sidecar)
        if facts is not None and (facts.by_step or facts.best):
            return facts
    return None


def _facts(path: str, sidecar: Sidecar) -> Facts | None:
    try:
        return sidecar.read(reading.small(path, sidecars.LARGEST))
    except (Broken, OSError):
        return None


def _of_all(items: list[Checkpoint], facts: Facts | None) -> list[Checkpoint]:
    if facts is None:
        return items
    best = _of_name(items, facts.best)
    told = []
    steps = sorted({item.step for item in items if item.step is not None})
    before = dict(zip(steps[1:], steps, strict=False))
    for item in items:
        known, after = item, before.get(item.step) if item.step is not None else None
        for each in sidecars.facts_of(facts, name=item.name, step=item.step, epoch=item.epoch, after=after):
            known = _with(known, each)
        told.append(_also_called(known, (_BEST,)) if item is best else known)
    return told


def _with(item: Checkpoint, facts: Facts) -> Checkpoint:
    """What stands in the name is kept where both tell of it."""
    return msgspec.structs.replace(
        item,
        step=facts.step if item.step is None else item.step,
        epoch=facts.epoch if item.epoch is None else item.epoch,
        metrics={**facts.metrics, **item.metrics},
        temporary=item.temporary or facts.temporary,
        why_saved="temporary" if facts.temporary else item.why_saved,
    )
