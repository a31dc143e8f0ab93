"""`ckptrun diff`: where two checkpoints differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckptrun import errors, names
from ckptrun.checkpoints.reading import Broken
from ckptrun.cli import desk
from ckptrun.cli.help import CODES, verb
from ckptrun.cli.params import REF, json_option, root_option, working_directory
from ckptrun.report import differences, inside, working
from ckptrun.report.differences import FILES, METRICS, SETTINGS, TENSORS, VALUES
from ckptrun.report.gather import Wish
from ckptrun.state import compare, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.report.differences import Change, Differences
    from ckptrun.report.inside import Source

_CODES = {
    names.EXIT_OK: "they are the same",
    names.EXIT_FAILURE: "they differ",
    names.EXIT_USAGE: CODES[names.EXIT_USAGE],
    names.EXIT_IO: CODES[names.EXIT_IO],
}


def _sections(function: Callable[..., int]) -> Callable[..., int]:
    """The options that pick sections."""
    told = {
        METRICS: "Step, epoch and metrics.",
        SETTINGS: "Command, values of a sweep, code and settings of the attempts that saved them.",
        FILES: "Files, by checksum or byte by byte.",
        VALUES: "Numbers and texts that are saved beside tensors, as `epoch` or `lr`.",
        TENSORS: "Tensors: only in one, of another shape or kind, with other numbers. Needs numpy.",
    }
    for name, text in reversed(told.items()):
        function = click.option(f"--{name}", is_flag=True, help=text)(function)
    return function


@verb(
    "diff",
    examples=[
        ("ckptrun diff digits@100 digits@latest", "everything"),
        ("ckptrun diff digits-a digits-b", "the latest checkpoints of two runs, and how they were asked for"),
        ("ckptrun diff --tensors --summary a.safetensors b.safetensors", "how many tensors differ"),
        ("ckptrun diff --settings digits/1 digits/3", "what was changed between two attempts"),
    ],
    codes=_CODES,
)
@click.argument("a", type=REF)
@click.argument("b", type=REF)
@_sections
@click.option("--summary", is_flag=True, help="Only how much differs in each section.")
@desk.only_option
@desk.metric_options
@desk.pattern_option
@root_option
@json_option
def command(
    a: str, b: str, *, summary: bool, only: tuple[str, ...], metric: str, mode: str, patterns: tuple[str, ...], root: str,
    as_json: bool, **asked: bool,
) -> int:  # fmt: skip
    """Say where the checkpoints A and B differ; a run means its latest. Without a section: all of them."""
    wanted = [name for name in differences.SECTIONS if asked[name]] or list(differences.SECTIONS)
    cwd = working_directory()
    wish = Wish(metric, mode, patterns=desk.layouts(patterns))
    before, after = (inside.source(ref, root=root, cwd=cwd, wish=wish) for ref in (a, b))
    with working.busy("comparing", desk.err()):
        found = _compared(before, after, wanted, only)
    if as_json:
        desk.print_document(differences.document(before, after, found))
    else:
        _print(before, after, found, summary=summary)
    return names.EXIT_FAILURE if found.any else names.EXIT_OK


def _compared(before: Source, after: Source, wanted: Sequence[str], only: Sequence[str]) -> Differences:
    changes: dict[str, list[Change]] = {}
    if METRICS in wanted:
        changes[METRICS] = differences.changes(differences.metrics(before), differences.metrics(after))
    if SETTINGS in wanted:
        changes[SETTINGS] = differences.changes(differences.settings(before), differences.settings(after))
    if FILES in wanted:
        changes[FILES] = differences.files(before, after)
    if not {VALUES, TENSORS} & set(wanted):
        return differences.Differences(changes=changes)
    left, right = (reading.chosen(reading.of(each.directory, each.files), only) for each in (before, after))
    if VALUES in wanted:
        changes[VALUES] = differences.changes(left.values, right.values)
    if TENSORS not in wanted:
        return differences.Differences(changes=changes)
    try:
        tensors = list(compare.tensors(left.tensors, right.tensors))
    except (Broken, OSError) as error:
        raise errors.IoFailure(f"a tensor cannot be read: {error}") from error
    there = {each.name for each in left.tensors} | {each.name for each in right.tensors}
    return differences.Differences(changes=changes, tensors=tensors, same=len(there) - len(tensors))


def _print(before: Source, after: Source, found: Differences, *, summary: bool) -> None:
    page = desk.out()
    page.pairs([("A", before.path), ("B", after.path), *differences.summary(found)])
    if summary:
        return
    for section, given in found.changes.items():
        if given:
            page.heading(section)
            page.table(differences.PAIR, differences.rows(given))
    if found.tensors:
        page.heading(TENSORS)
        page.table(differences.tensor_columns(), differences.tensor_rows(found.tensors))
