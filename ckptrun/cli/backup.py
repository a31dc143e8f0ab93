"""`ckptrun backup`: whole checkpoints, safe somewhere else too."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from ckptrun import errors, names, units
from ckptrun.backup import making, places, upkeep
from ckptrun.cli import desk, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import DIRECTORY, REF, json_option, root_option, working_directory
from ckptrun.policy import backup as policy
from ckptrun.report import gather, moving, refs
from ckptrun.report.text import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.backup.making import Made, Wish
    from ckptrun.model import Checkpoint
    from ckptrun.runs.paths import RunPaths


@verb(
    "backup",
    examples=[
        ("ckptrun backup digits-3f9a1c", "the run's newest checkpoint, to backup/ in the run"),
        ("ckptrun backup --best --to /safe digits-3f9a1c", "its best one, to another disk"),
        (
            "ckptrun backup --all --to s3://bucket/runs digits-3f9a1c",
            "all that are whole, to S3 (pip install 'ckptrun[remote]')",
        ),
        ("ckptrun backup digits-3f9a1c@120", "one checkpoint"),
        ("ckptrun backup ./output --to sftp://ana@nas/backups", "the newest of any directory, over SSH"),
    ],
    codes={
        names.EXIT_OK: "all of them are backed up, now or already",
        names.EXIT_FAILURE: "one is not: it is not whole, or it changed while it was copied",
        names.EXIT_USAGE: "the command line is wrong, or there is nothing to back up",
        names.EXIT_CANNOT_CREATE: "a directory or file cannot be made",
        names.EXIT_IO: "reading or writing failed (disk full, network); the same command goes on with what is there",
    },
)
@click.argument("what", nargs=-1, required=True, type=REF, metavar="REF...")
@click.option(
    "--to",
    metavar="DEST",
    type=DIRECTORY,
    help="A directory or a URL (s3, gs, sftp, …).  [default: backup/ in the run, else .ckptrun/backup in the directory]",
)
@click.option("--best", is_flag=True, help="The best one of each, instead of the newest.")
@click.option("--all", "everything", is_flag=True, help="All that are whole.")
@click.option("--copy", is_flag=True, help="Copy every byte, where a reflink or a hard link would do.")
@click.option("--verify", is_flag=True, help="Read everything that is in the backup, also where it was made before.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Files, or parts of one, that are sent at a time.",
)
@click.option("--if-any", is_flag=True, help="Nothing to back up is no error.")
@click.option("--dry-run", is_flag=True, help="Say what would be backed up, and where.")
@desk.metric_options
@desk.pattern_option
@root_option
@json_option
def command(
    *, what: tuple[str, ...], to: str | None, best: bool, everything: bool, copy: bool, verify: bool, jobs: int, if_any: bool,
    dry_run: bool, metric: str, mode: str, patterns: tuple[str, ...], root: str, as_json: bool,
) -> int:  # fmt: skip
    """Copy whole checkpoints, with all files that belong to them, to where nothing prunes them.

    REF is a run, RUN/ATTEMPT, RUN@STEP, a directory or a path. What is backed up already is not copied again; what was cut
    short is gone on with. A backup is whole when it has its backup.json, which is written last.
    """
    if best and everything:
        raise errors.UsageError("--best and --all contradict each other", "leave one of them out")
    which = policy.BEST if best else policy.ALL if everything else policy.LATEST
    wish = making.Wish(copy=copy, verify=verify, jobs=jobs, dry_run=dry_run)
    begun = time.monotonic()
    looked = gather.Wish(metric, mode, patterns=desk.layouts(patterns))
    tasks = [task for ref in what for task in _tasks(ref, which, root, looked, to, if_any=if_any)]
    made = [each for task in tasks for each in _carry_out(task, wish)]
    if as_json:
        desk.print_document(_document(made, time.monotonic() - begun, dry_run=dry_run))
    return names.EXIT_FAILURE if any(each.state == making.FAILED for each in made) else names.EXIT_OK


class _Task:
    """Checkpoints of one run or directory, and where they go."""

    def __init__(self, items: Sequence[Checkpoint], dest: str, run: RunPaths | None) -> None:
        self.items, self.dest, self.run = items, dest, run


def _tasks(ref: str, which: str, root: str, wish: gather.Wish, to: str | None, *, if_any: bool) -> list[_Task]:
    """What a reference names, each with its destination.

    Raises:
        UsageError: there is nothing whole, and that is not `if_any`'s.
    """
    cwd = working_directory()
    several = refs.expanded(ref, root=root, cwd=cwd)
    if several != [ref]:
        return [task for each in several for task in _tasks(each, which, root, wish, to, if_any=if_any)]
    named = refs.resolve(ref, root=root, cwd=cwd, wish=wish)
    run = None if isinstance(named, refs.OfDirectory) else named.run
    items, home = _items(named, which, wish)
    if items:
        return [_Task(items, upkeep.destination(to, run, home, cwd), run)]
    if if_any:
        return []
    what = "best" if which == policy.BEST else "complete"
    raise errors.UsageError(f"{ref} has no {what} checkpoint", f"`ckptrun ls {ref}` shows what is there")


def _items(named: refs.Named, which: str, wish: gather.Wish) -> tuple[list[Checkpoint], str]:
    """The checkpoints that are meant, and the directory that they are of."""
    if isinstance(named, refs.OfCheckpoint):
        return [named.checkpoint], named.checkpoint.directory
    if isinstance(named, refs.OfDirectory):
        found = gather.directory_listing(named.path, wish).checkpoints
        gather.require_no_runs(named.path, found)
        return policy.chosen(found, which), named.path
    found = gather.run_listing(named.run, wish).checkpoints
    if isinstance(named, refs.OfRun):
        return policy.chosen(found, which), named.run.dir
    own = [item for item in found if item.attempt == named.attempt.number]
    return (policy.chosen(own, policy.ALL)[-1:] if which == policy.LATEST else policy.chosen(own, which)), named.run.dir


def _carry_out(task: _Task, wish: Wish) -> list[Made]:
    upkeep.require_outside(task.dest, task.items, task.run)
    place = places.open_place(task.dest, os.environ)
    try:
        return [_one(place, item, task, wish) for item in task.items]
    finally:
        place.close()


def _one(place: places.Place, item: Checkpoint, task: _Task, wish: Wish) -> Made:
    with moving.moving(f"backing up {item.name}", item.size, desk.err(), words.say) as tell:
        made = upkeep.back_up(place, item, task.run, wish, clock=desk.now, tell=tell)
    if made.state == making.FAILED:
        words.error(
            f"{item.path} is NOT backed up: {made.reason}", f"`ckptrun ls {item.directory}` shows what state it is in"
        )
    else:
        words.say(_sentence(item, made))
    return made


def _sentence(item: Checkpoint, made: Made) -> str:
    what = f"{item.name}: {units.size(made.size)}"
    if made.state == making.THERE:
        return f"{what}, in {made.path} already"
    if made.state == making.WOULD:
        return f"{what}, would go to {made.path}"
    how = ", ".join(f"{some(count, 'file')} by {way}" for way, count in made.how.items())
    return f"{what}, backed up to {made.path}{f' ({how})' if how else ''}"


def _document(made: Sequence[Made], seconds: float, *, dry_run: bool) -> dict[str, Any]:
    backups = [
        {
            "checkpoint": each.checkpoint,
            "name": each.name or None,
            "path": each.path or None,
            "state": each.state,
            "reason": each.reason,
            "bytes": each.size,
            "sent": each.sent,
            "files": each.how,
        }
        for each in made
    ]
    total = sum(each.size for each in made)
    sent = sum(each.sent for each in made)
    return {
        "format": names.FORMAT,
        "backups": backups,
        "bytes": total,
        "sent": sent,
        "seconds": seconds,
        "dry_run": dry_run,
    }
