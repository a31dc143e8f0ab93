"""`ckptrun mean`: the average of the weights of several checkpoints."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import click

from ckptrun import errors, names, units
from ckptrun.checkpoints.reading import Broken
from ckptrun.cli import desk
from ckptrun.cli.help import CODES, verb
from ckptrun.cli.params import FILE, REF, json_option, root_option, working_directory
from ckptrun.policy import roles
from ckptrun.report import averaging, inside, working
from ckptrun.report.gather import Wish
from ckptrun.state import mean, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckptrun.report.inside import Source
    from ckptrun.state.tensor import Contents, Tensor

_CODES = {
    names.EXIT_OK: CODES[names.EXIT_OK],
    names.EXIT_FAILURE: "the checkpoints do not hold the same tensors; the list says how they differ",
    names.EXIT_USAGE: CODES[names.EXIT_USAGE],
    names.EXIT_CANNOT_CREATE: CODES[names.EXIT_CANNOT_CREATE],
    names.EXIT_IO: CODES[names.EXIT_IO],
}
_EPILOG = """\
Sums are kept in double precision and rounded once, to the kind that the newest has. Integers, as counters, are the newest's. Needs numpy:
pip install 'ckptrun[state]'.
"""


def _best(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, str] | None:
    """`K` or `K:METRIC`."""
    if value is None:
        return None
    count, _, metric = value.partition(":")
    if not count.isdigit() or not int(count):
        raise click.BadParameter(f"{value!r} is not a number of checkpoints; write 3 or 3:val_loss")
    return int(count), metric


@verb(
    "mean",
    examples=[
        ("ckptrun mean digits --last 5 --to mean.safetensors", "of the last five"),
        ("ckptrun mean digits --best 3:val_loss --to mean.safetensors", "of the three best"),
        ("ckptrun mean digits@900 digits@1000 --only 'model.*' --to mean.npz", "of these two, without the optimizer"),
        ("ckptrun mean --dry-run a.pt b.pt --to mean.safetensors", "which they are, and what would be written"),
    ],
    codes=_CODES,
    epilog=_EPILOG,
)
@click.argument("ref", nargs=-1, required=True, type=REF, metavar="REF...")
@click.option("--to", required=True, type=FILE, metavar="PATH", help="Where to write it: a .safetensors or a .npz.")
@click.option(
    "--last", type=click.IntRange(min=1), metavar="N", help="The last N complete checkpoints of a run or directory."
)
@click.option(
    "--best", callback=_best, metavar="K[:METRIC]", help="The K best by METRIC.  [default: a validation metric, else a loss]"
)
@click.option(
    "--mode",
    type=click.Choice([roles.MIN, roles.MAX, roles.AUTO]),
    default=roles.AUTO,
    help="Which end of it is better.  [default: by its name]",
)
@desk.only_option
@desk.pattern_option
@click.option("--force", is_flag=True, help="Replace what is at PATH.")
@click.option("--dry-run", is_flag=True, help="Say what would be averaged; write nothing.")
@root_option
@json_option
def command(
    ref: tuple[str, ...], *, to: str, last: int | None, best: tuple[int, str] | None, mode: str, only: tuple[str, ...],
    patterns: tuple[str, ...], force: bool, dry_run: bool, root: str, as_json: bool,
) -> int:  # fmt: skip
    """Average the tensors of the checkpoints REF… and write them to PATH, which appears when it is whole, or not at all."""
    if last and best:
        raise errors.UsageError("--last and --best contradict each other", "leave one of them out")
    wish = Wish(best[1] if best else "", mode, patterns=desk.layouts(patterns))
    asked = averaging.Asked(refs=ref, last=last, best=best[0] if best else None, wish=wish)
    cwd = working_directory()
    path = os.path.join(cwd, os.path.expanduser(to))
    averaging.require_outside(path)
    sources = averaging.sources(asked, root=root, cwd=cwd)
    contents = [(each.ref if len(ref) == len(sources) else each.title, inside.read(each, only)) for each in sources]
    columns = mean.columns(contents)
    writing.require_possible(path, _written(columns), force=force)
    newest = [each[-1].name for each in columns if not mean.averaged(each)]
    about = averaging.record(sources, desk.now(), only=only, averaged=len(columns) - len(newest), newest=newest)
    if not dry_run:
        with working.busy("averaging", desk.err()):
            writing.write(path, _written(columns), about, notes=contents[-1][1].notes, force=force)
    _tell(path, about, columns, sources, contents[-1][1], as_json=as_json, dry_run=dry_run)
    return names.EXIT_OK


def _written(columns: Sequence[Sequence[Tensor]]) -> list[writing.Column]:
    return [
        writing.Column(
            name=each[-1].name, dtype=each[-1].dtype, shape=each[-1].shape, blocks=functools.partial(_average, each)
        )
        for each in columns
    ]


def _average(column: Sequence[Tensor]) -> Iterator[bytes]:
    try:
        yield from mean.average(column)
    except Broken as broken:
        raise errors.IoFailure(f"{column[-1].name} cannot be read: {broken.reason}") from broken


def _tell(
    path: str, about: dict[str, Any], columns: Sequence[Sequence[Tensor]], sources: Sequence[Source], newest: Contents,
    *, as_json: bool, dry_run: bool,
) -> None:  # fmt: skip
    size = sum(each.size for each in _written(columns))
    if as_json:
        desk.print_document({**about, "to": path, "bytes": size, "dry_run": dry_run})
        return
    page = desk.out()
    kept = f", {len(about['from_newest'])} taken from the newest" if about["from_newest"] else ""
    page.pairs(
        [
            ("would write" if dry_run else "wrote", (path, "bold")),
            ("tensors", f"{about['averaged']} averaged{kept}, {units.size(size)}"),
            ("refused", (", ".join(newest.refused), "yellow")),
        ]
    )
    page.heading("averaged")
    page.table(averaging.COLUMNS, averaging.rows(sources))
