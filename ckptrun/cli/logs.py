"""`ckptrun logs`: what an attempt wrote, byte for byte."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import click
from msgspec import structs

from ckptrun import errors, names
from ckptrun.cli import desk, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import ATTEMPT, root_option, working_directory
from ckptrun.report import refs
from ckptrun.report.attending import Watch
from ckptrun.report.logs import Log
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from ckptrun.runs.paths import AttemptPaths, RunPaths

_PAUSE = 0.2  # seconds between two looks at a log that says nothing
_LOOK_EVERY = 1.0  # seconds between two looks at whether the attempt has ended


@verb(
    "logs",
    examples=[
        ("ckptrun logs digits-3f9a1c", "what the newest attempt wrote"),
        ("ckptrun logs -n 20 digits-3f9a1c/3", "the last 20 lines of its third attempt"),
        ("ckptrun logs --task 2 digits-3f9a1c", "what the third of several tasks wrote, on its node"),
        ("ckptrun logs -f digits-3f9a1c", "as it comes, and on through every new attempt"),
    ],
    codes={
        names.EXIT_OK: "done; with -f: the run has ended",
        names.EXIT_USAGE: "the command line is wrong, or there is no such attempt",
        names.EXIT_IO: "the log cannot be read",
        names.EXIT_INTERRUPTED: "interrupted by Ctrl-C",
    },
)
@click.argument("ref", type=ATTEMPT, metavar="RUN[/ATTEMPT]")
@click.option(
    "--task",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    help="What task N of several wrote, on its node.  [default: 0]",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes; through new attempts too, until the run ends.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), metavar="LINES", help="Only the last LINES lines.  [default: all]"
)
@root_option
def command(ref: str, task: int, follow: bool, lines: int | None, root: str) -> int:
    """Print what an attempt wrote to stdout and stderr, untouched. RUN alone means its newest attempt."""
    named = refs.resolve(ref, root=root, cwd=working_directory())
    if isinstance(named, refs.OfAttempt):
        run, number, only = named.run, named.attempt.number, True
    elif isinstance(named, refs.OfRun):
        run, number, only = named.run, (run_paths.attempts(named.run) or [0])[-1], False
    else:
        raise errors.UsageError(f"{ref} is no run and no attempt", "logs RUN, or logs RUN/ATTEMPT")
    if not follow:
        _print(_of_task(run.attempt(number), task), lines)
        return names.EXIT_OK
    _follow(run, number, lines, only=only, task=task)
    return names.EXIT_OK


def _of_task(attempt: AttemptPaths, task: int) -> AttemptPaths:
    """Where the log of a task lies; the first one's is the attempt's own."""
    if not task or not attempt.number:
        return attempt
    folder = attempt.task(task)
    if not os.path.isdir(folder):
        raise errors.UsageError(f"attempt {attempt.number} has no task {task}", f"its log is {attempt.log}")
    return structs.replace(attempt, dir=folder)


def _print(attempt: AttemptPaths, lines: int | None) -> None:
    if not attempt.number:
        words.say("no attempt was made yet")
        return
    with closing(Log(attempt)) as log:
        log.copy(sys.stdout.buffer.write, lines)
        sys.stdout.buffer.flush()
        _tell_gaps(log, 0)


def _follow(run: RunPaths, number: int, lines: int | None, *, only: bool, task: int) -> None:
    watch = Watch(run, desk.me(), time.monotonic)
    while True:
        if number:
            _follow_one(_of_task(run.attempt(number), task), watch, lines)
        following = 0 if only else _next_attempt(watch, number)
        if not following:
            return
        words.say(f"--- attempt {following} ---")
        number, lines = following, None


def _follow_one(attempt: AttemptPaths, watch: Watch, lines: int | None) -> None:
    write, flush = sys.stdout.buffer.write, sys.stdout.buffer.flush
    with closing(Log(attempt)) as log:
        log.copy(write, lines)
        flush()
        told, over, looked = _tell_gaps(log, 0), False, 0.0
        while True:
            if not over and time.monotonic() - looked >= _LOOK_EVERY:
                over, looked = watch.over(attempt.number), time.monotonic()
            news = log.copy_new(write)
            flush()
            told = _tell_gaps(log, told)
            if not news and over:
                return
            if not news:
                time.sleep(_PAUSE)


def _next_attempt(watch: Watch, number: int) -> int:
    """The number of the attempt after this one, as soon as there is one; 0 if none is to be expected."""
    told = False
    while True:
        seen = watch.look()
        if seen.number > number:
            return number + 1
        if not seen.comes_back:
            return 0
        if not told and seen.between:
            ended = (
                f"attempt {number} {seen.outcome.replace('_', ' ') or 'ended without a word'}"
                if number
                else "no attempt yet"
            )
            words.say(f"--- {ended}; waiting for the next one (Ctrl-C to leave) ---")
            told = True
        time.sleep(_LOOK_EVERY)


def _tell_gaps(log: Log, told: int) -> int:
    if log.gaps > told:
        words.say("--- a part of the output between these may be left out: it was longer than is kept ---")
    return log.gaps
