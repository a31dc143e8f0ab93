"""`ckptrun status`: what is running where, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckptrun import names
from ckptrun.cli import desk, queue
from ckptrun.cli.help import verb
from ckptrun.cli.params import RUN, json_option, root_option, working_directory
from ckptrun.report import overview, refs, standing, working
from ckptrun.report.text import some
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from ckptrun.platforms.slurm.queue import Standing
    from ckptrun.report.cells import Cell
    from ckptrun.report.overview import Overview
    from ckptrun.runs.paths import RunPaths


@verb(
    "status",
    examples=[
        ("ckptrun status", "everything that runs or is queued: where, how far, what is saved"),
        ("ckptrun status digits-3f9a1c", "one run, whether it runs or not"),
        ("ckptrun status 'sweep-*'", "all runs that match, in one table"),
        ("ckptrun status --json", "all runs, for a program"),
    ],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_IO),
)
@click.argument("runs", nargs=-1, type=RUN, metavar="[RUN]...")
@root_option
@json_option
def command(runs: tuple[str, ...], root: str, as_json: bool) -> int:
    """Say what is running where, and how far it is.

    Without RUN: every run that is running, or whose job waits. Several stand in one table, and one is told of at length. What
    cannot be known from here is said to be unknown.
    """
    wanted = refs.the_runs(runs, root=root, cwd=working_directory()) if runs else _all(root)
    me, now = desk.me(), desk.now()
    seen = [overview.look(run, me, now) for run in working.over(wanted, "looking at runs", desk.err())]
    found = queue.look(each.run for each in seen)
    if as_json:
        fields = [{**overview.fields(each), "queue": queue.fields(found.jobs.get(each.run.dir))} for each in seen]
        desk.print_document({"format": names.FORMAT, "runs": fields, "queue_trouble": found.trouble or None})
        return names.EXIT_OK
    _print(seen, found.jobs, root, asked=bool(runs))
    if found.trouble:
        desk.err().line(found.trouble)
    return names.EXIT_OK


def _all(root: str) -> list[RunPaths]:
    return sorted(run_paths.all_runs(root), key=lambda run: refs.natural(run.name))


def _print(seen: list[Overview], jobs: dict[str, Standing], root: str, *, asked: bool) -> None:
    page = desk.out()
    shown = seen if asked else [each for each in seen if each.holder is not None or each.run.dir in jobs]
    if len(shown) == 1:
        [one] = shown
        page.pairs([*standing.block(one), *_queue(jobs.get(one.run.dir))])
    elif shown:
        page.table(standing.NOW, [_row(each, jobs.get(each.run.dir)) for each in shown])
    others = len(seen) - len(shown)
    if not shown:
        desk.err().line(f"nothing is running in {root}")
    if others:
        desk.err().line(f"{some(others, 'run')} not running: `ckptrun ls` lists {'it' if others == 1 else 'them'}")


def _row(seen: Overview, job: Standing | None) -> list[Cell]:
    if job is None:
        return standing.now(seen)
    return standing.now(seen, queued=job.text if job.waits else "", job=job.job)


def _queue(job: Standing | None) -> list[tuple[str, Cell]]:
    """The scheduler's word, for a run that was submitted."""
    return [] if job is None else [("slurm", job.text)]
