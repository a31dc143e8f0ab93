"""Which files a reference leads to, and what is inside them, as tables and JSON."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from ckptrun import errors, names, units
from ckptrun.model import Checkpoint, Noun
from ckptrun.policy import order
from ckptrun.report import gather, refs
from ckptrun.report.cells import Column
from ckptrun.report.listing import number
from ckptrun.report.text import some
from ckptrun.state import reading
from ckptrun.state.tensor import Contents, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.report.cells import Cell
    from ckptrun.report.gather import Wish
    from ckptrun.runs.paths import RunPaths
    from ckptrun.state.stats import Stats
    from ckptrun.state.tensor import Tensor

FORMATS = "safetensors, .npz, .npy, torch.save's and torch's distributed checkpoints, HDF5, GoMLX, pickles of arrays"


class Source(Noun, frozen=True, kw_only=True):
    """The files that a reference leads to, relative to a directory."""

    ref: str
    directory: str
    files: list[str]
    checkpoint: Checkpoint | None = None
    run: RunPaths | None = None

    @property
    def path(self) -> str:
        """Where it is."""
        if self.checkpoint is not None:
            return self.checkpoint.path
        return os.path.join(self.directory, self.files[0]) if len(self.files) == 1 else self.directory

    @property
    def title(self) -> str:
        """What it is called among several."""
        return self.checkpoint.name if self.checkpoint else os.path.basename(self.path)


def source(ref: str, *, root: str, cwd: str, wish: Wish | None = None) -> Source:
    """What `ref` leads to: a file itself, a checkpoint's files, the latest of a run or of a directory, the files of another directory.

    Raises:
        UsageError: nothing.
        IoFailure: a directory could not be read.
    """
    path = os.path.normpath(os.path.join(cwd, os.path.expanduser(ref)))
    if os.path.isfile(path) and (refs.is_path(ref) or refs.run_named(ref, root) is None):
        named = refs.resolve(path, root=root, cwd=cwd, wish=wish)
        if isinstance(named, refs.OfCheckpoint) and named.checkpoint.path == path:
            return of(ref, named.checkpoint, named.run)
        return Source(ref=ref, directory=os.path.dirname(path), files=[os.path.basename(path)])
    named = refs.resolve(ref, root=root, cwd=cwd, wish=wish)
    if isinstance(named, refs.OfDirectory) and not _holds_checkpoints(named.path, wish):
        files = sorted(entry.name for entry in os.scandir(named.path) if entry.is_file())
        return Source(ref=ref, directory=named.path, files=files)
    if isinstance(named, refs.OfCheckpoint):
        return of(ref, named.checkpoint, named.run)
    run = None if isinstance(named, refs.OfDirectory) else named.run
    return of(ref, refs.checkpoint(ref, root=root, cwd=cwd, wish=wish), run)


def _holds_checkpoints(directory: str, wish: Wish | None) -> bool:
    """Whether a directory holds checkpoints that are known by more than a guess: files may also be the parts of one model."""
    found = gather.directory_listing(directory, gather.Wish(patterns=wish.patterns) if wish else None).checkpoints
    return any(item.layout not in order.GUESSES and item.state == names.COMPLETE for item in found)


def of(ref: str, item: Checkpoint, run: RunPaths | None) -> Source:
    """A checkpoint's files.

    Raises:
        IoFailure: it is not whole, and what is in it cannot be believed.
    """
    if item.state != names.COMPLETE:
        raise errors.IoFailure(
            f"{item.name} is {item.state}: {item.reason}: {item.path}", f"`ckptrun show {ref}` tells more of it"
        )
    return Source(
        ref=ref, directory=item.directory, files=item.files, checkpoint=item, run=run or gather.run_around(item.path)
    )


def read(found: Source, patterns: Sequence[str] = ()) -> Contents:
    """What is inside; with `patterns` only the tensors and values whose names match one of them.

    Raises:
        UsageError: there are no tensors that can be read here, or none that match.
        IoFailure: a file is damaged.
    """
    contents = reading.of(found.directory, found.files)
    if not (contents.tensors or contents.values or contents.refused):
        raise errors.UsageError(
            f"{found.ref} holds no tensors that can be read here: {found.path}", f"what is read: {FORMATS}"
        )
    chosen = reading.chosen(contents, patterns)
    if patterns and not chosen.tensors:
        near = ", ".join(each.name for each in contents.tensors[:4])
        raise errors.UsageError(
            f"no tensor of {found.ref} matches {' or '.join(patterns)}", f"there are: {near}, …" if near else ""
        )
    return chosen


# --- for people --------------------------------------------------------------------------------------------------------
def about(found: Source, contents: Contents) -> list[tuple[str, Cell]]:
    """What it is, and how much of it."""
    return [
        ("checkpoint", (found.title, "bold")),
        ("path", found.path),
        ("format", contents.format),
        ("tensors", f"{len(contents.tensors):,}"),
        ("numbers", f"{sum(each.elements for each in contents.tensors):,}"),
        ("size", units.size(total(contents.tensors))),
        ("other values", f"{len(contents.values):,}" if contents.values else ""),
        ("refused", (", ".join(contents.refused), "yellow")),
    ]


def columns(*, stats: bool) -> list[Column]:
    """The head of the table."""
    told = [Column(title, right=True) for title in ("rms", "max |x|", "mean", "nan", "inf")] if stats else []
    return [
        Column("tensor"),
        Column("dtype"),
        Column("shape"),
        Column("size", right=True, spare=1),
        *told,
        Column("file", spare=2),
    ]


def rows(tensors: Sequence[Tensor], stats: Mapping[str, Stats]) -> list[list[Cell]]:
    """One row for each tensor, as they lie."""
    return [
        [each.name, each.dtype, each.sides, units.size(each.bytes), *(_told(stats[each.name]) if stats else []), each.file]
        for each in tensors
    ]


def footer(contents: Contents) -> str:
    """How many, how large."""
    return f"{some(len(contents.tensors), 'tensor')}, {units.size(total(contents.tensors))}"


def _told(stats: Stats) -> list[Cell]:
    def odd(count: int) -> Cell:
        return (str(count), "red") if count else "0"

    return [number(stats.rms), number(stats.largest), number(stats.mean), odd(stats.nan), odd(stats.inf)]


# --- for programs ------------------------------------------------------------------------------------------------------
def document(found: Source, contents: Contents, stats: Mapping[str, Stats]) -> dict[str, Any]:
    """The JSON of `ckptrun show --tensors`."""
    return {
        "format": names.FORMAT,
        "kind": "tensors",
        "checkpoint": found.title,
        "path": found.path,
        "formats": contents.format.split(", ") if contents.format else [],
        "tensors": [_tensor(each, stats) for each in contents.tensors],
        "values": {name: finite(value) for name, value in contents.values.items()},
        "refused": contents.refused,
        "notes": contents.notes,
        "elements": sum(each.elements for each in contents.tensors),
        "bytes": total(contents.tensors),
    }


def finite(value: Any) -> Any:
    """What JSON can hold: a number that is not finite becomes a text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _tensor(tensor: Tensor, stats: Mapping[str, Stats]) -> dict[str, Any]:
    fields = {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "elements": tensor.elements,
        "bytes": tensor.bytes,
        "file": tensor.file,
    }
    if not stats:
        return fields
    told = stats[tensor.name]
    return {**fields, "rms": told.rms, "max_abs": told.largest, "mean": told.mean, "nan": told.nan, "inf": told.inf}
