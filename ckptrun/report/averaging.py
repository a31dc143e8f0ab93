"""Which checkpoints are averaged, in which order, and what is written down about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckptrun import errors, names
from ckptrun.checkpoints import manifest as manifests
from ckptrun.model import Noun
from ckptrun.policy import order, roles
from ckptrun.report import gather, inside, refs
from ckptrun.report.cells import Column
from ckptrun.report.gather import Wish
from ckptrun.runs import records
from ckptrun.state.data import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import Checkpoint
    from ckptrun.report.cells import Cell
    from ckptrun.report.inside import Source
    from ckptrun.report.listing import Listing


COLUMNS = (Column("checkpoint"), Column("step", right=True), Column("path"))


class Asked(Noun, frozen=True, kw_only=True):
    """References; with `last` or `best` those of runs and directories, of which so many are taken."""

    refs: tuple[str, ...]
    last: int | None = None
    best: int | None = None
    wish: Wish = Wish()


def sources(asked: Asked, *, root: str, cwd: str) -> list[Source]:
    """What is averaged, the newest last: by step where all have one place in an order, else as they were named.

    Raises:
        UsageError: something is not there, there are too few, or one is named twice.
        IoFailure: something cannot be read, or is not whole.
    """
    words = [each for ref in asked.refs for each in refs.expanded(ref, root=root, cwd=cwd)]
    found = [source for ref in words for source in _of(ref, asked, root, cwd)]
    paths = [os.path.realpath(each.path) for each in found]
    if twice := next((path for path in paths if paths.count(path) > 1), ""):
        raise errors.UsageError(f"{twice} is named twice, and would count twice", "name each checkpoint once")
    by_path = {each.checkpoint.path: each for each in found if each.checkpoint}
    if len(by_path) < len(found):
        return found
    return [by_path[item.path] for item in order.arrange(each.checkpoint for each in found if each.checkpoint)]


def require_outside(path: str) -> None:
    """Return if a file at `path` will not be taken for a checkpoint of a run.

    Raises:
        UsageError: it would lie where checkpoints are looked for.
    """
    run = gather.run_around(os.path.dirname(path))
    parts = os.path.relpath(os.path.abspath(path), run.dir).split(os.sep) if run else []
    if run and parts[0] in (names.CHECKPOINTS, names.ATTEMPTS):
        raise errors.UsageError(
            f"in {os.path.dirname(path)} it would be taken for a checkpoint of run {run.name}",
            "write it somewhere else: --to PATH",
        )


def record(
    found: Sequence[Source], now: float, *, only: Sequence[str], averaged: int, newest: Sequence[str]
) -> dict[str, Any]:
    """Where the average came from: which checkpoints, by what, when; how many tensors are averages, which are the newest's.

    Raises:
        IoFailure: a file is not what its manifest says, or cannot be read.
    """
    return {
        "format": names.FORMAT,
        "version": names.VERSION,
        "made_by": "ckptrun mean",
        "created": records.now_text(now),
        "only": list(only),
        "averaged": averaged,
        "from_newest": list(newest),
        "sources": [_provenance(each) for each in found],
    }


def rows(found: Sequence[Source]) -> list[list[Cell]]:
    """One row for each that is averaged, the newest last."""
    return [
        [each.title, "" if each.checkpoint is None or each.checkpoint.step is None else str(each.checkpoint.step), each.path]
        for each in found
    ]


def _of(ref: str, asked: Asked, root: str, cwd: str) -> list[Source]:
    if asked.last is None and asked.best is None:
        return [inside.source(ref, root=root, cwd=cwd, wish=asked.wish)]
    wish = Wish(patterns=asked.wish.patterns)  # a metric is looked for among those that are whole
    named = refs.resolve(ref, root=root, cwd=cwd, wish=wish)
    if isinstance(named, refs.OfRun):
        listing = gather.run_listing(named.run, wish)
    elif isinstance(named, refs.OfDirectory):
        listing = gather.directory_listing(named.path, wish)
    else:
        raise errors.UsageError(
            f"--last and --best choose among the checkpoints of a run or a directory, and {ref} is none",
            "name a run or a directory, or leave --last and --best out",
        )
    return [inside.of(ref, item, None) for item in _chosen(listing, ref, asked)]


def _chosen(listing: Listing, ref: str, asked: Asked) -> list[Checkpoint]:
    whole = [item for item in listing.checkpoints if item.state == names.COMPLETE]
    wanted = asked.best if asked.best is not None else asked.last or 0
    found = _best(whole, wanted, asked.wish) if asked.best is not None else whole[-wanted:]
    if len(found) < wanted:
        what = "complete checkpoints" if asked.best is None else "complete checkpoints with that metric"
        raise errors.UsageError(
            f"{ref} has {len(found)} {what}, and {wanted} are asked for", f"`ckptrun ls {ref}` lists them"
        )
    return found


def _best(whole: list[Checkpoint], wanted: int, wish: Wish) -> list[Checkpoint]:
    found: list[Checkpoint] = []
    metric = wish.metric
    while len(found) < wanted:
        left = [item for item in whole if item not in found and (not found or metric in item.metrics)]
        best = roles.best(left, metric, wish.mode) if left else None
        if best is None or best.checkpoint is None:
            break
        metric = best.metric
        found.append(best.checkpoint)
    return found


def _provenance(source: Source) -> dict[str, Any]:
    item = source.checkpoint
    told = {"ref": source.ref, "path": source.path, "files": _digests(source)}
    return {**told, "step": item.step, "metrics": item.metrics} if item else told


def _digests(source: Source) -> dict[str, str]:
    """XXH3-128 of every file, held against the manifest's where there is one."""
    item = source.checkpoint
    known: dict[str, str] = {}
    if item is not None and item.layout == "own":
        known = {os.path.join(item.name, entry.path): entry.xxh3_128 for entry in manifests.read(item.path).files}
    found = {}
    for name in source.files:
        if os.path.basename(name) == names.MANIFEST:
            continue
        path = os.path.join(source.directory, name)
        found[name] = _digest(path)
        if known.get(name, found[name]) not in (found[name], ""):
            raise errors.IoFailure(f"{name} is not what was saved: its checksum is {found[name]}, not {known[name]}: {path}")
    return found


def _digest(path: str) -> str:
    import xxhash  # noqa: PLC0415  # only here

    digest = xxhash.xxh3_128()
    try:
        with opened(path) as file:
            for block in file.blocks(0, file.size):
                digest.update(block)
    except OSError as error:
        raise errors.IoFailure(f"cannot read {path}: {error.strerror}") from error
    text: str = digest.hexdigest()
    return text
