"""`ckptrun ls`: all runs, or the checkpoints of runs and directories."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import click

from ckptrun import errors, names
from ckptrun.cli import desk, queue
from ckptrun.cli.help import verb
from ckptrun.cli.params import REF, json_option, root_option, working_directory
from ckptrun.report import gather, listing, overview, refs, standing, working
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.report.gather import Wish
    from ckptrun.report.listing import Listing
    from ckptrun.report.paper import Paper


@verb(
    "ls",
    examples=[
        ("ckptrun ls", "all runs: how far each is, and what is saved"),
        ("ckptrun ls digits-3f9a1c", "a run's checkpoints, oldest first"),
        ("ckptrun ls digits-3f9a1c/2", "those that its second attempt wrote"),
        ("ckptrun ls 'sweep-*'", "those of all runs that match; 'sweep-*@best': the best of each"),
        ("ckptrun ls --metric val_acc --mode max digits-3f9a1c", "the best by another metric"),
        ("ckptrun ls --pattern 'ckpt-{epoch:02d}-{val_loss:.2f}.keras' ./out", "names that say what their numbers are"),
        ("ckptrun ls ./output --json", "any directory, for a program"),
    ],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_IO),
)
@click.argument("what", nargs=-1, type=REF, metavar="[DIR|RUN|REF]...")
@desk.metric_options
@desk.pattern_option
@click.option("--no-size", is_flag=True, help="Look up no sizes and times: for very many files on a slow filesystem.")
@root_option
@json_option
def command(
    *,
    what: tuple[str, ...],
    metric: str,
    mode: str,
    patterns: tuple[str, ...],
    no_size: bool,
    root: str,
    as_json: bool,
) -> int:
    """List runs, or the checkpoints of a run or a directory.

    An argument with a slash or a leading dot is a path; another is a run, or else a directory. RUN/ATTEMPT lists what an attempt
    wrote, RUN@STEP one checkpoint.
    """
    gc.disable()  # a listing makes many objects that all live to its end: looking for garbage among them takes a fifth of the time
    if not what:
        return _runs(root, as_json=as_json)
    wish = gather.Wish(metric, mode, not no_size, desk.layouts(patterns))
    with working.busy("looking at checkpoints", desk.err()):
        listings = [look_up(each, root, wish) for each in expanded(what, root)]
    if as_json:
        desk.print_document(listing.document(listings))
        return names.EXIT_OK
    _print(listings, desk.out(), desk.now())
    return names.EXIT_OK


def expanded(what: Sequence[str], root: str) -> list[str]:
    """The arguments, patterns replaced by what they stand for."""
    cwd = working_directory()
    return [each for word in what for each in refs.expanded(word, root=root, cwd=cwd)]


def look_up(what: str, root: str, wish: Wish) -> Listing:
    """What an argument names: the checkpoints of a run, an attempt or a directory, or one checkpoint.

    Raises:
        UsageError: there is no such thing.
        IoFailure: it could not be read.
    """
    cwd = working_directory()
    refs.require(what)
    run = None if refs.is_path(what) else refs.run_named(what, root)
    path = os.path.normpath(os.path.join(cwd, os.path.expanduser(what)))
    around = gather.run_around(path) if run is None else None
    if run is None and around is not None and os.path.isdir(path) and os.path.samefile(around.dir, path):
        run = around
    if run is not None:
        return gather.run_listing(run, wish)
    if os.path.isdir(path) and around is None:
        return gather.directory_listing(path, wish)
    return _referred(what, root, cwd, wish)


def _referred(what: str, root: str, cwd: str, wish: Wish) -> Listing:
    """What stands after a / or an @, or lies in a run."""
    named = refs.resolve(what, root=root, cwd=cwd, wish=wish)
    if isinstance(named, refs.OfCheckpoint):
        return listing.one(named.checkpoint, what, named.run.name if named.run else "")
    if isinstance(named, refs.OfRun):
        return gather.run_listing(named.run, wish)
    if isinstance(named, refs.OfAttempt):
        return listing.of_attempt(gather.run_listing(named.run, wish), named.attempt.number)
    if os.path.isdir(named.path):
        return gather.directory_listing(named.path, wish)
    raise errors.UsageError(
        f"{what} is a file, and not one that a checkpoint is known by", "--pattern says how yours are called"
    )


def _print(listings: Sequence[Listing], page: Paper, now: float) -> None:
    if not page.terminal:  # one table, so that one header tells of every line
        together = listing.together(listings)
        metrics = listing.metrics_of(together.checkpoints)
        page.table(listing.columns(together), [row for each in listings for row in listing.rows(each, metrics, now)])
        return
    for each in listings:
        if len(listings) > 1:
            page.heading(each.title)
        listing.show(each, page, now)


def _runs(root: str, *, as_json: bool) -> int:
    me, now = desk.me(), desk.now()
    runs = run_paths.all_runs(root)
    seen = [overview.look(run, me, now) for run in working.over(runs, "looking at runs", desk.err())]
    # Slurm is asked about runs only that may wait in its queue: the others say by themselves how they are.
    found = queue.look(each.run for each in seen if each.holder is None and each.outcome != names.COMPLETED)
    if as_json:
        fields = [{**overview.fields(each), "queue": queue.fields(found.jobs.get(each.run.dir))} for each in seen]
        desk.print_document({"format": names.FORMAT, "runs": fields, "queue_trouble": found.trouble or None})
        return names.EXIT_OK
    page = desk.out()
    if page.terminal and not seen:
        page.line(f"no runs in {root} yet: `ckptrun train SCRIPT` begins one, --root DIR looks elsewhere")
        return names.EXIT_OK
    waiting = {directory: job.text for directory, job in found.jobs.items() if job.waits}
    page.table(standing.COLUMNS, [standing.row(each, queued=waiting.get(each.run.dir, "")) for each in seen])
    if found.trouble:
        desk.err().line(found.trouble)
    return names.EXIT_OK
