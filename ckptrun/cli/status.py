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
    from ckptrun.report.cells import Cell
    from ckptrun.report.overview import Overview


@verb(
    "status",
    examples=[
        ("ckptrun status", "everything that runs: where, since when, how far, what is saved"),
        ("ckptrun status digits-3f9a1c", "one run, whether it runs or not"),
        ("ckptrun status --json", "all runs, for a program"),
    ],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_IO),
)
@click.argument("runs", nargs=-1, type=RUN, metavar="[RUN]...")
@root_option
@json_option
def command(runs: tuple[str, ...], root: str, as_json: bool) -> int:
    """Say what is running where, and how far it is.

    Without RUN: every run that is running. What cannot be known from here is said to be unknown.
    """
    cwd = working_directory()
    wanted = [refs.the_run(run, root=root, cwd=cwd) for run in runs] or run_paths.all_runs(root)
    me, now = desk.me(), desk.now()
    seen = [overview.look(run, me, now) for run in working.over(wanted, "looking at runs", desk.err())]
    if as_json:
        desk.print_document(overview.document(seen))
        return names.EXIT_OK
    _print(seen, root, asked=bool(runs))
    return names.EXIT_OK


def _queue(seen: Overview) -> list[tuple[str, Cell]]:
    """The scheduler's word, for a run that was submitted."""
    job = queue.look(seen.run)
    return [] if job is None else [("slurm", job.text)]


def _print(seen: list[Overview], root: str, *, asked: bool) -> None:
    page = desk.out()
    shown = seen if asked else [each for each in seen if each.holder is not None]
    for place, each in enumerate(shown):
        if place:
            page.line()
        page.pairs([*standing.block(each), *_queue(each)])
    others = len(seen) - len(shown)
    if not shown:
        desk.err().line(f"nothing is running in {root}")
    if others:
        desk.err().line(f"{some(others, 'run')} not running: `ckptrun ls` lists {'it' if others == 1 else 'them'}")
