"""Where two checkpoints differ: metrics, what they were made with, files, values, tensors. Gathers, then tells as tables and JSON."""

from __future__ import annotations

import filecmp
import os
from typing import TYPE_CHECKING, Any

from ckptrun import names, units
from ckptrun.checkpoints import manifest as manifests
from ckptrun.model import Noun
from ckptrun.report import story
from ckptrun.report.cells import Column
from ckptrun.report.inside import finite
from ckptrun.report.listing import number
from ckptrun.report.text import some
from ckptrun.runs import durable, records
from ckptrun.state import compare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.model import FileEntry
    from ckptrun.report.cells import Cell
    from ckptrun.report.inside import Source
    from ckptrun.state.compare import Difference

METRICS, SETTINGS, FILES, VALUES, TENSORS = SECTIONS = ("metrics", "settings", "files", "values", "tensors")
PAIR = (Column("name"), Column("A", words=False), Column("B"))
_TENSORS = (
    Column("tensor"),
    Column("what"),
    Column("A"),
    Column("B"),
    Column("changed", right=True),
    Column("max |Δ|", right=True),
    Column("relative rms", right=True),
)


class Change(Noun, frozen=True, kw_only=True):
    """Something that A and B say differently; None: it says nothing of it."""

    name: str
    before: Any = None
    after: Any = None


class Differences(Noun, frozen=True, kw_only=True):
    """All that differs, by section; only the sections that were asked for are there."""

    changes: dict[str, list[Change]] = {}
    tensors: list[Difference] | None = None
    same: int = 0  # tensors that do not differ

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.tensors) or any(self.changes.values())


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What two mappings say differently, in A's order, then what only B says; NaN is equal to itself."""
    return [
        Change(name=name, before=before.get(name), after=after.get(name))
        for name in {**before, **after}
        if not _same(before.get(name), after.get(name))
    ]


def metrics(source: Source) -> dict[str, Any]:
    """Step, epoch and metrics."""
    item = source.checkpoint
    if item is None:
        return {}
    place = {"step": item.step, "epoch": item.epoch}
    return {**{name: value for name, value in place.items() if value is not None}, **item.metrics}


def settings(source: Source) -> dict[str, Any]:
    """What it was made with: the attempt's command, values of a sweep, code; the run's settings and where it came from.

    Raises:
        IoFailure: a record could not be read.
    """
    if source.run is None:
        return {}
    asked = records.read_run(source.run)
    number_ = source.checkpoint.attempt if source.checkpoint else None
    made = records.read_attempt(source.run.attempt(number_)) if number_ else None
    told: dict[str, Any] = {}
    if made or asked:
        command, sweep = (made.command, made.sweep) if made else (asked.command, asked.sweep) if asked else ([], {})
        told = {"command": story.command_line(command), **{f"sweep.{name}": value for name, value in sweep.items()}}
    if made:
        told |= {"git commit": made.commit, "script": made.script_digest, "directory": made.cwd}
    if asked:
        told |= {"branched from": asked.parent, **{name: setting.value for name, setting in asked.settings.items()}}
    return {name: value for name, value in told.items() if value not in ("", None)}


def files(before: Source, after: Source) -> list[Change]:
    """Files that only one has, or whose bytes differ: by the manifests' checksums, else byte by byte.

    Raises:
        IoFailure: one cannot be read.
    """
    old, new = _files(before), _files(after)
    found = []
    for name in {**old, **new}:
        left, right = old.get(name), new.get(name)
        if left is None or right is None or not _same_file(left, right):
            found.append(Change(name=name, before=_file(left), after=_file(right)))
    return found


# --- for people --------------------------------------------------------------------------------------------------------
def rows(found: Sequence[Change]) -> list[list[Cell]]:
    """One row for each change."""
    return [[each.name, _value(each.before), _value(each.after)] for each in found]


def tensor_columns() -> Sequence[Column]:
    """The head of the tensors' table."""
    return _TENSORS


def tensor_rows(found: Sequence[Difference]) -> list[list[Cell]]:
    """One row for each tensor that differs."""
    return [
        [
            each.name,
            each.what,
            each.before,
            each.after if each.after != each.before else "",
            f"{each.changed:,} of {each.elements:,}" if each.changed else "",
            number(each.largest),
            number(each.relative),
        ]
        for each in found
    ]


def summary(found: Differences) -> list[tuple[str, Cell]]:
    """How much differs in each section."""
    told: list[tuple[str, Cell]] = [
        (section, some(len(each), "difference") if each else "the same") for section, each in found.changes.items()
    ]
    if found.tensors is None:
        return told
    kinds: dict[str, int] = {}
    for each in found.tensors:
        what = "other numbers" if each.what == compare.VALUES else each.what if "only" in each.what else f"other {each.what}"
        kinds[what] = kinds.get(what, 0) + 1
    parts = [f"{count:,} {what}" for what, count in kinds.items()]
    return [*told, (TENSORS, ", ".join([*parts, f"{found.same:,} the same"] if parts or found.same else ["none"]))]


# --- for programs ------------------------------------------------------------------------------------------------------
def document(before: Source, after: Source, found: Differences) -> dict[str, Any]:
    """The JSON of `ckptrun diff`; a section that was not asked for is not there."""
    told: dict[str, Any] = {
        "format": names.FORMAT,
        "a": before.path,
        "b": after.path,
        "same": not found.any,
        **{
            section: [{"name": each.name, "a": finite(each.before), "b": finite(each.after)} for each in given]
            for section, given in found.changes.items()
        },
    }
    if found.tensors is not None:
        told[TENSORS] = [_tensor(each) for each in found.tensors]
        told["tensors_same"] = found.same
    return told


def _tensor(found: Difference) -> dict[str, Any]:
    about = {"name": found.name, "what": found.what, "a": found.before or None, "b": found.after or None}
    if found.what != compare.VALUES:
        return about
    counts = {"elements": found.elements, "changed": found.changed}
    return {**about, **counts, "max_abs": found.largest, "relative_rms": found.relative}


def _files(source: Source) -> dict[str, tuple[str, FileEntry | None]]:
    """Each file's path and what a manifest says of it, by its name in the checkpoint."""
    known: dict[str, FileEntry] = {}
    item = source.checkpoint
    if item is not None and os.path.isdir(item.path):
        try:
            known = {entry.path: entry for entry in manifests.read(item.path).files}
        except manifests.Broken:
            pass  # another framework's
    found = {}
    for file in source.files:
        path = os.path.join(source.directory, file)
        name = os.path.relpath(path, item.path) if item and os.path.isdir(item.path) else os.path.basename(file)
        if name != names.MANIFEST:
            found[name] = (path, known.get(name))
    if len(found) == 1 and not (item and os.path.isdir(item.path)):  # two files are compared whatever they are called
        return {"the file": next(iter(found.values()))}
    return found


def _same_file(left: tuple[str, FileEntry | None], right: tuple[str, FileEntry | None]) -> bool:
    (path, entry), (other, other_entry) = left, right
    if entry and other_entry and entry.xxh3_128 and other_entry.xxh3_128:
        return entry == other_entry
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError as error:
        raise durable.io_error(error, os.fsdecode(error.filename or path)) from error


def _file(found: tuple[str, FileEntry | None] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    path, entry = found
    return {"size": os.path.getsize(path), "xxh3_128": entry.xxh3_128 if entry else ""}


def _same(before: Any, after: Any) -> bool:
    return bool(before == after) or (before != before and after != after)  # noqa: PLR0124  # NaN


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):  # a file
        return ", ".join([units.size(value["size"]), *([value["xxh3_128"]] if value["xxh3_128"] else [])])
    return number(value) if isinstance(value, float) else str(value)
