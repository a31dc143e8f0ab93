"""`ckptrun unpin`: what was pinned is kept or removed as the rules say."""

from __future__ import annotations

import click

from ckptrun import names
from ckptrun.cli import desk, pin, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import REF, json_option, root_option
from ckptrun.runs import pins


@verb(
    "unpin",
    examples=[("ckptrun unpin digits-3f9a1c@120", "the checkpoint of step 120 may be removed again")],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_IO),
)
@click.argument("ref", nargs=-1, required=True, type=REF, metavar="RUN@STEP|DIR@STEP...")
@desk.pattern_option
@root_option
@json_option
def command(ref: tuple[str, ...], patterns: tuple[str, ...], root: str, *, as_json: bool) -> int:
    """Take pins away."""
    found = pin.checkpoints(ref, patterns, root)
    for named in found:
        there = pins.unpin(pin.boards(named), named.checkpoint.path)
        words.say(f"{named.checkpoint.path} is not pinned any more" if there else f"{named.checkpoint.path} was not pinned")
    if as_json:
        desk.print_document(pin.document(found, pinned=False))
    return names.EXIT_OK
