"""`ckptrun save`: ask a running attempt to save and go on."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from ckptrun import names, units
from ckptrun.cli import asking, desk, queue, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import RUN, json_option, root_option, working_directory
from ckptrun.report import gather, refs
from ckptrun.runs import ledger, records

if TYPE_CHECKING:
    from ckptrun.model import Request
    from ckptrun.runs.control import Answer
    from ckptrun.runs.paths import RunPaths


@verb(
    "save",
    examples=[
        ("ckptrun save digits-3f9a1c", "save now and go on; the new checkpoint's path is printed"),
        ("cp -r $(ckptrun save digits-3f9a1c) /safe", "for scripts: words are on stderr, the path on stdout"),
        ("ckptrun save --no-wait digits-3f9a1c", "ask and leave"),
    ],
    codes={
        names.EXIT_OK: "saved (with --no-wait: asked)",
        names.EXIT_FAILURE: "NOT saved: nobody runs the run, it could not save, or no answer came in time",
        names.EXIT_USAGE: "the command line is wrong, or there is no such run",
        names.EXIT_IO: "the run's directory cannot be read or written",
    },
)
@click.argument("run", type=RUN)
@asking.wait_options
@root_option
@json_option
def command(run: str, timeout: float | None, no_wait: bool, root: str, as_json: bool) -> int:
    """Ask a running attempt to save, and go on. It may run on this or another machine.

    Prints the path of the checkpoint that answers.
    """
    where = refs.the_run(run, root=root, cwd=working_directory())
    holder = asking.who_runs(where)
    if holder is None:
        waiting = queue.look([where]).jobs.get(where.dir)
        text = "nobody runs it" + (f": {waiting.text}" if waiting is not None and waiting.waits else "")
        return _result(where, as_json=as_json, ok=False, text=text)
    begun = time.monotonic()
    request = asking.ask(where, holder, names.SAVE, what="ckptrun save")
    if no_wait:
        words.say(f"asked attempt {holder.attempt} of run {where.name} to save")
        return names.EXIT_OK
    patience = asking.patience(where) if timeout is None else timeout
    answer = asking.answer(where, request, patience)
    took = time.monotonic() - begun
    return _result(where, as_json=as_json, seconds=took, **_heard(where, request, answer, took))


def _heard(run: RunPaths, request: Request, answer: Answer | None, took: float) -> dict[str, Any]:
    if answer is not None:
        return {"ok": answer.ok, "text": asking.said(answer), "checkpoint": answer.checkpoint}
    ended = asking.who_runs(run) is None
    why = "the attempt ended before it answered" if ended else f"no answer within {units.duration(took)}: it may still come"
    failed = _last_failure(run, request)
    return {"ok": False, "text": f"{why}; it tried, and failed: {failed}" if failed else why}


def _last_failure(run: RunPaths, request: Request) -> str:
    """What the script said when it could not save, since it was asked."""
    asked = records.now_text(request.created)
    tried = (
        entry for entry in ledger.read(run.ledger) if entry["event"] == "save_failed" and entry.get("time", "") >= asked
    )
    return next((str(entry.get("text", "")) for entry in reversed(list(tried))), "")


def _result(run: RunPaths, *, as_json: bool, ok: bool, text: str, checkpoint: str = "", seconds: float | None = None) -> int:
    path = _path(run, checkpoint)
    if as_json:
        fields = {"run": run.name, "ok": ok, "text": text, "checkpoint": checkpoint or None, "path": path or None}
        desk.print_document({"format": names.FORMAT, **fields, "seconds": seconds})
    elif ok:
        words.say(f"run {run.name}: {text or 'saved'}, {units.duration(seconds or 0)} after it was asked")
        sys.stdout.write(f"{path}\n" if path else "")
    else:
        words.error(f"run {run.name} was NOT saved: {text}", f"`ckptrun status {run.name}` says what it does")
    return names.EXIT_OK if ok else names.EXIT_FAILURE


def _path(run: RunPaths, checkpoint: str) -> str:
    """Where a checkpoint of that name lies; its usual place without a look at all others."""
    usual = os.path.join(run.checkpoints, checkpoint)
    if not checkpoint or os.path.lexists(usual):
        return usual if checkpoint else ""
    found = [item.path for item in gather.run_listing(run).checkpoints if item.name == checkpoint]
    return found[-1] if found else ""
