"""`ckptrun pin`: a checkpoint that is never removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ckptrun import names
from ckptrun.cli import desk, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import REF, json_option, root_option, working_directory
from ckptrun.report import gather, refs
from ckptrun.runs import beside, pins

if TYPE_CHECKING:
    from ckptrun.report.refs import OfCheckpoint


@verb(
    "pin",
    examples=[
        ("ckptrun pin digits-3f9a1c@120 --reason 'in the paper'", "the checkpoint of step 120; also @latest, @best, @NAME"),
        ("ckptrun pin ./output@1000 runs/big/checkpoints/step-00000200", "of any directory, by step or by its path"),
    ],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_CANNOT_CREATE, names.EXIT_IO),
)
@click.argument("ref", nargs=-1, required=True, type=REF, metavar="RUN@STEP|DIR@STEP...")
@click.option("--reason", default="", metavar="TEXT", help="Why; `ckptrun show` tells it.")
@desk.pattern_option
@root_option
@json_option
def command(ref: tuple[str, ...], reason: str, patterns: tuple[str, ...], root: str, *, as_json: bool) -> int:
    """Pin checkpoints: `ckptrun prune` and the rules of retention never remove them."""
    found = checkpoints(ref, patterns, root)
    for named in found:
        pins.pin(boards(named), named.checkpoint.path, by=desk.who(), now=desk.now(), reason=reason)
        words.say(f"pinned {named.checkpoint.path}")
    if as_json:
        desk.print_document(document(found, pinned=True))
    return names.EXIT_OK


def document(found: list[OfCheckpoint], *, pinned: bool) -> dict[str, Any]:
    """What became of each, for programs."""
    paths = [named.checkpoint.path for named in found]
    return {"format": names.FORMAT, "checkpoints": [{"path": path, "pinned": pinned} for path in paths]}


def checkpoints(given: tuple[str, ...], patterns: tuple[str, ...], root: str) -> list[OfCheckpoint]:
    """What the arguments name, all of them or none.

    Raises:
        UsageError: one of them is no checkpoint.
    """
    wish = gather.Wish(patterns=desk.layouts(patterns))
    cwd = working_directory()
    names_of_all = [name for each in given for name in refs.expanded(each, root=root, cwd=cwd)]
    return [refs.one(each, root=root, cwd=cwd, wish=wish) for each in names_of_all]


def boards(named: OfCheckpoint) -> list[beside.Board]:
    """Where the pins of a checkpoint are."""
    return pins.boards(named.checkpoint.directory, named.run)
