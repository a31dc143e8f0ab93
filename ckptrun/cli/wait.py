"""`ckptrun wait`: until a run has ended, or has come so far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ckptrun import names, units
from ckptrun.cli import asking, desk, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import RUN, json_option, root_option, working_directory
from ckptrun.report import overview, refs, working
from ckptrun.report.attending import Watch

if TYPE_CHECKING:
    from ckptrun.model import Checkpoint
    from ckptrun.report.attending import Glance
    from ckptrun.report.overview import Overview
    from ckptrun.runs.paths import RunPaths

_PAUSE = 0.5  # seconds between two looks
_REST = 20  # times what a look takes: at ten thousand checkpoints it takes long


@verb(
    "wait",
    examples=[
        ("ckptrun wait digits-3f9a1c && python evaluate.py", "go on when it is complete"),
        ("ckptrun wait --restarts digits-3f9a1c", "also through preemptions, after which a scheduler starts it again"),
        ("ckptrun wait --restarts 'sweep-*'", "for all runs that match"),
        ("ckptrun wait --step 1000 --checkpoint digits-3f9a1c", "until step 1000 is saved"),
    ],
    codes={
        names.EXIT_OK: "it is complete; with --step or --checkpoint: it has come so far",
        "1 … 255": "the code that the run's last attempt ended with (75: start me again, 93: stopped); of several runs: the first that is not 0",
        names.EXIT_FAILURE: "--timeout has passed, nobody knows how it ended, or it ended before it came so far",
        names.EXIT_USAGE: "the command line is wrong, or there is no such run",
        names.EXIT_IO: "the run's directory cannot be read",
        names.EXIT_INTERRUPTED: "Ctrl-C, here or at the run",
    },
)
@click.argument("runs", nargs=-1, required=True, type=RUN, metavar="RUN...")
@click.option("--step", type=click.IntRange(min=0), metavar="N", help="Until step N is finished.")
@click.option("--checkpoint", is_flag=True, help="Until a new checkpoint is there; with --step: one of step N or later.")
@click.option("--restarts", is_flag=True, help="After a preemption wait for the next start, and so on.")
@click.option("--timeout", type=asking.Duration(), metavar="TIME", help="No longer than this.")
@root_option
@json_option
def command(
    runs: tuple[str, ...],
    *,
    step: int | None,
    checkpoint: bool,
    restarts: bool,
    timeout: float | None,
    root: str,
    as_json: bool,
) -> int:
    """Wait until nobody runs a run any more, or until it has come so far; of several runs, until that is so of each."""
    wanted = refs.the_runs(runs, root=root, cwd=working_directory())
    goals = [(where, _Goal(where, step, checkpoint=checkpoint)) for where in wanted]
    end = None if timeout is None else time.monotonic() + timeout
    found = []
    for where, goal in goals:
        found.append(_one(where, goal, end, timeout or 0.0, restarts=restarts))
        if not as_json:
            words.say(found[-1]["text"])
    if as_json:
        one = len(runs) == 1 and not refs.is_pattern(runs[0])
        desk.print_document({"format": names.FORMAT, **(found[0] if one else {"runs": found})})
    return next((each["exit_code"] for each in found if each["exit_code"]), names.EXIT_OK)


def _one(where: RunPaths, goal: _Goal, end: float | None, timeout: float, *, restarts: bool) -> dict[str, Any]:
    """Wait for one run; how that went, for people (`text`) and programs."""
    watch = Watch(where, desk.me(), time.monotonic)
    with working.busy(f"waiting for {where.name}", desk.err()):
        reached, seen, in_time = _wait(watch, goal, end, restarts=restarts)
    if reached:
        code, text = names.EXIT_OK, f"run {where.name} has {reached}"
    elif in_time:
        code, text = _ending(where, seen, goal)
    else:
        code, text = names.EXIT_FAILURE, f"run {where.name} has not {goal.words} within {units.duration(timeout)}"
    how = {"attempt": seen.number or None, "outcome": seen.outcome or None, "running": seen.held, "reached": bool(reached)}
    return {"run": where.name, **how, "exit_code": code, "text": text}


def _wait(watch: Watch, goal: _Goal, end: float | None, *, restarts: bool) -> tuple[str, Glance, bool]:
    """What was reached, how the run was found at last, and False where the time was up before either."""
    while True:
        begun = time.monotonic()
        seen = watch.look()
        reached = goal.reached()
        if reached or _ended(watch, seen, restarts=restarts):
            return reached, seen, True
        now = time.monotonic()
        if end is not None and now >= end:
            return "", seen, False
        rest = max(_PAUSE, _REST * (now - begun))
        time.sleep(rest if end is None else min(rest, end - now))


class _Goal:
    """How far the run shall come; without one, to its end."""

    def __init__(self, run: RunPaths, step: int | None, *, checkpoint: bool) -> None:
        self._run, self._step, self._checkpoint, self._me = run, step, checkpoint, desk.me()
        self.any = checkpoint or step is not None
        newest = self._look().newest if checkpoint and step is None else None
        self._known = newest.path if newest else ""
        what = "saved" if checkpoint else "reached"
        self.words = "ended" if not self.any else f"{what} step {step}" if step is not None else "saved anything new"

    def reached(self) -> str:
        """What was reached, in words; "" while it is not."""
        if not self.any:
            return ""
        seen = self._look()
        if self._checkpoint:
            return self._saved(seen.newest)
        assert self._step is not None
        return f"reached step {seen.step}" if seen.step is not None and seen.step >= self._step else ""

    def _saved(self, newest: Checkpoint | None) -> str:
        if newest is None or newest.path == self._known:
            return ""
        far = self._step is None or (newest.step is not None and newest.step >= self._step)
        return f"saved {newest.name}" if far else ""

    def _look(self) -> Overview:
        return overview.look(self._run, self._me, desk.now())


def _ended(watch: Watch, seen: Glance, *, restarts: bool) -> bool:
    if not seen.number:
        return seen.stopped and not seen.held
    if seen.held or (restarts and seen.comes_back):
        return False
    return bool(seen.outcome) or watch.abandoned(seen)


def _ending(run: RunPaths, seen: Glance, goal: _Goal) -> tuple[int, str]:
    """The exit code and the sentence for a run that has ended."""
    if not seen.number:
        return names.EXIT_DO_NOT_RESTART, f"run {run.name} was stopped before its first attempt"
    record, head = seen.record, f"run {run.name}, attempt {seen.number}"
    if record is None or not record.outcome:
        return names.EXIT_FAILURE, f"{head} ended without a word: ckptrun was killed, or its machine was lost"
    text = f"{head} {seen.outcome.replace('_', ' ')}: {record.why}"
    if goal.any:
        text += f"; it has not {goal.words}"
    if goal.any and seen.outcome == names.COMPLETED:
        return names.EXIT_FAILURE, text
    if record.exit_code is None:  # closed by the start after it
        return (names.EXIT_OK if seen.outcome == names.COMPLETED else names.EXIT_FAILURE), text
    return record.exit_code, text
