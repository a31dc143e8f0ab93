"""The frameworks' own pointers, before checkpoints go: read again, and lists in them lose the names of what goes.

Each is written beside, fsynced and renamed before anything is moved: killed in between, it names something that is there. What a pointer
led to when checkpoints were judged is protected; what one leads to only since then stays as well.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import errors
from ckptrun.checkpoints import hints
from ckptrun.checkpoints.reading import Broken
from ckptrun.layouts import pointers
from ckptrun.layouts.catalogue import OWN
from ckptrun.policy.retention import YOUNG_SECONDS
from ckptrun.runs import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckptrun.layouts.catalogue import Pointer
    from ckptrun.layouts.claim import Entry
    from ckptrun.model import Checkpoint


def mend(going: Sequence[Checkpoint], *, before: float) -> dict[str, str]:
    """Take the names of what goes out of the pointers beside it; the paths of what must stay after all, each with a sentence.

    A pointer that was written after `before` is left as it is: its framework is at work, and writes it anew with its next save.
    """
    return {path: why for place, items in _by_place(going).items() for path, why in _in_place(*place, items, before)}


def at_rest(now: float) -> float:
    """`before`, where somebody may be writing."""
    return now - YOUNG_SECONDS


def _by_place(going: Iterable[Checkpoint]) -> dict[tuple[str, str], list[Checkpoint]]:
    places: dict[tuple[str, str], list[Checkpoint]] = {}
    for item in going:
        if item.layout != OWN.name:  # our own link is for people, and follows the newest
            places.setdefault((item.directory, item.layout), []).append(item)
    return places


def _in_place(directory: str, layout: str, items: Sequence[Checkpoint], before: float) -> Iterator[tuple[str, str]]:
    try:
        found = hints.beside(directory, layout)
    except OSError as error:
        yield from ((item.path, f"{item.name} stays: its directory could not be listed: {error.strerror}") for item in items)
        return
    for entry, pointer in found:
        try:
            named = hints.surely_leads_to(directory, entry, pointer)
        except FileNotFoundError:
            continue
        except (Broken, OSError) as error:  # nobody knows what it leads to
            yield from ((item.path, f"{item.name} stays: {entry.name} cannot be read: {_why(error)}") for item in items)
            return
        led = {item.path for item in items if named in (item.name, *item.entries)}
        yield from ((path, f"{os.path.basename(path)} stays: {entry.name} leads to it since it was judged") for path in led)
        gone = [item for item in items if item.path not in led]
        if named and gone and not entry.link:
            yield from _mended(directory, entry, pointer, gone, before)


def _mended(
    directory: str, entry: Entry, pointer: Pointer, gone: Sequence[Checkpoint], before: float
) -> Iterator[tuple[str, str]]:
    try:
        _rewrite(os.path.join(directory, entry.name), pointer.format, {item.name for item in gone}, before)
    except (OSError, errors.CkptrunError) as error:
        yield from ((item.path, f"{item.name} stays, as {entry.name} lists it: {_why(error)}") for item in gone)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _rewrite(path: str, form: str, gone: set[str], before: float) -> None:
    seen = os.lstat(path)
    old = durable.read(path, limit=pointers.LARGEST).decode("utf-8", "surrogateescape")
    new = pointers.rewritten(form, old, pointers.read(form, old), gone)
    if new != old and seen.st_mtime <= before:
        durable.replace_others(path, new.encode("utf-8", "surrogateescape"), seen)
