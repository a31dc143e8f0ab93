"""Sealing: checksums of checkpoints of other frameworks, written beside them once all of it is whole and at rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckptrun import names
from ckptrun.checkpoints import parts, seals, using, wholeness
from ckptrun.checkpoints.reader import Reader
from ckptrun.checkpoints.reading import Broken
from ckptrun.checkpoints.seals import Seal, SealedFile
from ckptrun.layouts import catalogue
from ckptrun.model import Noun
from ckptrun.report import verifying
from ckptrun.runs import beside, durable, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ckptrun.checkpoints.parts import Part
    from ckptrun.model import Checkpoint

SEALED, UNCHANGED, OURS, REFUSED, UNREAD = "sealed", "unchanged", "manifest", "refused", "unread"
_FEW = 3


class Sealed(Noun, frozen=True, kw_only=True):
    """What became of one checkpoint, and why."""

    path: str
    state: str
    reason: str = ""
    seal: str = ""  # the file
    busy: bool = False  # somebody is writing to it, so that it may be different in a moment


class Wish(Noun, frozen=True, kw_only=True):
    """What is sealed although it was sealed: with `again` all that is not as it was, with `anew` what was saved anew since."""

    again: bool = False
    anew: bool = False


class _No(Exception):
    """It is not sealed; `state` is one of the words above."""

    def __init__(self, state: str, reason: str, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.state, self.reason, self.busy = state, reason, busy


def seal(
    items: Sequence[Checkpoint],
    wish: Wish,
    *,
    now: Callable[[], float],
    jobs: int = 0,
    show: Callable[[int], None] = lambda _: None,
) -> Iterator[Sealed]:
    """Seal each that is whole, not being written, and not sealed already.

    Raises:
        CannotCreate, IoFailure: a seal could not be written.
    """
    kept = verifying.seals_of(items)
    done = 0
    for item in items:
        reader = Reader(jobs, lambda read, before=done: show(before + read))  # type: ignore[misc]
        try:
            yield _one(item, kept.get(item.path), wish, now, reader)
        except _No as no:
            yield Sealed(path=item.path, state=no.state, reason=no.reason, busy=no.busy)
        except Broken as broken:
            state = UNREAD if broken.state == names.UNKNOWN else REFUSED
            reason = broken.reason if state == UNREAD else f"it is {broken.state}: {broken.reason}"
            yield Sealed(path=item.path, state=state, reason=reason)
        done += reader.read


def _one(item: Checkpoint, old: Seal | Broken | None, wish: Wish, now: Callable[[], float], reader: Reader) -> Sealed:
    layout = catalogue.layout(item.layout)
    if layout is not None and layout.check == "manifest":
        return Sealed(path=item.path, state=OURS, reason="its manifest has its checksums")
    if isinstance(old, Broken) and not wish.again:
        raise _No(REFUSED, f"{old.reason} (--again writes another)")
    was = old if isinstance(old, Seal) else None
    files, before = _at_rest(item)
    if was is not None and seals.is_untouched(was, before):
        return Sealed(path=item.path, state=UNCHANGED, reason=f"sealed {was.created}")
    made = _read(item, parts.plan(item, deep=True).parts, files, before, reader)
    if seals.stamps(item.directory, wholeness.files(item)) != before:
        raise _No(REFUSED, "it was written to while it was read", busy=True)
    board = beside.place(beside.boards(item.directory, names.SEALS), now())
    fresh = Seal(
        path=board.relative(item.path),
        layout=item.layout,
        step=item.step,
        created=records.now_text(now()),
        version=names.VERSION,
        files=made,
    )
    if was is not None:
        changed = seals.differences(was, fresh)
        if not changed:
            return Sealed(path=item.path, state=UNCHANGED, reason=f"sealed {was.created}")
        if not wish.again and not (wish.anew and seals.is_of_before(was, before, item)):
            raise _No(REFUSED, f"it is not as it was sealed {was.created}: {_few(changed)} (--again seals it as it is)")
    durable.replace(board.file(item.path), seals.encode(fresh))
    return Sealed(path=item.path, state=SEALED, seal=board.file(item.path))


def _few(sentences: list[str]) -> str:
    more = f"; and {len(sentences) - _FEW} more" if len(sentences) > _FEW else ""
    return "; ".join(sentences[:_FEW]) + more


def _at_rest(item: Checkpoint) -> tuple[list[str], dict[str, seals.Stamp]]:
    """Its files and what they are, if nobody is writing to one of them."""
    if item.state != names.COMPLETE:
        raise Broken(item.state, item.reason)
    files = wholeness.files(item)
    busy = using.writing([os.path.join(item.directory, name) for name in files])
    if busy:
        path, who = min(busy.items())
        raise _No(REFUSED, f"{who} is writing to {os.path.relpath(path, item.directory)}", busy=True)
    return files, seals.stamps(item.directory, files)


def _read(
    item: Checkpoint, looked: Sequence[Part], files: Sequence[str], stamps: dict[str, seals.Stamp], reader: Reader
) -> list[SealedFile]:
    """Every file by its own format first, that nothing broken is sealed, and its checksum."""
    checks = {part.name: part for part in looked}

    def act(name: str, tell: Callable[[int], None]) -> str:
        part = checks.get(name)
        broken = parts.check(part, deep=True, tell=lambda _: tell(0)) if part else None
        if broken is not None:
            raise broken
        try:
            return wholeness.digest(os.path.join(item.directory, name), tell)
        except OSError as error:
            raise Broken(names.UNKNOWN, f"{name} cannot be read: {error.strerror or error}") from error

    digests = {files[number]: digest for number, digest in reader.over(files, act)}
    return [
        SealedFile(path=name, size=stamps[name].size, xxh3_128=digests[name], modified=stamps[name].modified)
        for name in sorted(files)
    ]


def exit_code(found: Sequence[Sealed]) -> int:
    """What the verb ends with."""
    states = {each.state for each in found}
    return names.EXIT_FAILURE if REFUSED in states else names.EXIT_IO if UNREAD in states else names.EXIT_OK


def document(found: Sequence[Sealed]) -> dict[str, Any]:
    """The same for programs."""
    listed = [
        {
            "path": each.path,
            "state": each.state,
            "reason": each.reason or None,
            "seal": each.seal or None,
            "busy": each.busy,
        }
        for each in found
    ]
    return {"format": names.FORMAT, "checkpoints": listed}
