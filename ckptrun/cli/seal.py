"""`ckptrun seal`: checksums for checkpoints of other frameworks."""

from __future__ import annotations

import os

import click

from ckptrun import names
from ckptrun.cli import desk
from ckptrun.cli.help import CODES, verb
from ckptrun.cli.params import REF, json_option, root_option, working_directory
from ckptrun.report import named, sealing, working
from ckptrun.report.cells import Column

_COLUMNS = (Column("state"), Column("checkpoint"), Column("reason", words=True))


@verb(
    "seal",
    examples=[
        ("ckptrun seal ./outputs", "all that is whole there; what is sealed is not read again"),
        ("ckptrun seal --again ./outputs/checkpoint-500", "one that was changed on purpose"),
        ("ckptrun verify --deep ./outputs", "later, elsewhere, after a copy: is every byte what it was?"),
    ],
    codes={
        names.EXIT_OK: "all are sealed, now or already, or have a manifest",
        names.EXIT_FAILURE: "one or more are not: partial, corrupt, being written, or not as they were sealed",
        names.EXIT_USAGE: "the command line is wrong, or there is no checkpoint",
        names.EXIT_CANNOT_CREATE: CODES[names.EXIT_CANNOT_CREATE],
        names.EXIT_IO: CODES[names.EXIT_IO],
        names.EXIT_INTERRUPTED: CODES[names.EXIT_INTERRUPTED],
    },
)
@click.argument("what", nargs=-1, required=True, type=REF, metavar="DIR|RUN|REF...")
@click.option("--again", is_flag=True, help="Seal as it is now what is not as it was sealed.")
@click.option(
    "--anew", is_flag=True, help="Seal also what was saved anew since: every file of it was written after its seal."
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Files that are read at a time.  [default: one for each core, at most 8; one with --idle]",
)
@click.option("--idle", is_flag=True, help="Give way to everything else on this machine.")
@desk.pattern_option
@root_option
@json_option
def command(
    *,
    what: tuple[str, ...],
    again: bool,
    anew: bool,
    jobs: int | None,
    idle: bool,
    patterns: tuple[str, ...],
    root: str,
    as_json: bool,
) -> int:
    """Write down size and checksum of every file of checkpoints that have none.

    Into .ckptrun/seals/ beside their directory, never into it; that and the directory can be moved together. ckptrun's own
    checkpoints have a manifest.
    """
    if idle:
        _give_way()
    with working.busy("looking for checkpoints", desk.err()):
        items = named.checkpoints(what, root=root, cwd=working_directory(), patterns=desk.layouts(patterns))
    wish = sealing.Wish(again=again, anew=anew)
    with working.metered("sealing", sum(item.size for item in items), desk.err()) as meter:
        found = list(sealing.seal(items, wish, now=desk.now, jobs=jobs or (1 if idle else 0), show=meter.show))
    if as_json:
        desk.print_document(sealing.document(found))
    else:
        desk.out().table(_COLUMNS, [(each.state, each.path, each.reason) for each in found])
    return sealing.exit_code(found)


def _give_way() -> None:
    """The lowest priority for the processor and, by it, for disks whose scheduler looks at it (ioprio_set(2))."""
    os.nice(19)
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:  # forbidden in some containers
        pass
