"""`ckptrun branch`: a new run that begins with a checkpoint of another, with other settings."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ckptrun import errors, names
from ckptrun.cli import command as commands
from ckptrun.cli import desk
from ckptrun.cli.help import verb
from ckptrun.cli.params import FILE, REF, json_option, root_option, working_directory
from ckptrun.report import gather, refs, working
from ckptrun.report.gather import Wish
from ckptrun.runs import paths as run_paths
from ckptrun.session import branching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.runs.records import RunRecord
    from ckptrun.session.branching import Asked, Made

_EPILOG = """\
Settings are those of ckptrun.yaml (every, grace, restart.max_failures…); they win over the file at each start of the new run. A name that
stands in braces in the command, as a sweep's, is filled in. The new run is not started: the line that does is printed.
"""


@verb(
    "branch",
    examples=[
        ("ckptrun branch digits@1200 digits-cool --set every=5m", "the same command, from step 1200 on, saved more often"),
        ("ckptrun branch sweep-3@best:val_loss sweep-3b --set lr=0.001", "another value in the place of {lr}"),
        ("ckptrun branch digits@latest digits-b -- train.py --lr 0.01", "another command"),
        ("ckptrun branch --dry-run digits@1200 digits-b", "what would be made"),
    ],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_CANNOT_CREATE, names.EXIT_IO),
    usages=("[OPTIONS] REF NAME [-- COMMAND...]",),
    epilog=_EPILOG,
)
@click.argument("ref", type=REF)
@click.argument("name")
@click.argument("words", nargs=-1, type=FILE, metavar="[-- COMMAND...]")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the new run, or a value in its command. May be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made; make nothing.")
@desk.metric_options
@root_option
@json_option
def command(
    ref: str,
    name: str,
    *,
    words: tuple[str, ...],
    sets: tuple[str, ...],
    dry_run: bool,
    metric: str,
    mode: str,
    root: str,
    as_json: bool,
) -> int:
    """Make the run NAME, whose first start goes on from the checkpoint REF of another run: RUN@STEP, RUN@latest, RUN@best[:METRIC]."""
    asked = _asked(ref, name, words, sets, root=root, wish=Wish(metric, mode))
    made = None
    with working.busy("branching", desk.err()):
        if dry_run:
            record = branching.plan(asked, desk.now())
        else:
            made = branching.branch(asked, desk.now())
            record = made.record
    if as_json:
        desk.print_document(_document(asked, record, made))
    else:
        _print(asked, record, made)
    return names.EXIT_OK


def _asked(ref: str, name: str, words: Sequence[str], sets: tuple[str, ...], *, root: str, wish: Wish) -> Asked:
    cwd = working_directory()
    named = refs.resolve(ref, root=root, cwd=cwd, wish=wish)
    item = named.checkpoint if isinstance(named, refs.OfCheckpoint) else refs.checkpoint(ref, root=root, cwd=cwd, wish=wish)
    parent = gather.run_around(item.path)
    if parent is None:
        raise errors.UsageError(
            f"{ref} belongs to no run", f"`ckptrun train --run {name} --from {ref} SCRIPT` begins with it"
        )
    search = os.environ.get("PATH", os.defpath)
    given = commands.resolve(words, literal=False, cwd=cwd, search=search) if words else []
    return branching.Asked(
        parent=parent, checkpoint=item, run=run_paths.run_paths(root, name), sets=sets, command=given, cwd=cwd, by=desk.who()
    )


def _start(record: RunRecord, root: str) -> str:
    """The line that starts it."""
    words = record.command[1:] if record.command[:1] == [commands.PYTHON] else ["--", *record.command]
    there = os.path.join(working_directory(), names.DEFAULT_ROOT)
    options = [] if os.path.normpath(root) == there else ["--root", root]
    line = shlex.join(["ckptrun", "train", *options, "--run", record.run, *words])
    return line if record.cwd in ("", working_directory()) else f"cd {shlex.quote(record.cwd)} && {line}"


def _document(asked: Asked, record: RunRecord, made: Made | None) -> dict[str, Any]:
    return {
        "format": names.FORMAT,
        "run": record.run,
        "directory": asked.run.dir,
        "parent": record.parent,
        "from": asked.checkpoint.path,
        "step": asked.checkpoint.step,
        "checkpoint": made.checkpoint if made else None,
        "command": record.command,
        "overrides": record.overrides,
        "files": msgspec.to_builtins(made.how) if made else None,
        "start": _start(record, os.path.dirname(asked.run.dir)),
        "dry_run": made is None,
    }


def _print(asked: Asked, record: RunRecord, made: Made | None) -> None:
    how = ", ".join(f"{count:,} by {way}" for way, count in made.how.items()) if made else ""
    start = _start(record, os.path.dirname(asked.run.dir))
    desk.out().pairs(
        [
            ("made" if made else "would make", (f"run {record.run}", "bold")),
            ("directory", asked.run.dir),
            ("branched from", record.parent + ("" if asked.checkpoint.step is None else f", step {asked.checkpoint.step}")),
            ("files", how),
            ("set", " ".join(f"{key}={value}" for key, value in record.overrides.items())),
            ("start it with", start),
        ]
    )
