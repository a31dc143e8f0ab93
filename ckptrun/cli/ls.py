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
        ("ckptrun ls 'sweep-*'", "those of all runs that match"),
        ("ckptrun ls --metric val_acc --mode max digits-3f9a1c", "the best by another metric"),
        ("ckptrun ls --pattern 'ckpt-{epoch:02d}-{val_loss:.2f}.keras' ./out", "names that say what their numbers are"),
        ("ckptrun ls ./output --json", "any directory, for a program"),
    ],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_IO),
)
@click.argument("what", nargs=-1, type=REF, metavar="[DIR|RUN]...")
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

    An argument with a slash or a leading dot is a path; another is a run, or else a directory.
    """
    gc.disable()  # a listing makes many objects that all live to its end: looking for garbage among them takes a fifth of the time
    if not what:
        return _runs(root, as_json=as_json)
    wish = gather.Wish(metric, mode, not no_size, desk.layouts(patterns))
    with working.busy("looking at checkpoints", desk.err()):
        listings = [look_up(each, root, wish) for word in what for each in matching(word, root)]
    if as_json:
        desk.print_document(listing.document(listings))
        return names.EXIT_OK
    _print(listings, desk.out(), desk.now())
    return names.EXIT_OK


def matching(what: str, root: str) -> list[str]:
    """The names of the runs that a pattern stands for; any other word itself."""
    if not refs.is_pattern(what) or os.path.lexists(os.path.join(working_directory(), what)):
        return [what]
    return [run.name for run in refs.matching(what, root)]


def look_up(what: str, root: str, wish: Wish) -> Listing:
    """What an argument names: a run's checkpoints, or a directory's.

    Raises:
        UsageError: there is no such run or directory.
        IoFailure: it could not be read.
    """
    cwd = working_directory()
    if not refs.is_path(what):
        run = refs.run_named(what, root)
        if run is not None:
            return gather.run_listing(run, wish)
    path = os.path.join(cwd, os.path.expanduser(what))
    if not os.path.isdir(path):
        raise _no_directory(what, path, root)
    run = gather.run_around(path)
    if run is not None and os.path.samefile(run.dir, path):
        return gather.run_listing(run, wish)
    return gather.directory_listing(os.path.normpath(path), wish)


def _no_directory(what: str, path: str, root: str) -> errors.UsageError:
    parsed = refs.parse(what)
    if os.path.lexists(path) or (parsed is not None and refs.run_named(parsed.run, root)):
        return errors.UsageError(
            f"{what} is neither a run nor a directory", f"`ckptrun show {what}` tells of one attempt or checkpoint"
        )
    return refs.nothing(what, root)


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
