"""`ckptrun show`: the story of a run, an attempt or a checkpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ckptrun import errors, names, units
from ckptrun.checkpoints import manifest as manifests
from ckptrun.cli import desk
from ckptrun.cli.help import verb
from ckptrun.cli.params import REF, json_option, root_option, working_directory
from ckptrun.report import gather, listing, logs, overview, refs, standing, story, tales, working
from ckptrun.runs import branches, ledger, pins, records
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from ckptrun.model import Checkpoint, Manifest
    from ckptrun.report.paper import Paper
    from ckptrun.report.refs import OfAttempt, OfCheckpoint, OfRun
    from ckptrun.runs.paths import AttemptPaths


@verb(
    "show",
    examples=[
        ("ckptrun show digits-3f9a1c", "a run: command, settings and where each came from, attempts, checkpoints"),
        ("ckptrun show digits-3f9a1c/3", "its third attempt: what happened, when, and why"),
        ("ckptrun show digits-3f9a1c@120", "its checkpoint of step 120; also @latest, @best, @NAME"),
        ("ckptrun show runs/digits-3f9a1c/checkpoints/latest", "whatever a path leads to"),
        (
            "ckptrun show --tensors --stats digits-3f9a1c@best",
            "what is inside: names, shapes, and how large the numbers are",
        ),
    ],
    codes=(names.EXIT_OK, names.EXIT_USAGE, names.EXIT_IO),
)
@click.argument("ref", type=REF)
@click.option(
    "--tensors", is_flag=True, help="What is inside of a checkpoint or a file: each tensor's name, kind, shape and size."
)
@click.option(
    "--stats", is_flag=True, help="With it of each tensor: RMS, max |x|, mean, how many NaN and infinities. Needs numpy."
)
@desk.only_option
@desk.metric_options
@desk.pattern_option
@root_option
@json_option
def command(
    ref: str,
    *,
    tensors: bool,
    stats: bool,
    only: tuple[str, ...],
    metric: str,
    mode: str,
    patterns: tuple[str, ...],
    root: str,
    as_json: bool,
) -> int:
    """Tell the story of REF: a run, RUN/ATTEMPT, RUN@STEP, RUN@latest, RUN@best[:METRIC], DIR@STEP, or a path."""
    wish = gather.Wish(metric, mode, patterns=desk.layouts(patterns))
    if tensors or stats or only:
        from ckptrun.cli import tensors as inside  # noqa: PLC0415  # a story needs none of it

        return inside.show(ref, stats=stats, only=only, wish=wish, root=root, as_json=as_json)
    with working.busy("looking at checkpoints", desk.err()):
        named = refs.resolve(ref, root=root, cwd=working_directory(), wish=wish)
        if isinstance(named, refs.OfDirectory):
            hint = f"`ckptrun ls {ref}` lists what is in it; name one: {ref}@STEP or {ref}@latest"
            raise errors.UsageError(f"{ref} is no run, attempt or checkpoint", hint if os.path.isdir(named.path) else "")
        view = _VIEWS[type(named)](named)
    if as_json:
        desk.print_document({"format": names.FORMAT, **view.document()})
    else:
        view.print(desk.out(), desk.now())
    return names.EXIT_OK


class _Run:
    """A run: what was asked for, all attempts, all checkpoints."""

    def __init__(self, named: OfRun) -> None:
        self.seen = overview.look(named.run, desk.me(), desk.now())
        self.record = records.read_run(named.run)
        self.attempts = gather.attempt_records(named.run)
        self.listing = gather.run_listing(named.run)
        self.branches = branches.of(named.run)

    def document(self) -> dict[str, Any]:
        asked = msgspec.to_builtins(self.record) if self.record else {}
        tried = [msgspec.to_builtins(record) for record in self.attempts]
        return {
            **asked,
            "kind": "run",
            "status": overview.fields(self.seen),
            "attempts": tried,
            "branches": msgspec.to_builtins(self.branches),
            **listing.document([self.listing]),
        }

    def print(self, page: Paper, now: float) -> None:
        asked = tales.run(self.record) if self.record else []
        page.pairs([*standing.block(self.seen), *asked, ("branched off", tales.branched(self.branches))])
        if self.record and self.record.settings:
            page.heading("settings")
            page.table(tales.SETTINGS, tales.settings(self.record.settings))
        if self.attempts:
            page.heading("attempts")
            page.table(tales.ATTEMPTS, tales.attempts(self.attempts, now))
        page.heading("checkpoints")
        listing.show(self.listing, page, now)


class _Attempt:
    """An attempt: its record, and the ledger's story."""

    def __init__(self, named: OfAttempt) -> None:
        self.named = named
        self.record = records.read_attempt(named.attempt)
        self.runs = overview.held(named.run, desk.me()) and run_paths.attempts(named.run)[-1] == named.attempt.number
        self.story = story.of_attempt(ledger.entries(named.run.ledger), named.attempt.number)

    def document(self) -> dict[str, Any]:
        record = msgspec.to_builtins(self.record) if self.record else {"attempt": self.named.attempt.number}
        return {**record, "kind": "attempt", "directory": self.named.attempt.dir, "ledger": self.story}

    def print(self, page: Paper, now: float) -> None:
        where = self.named.attempt
        if self.record is None:
            page.line(f"attempt {where.number} of run {self.named.run.name} was killed before it wrote down what it is")
        page.pairs([*(tales.attempt(self.record, now, runs=self.runs) if self.record else []), *_left(where)])
        if self.record is not None and self.record.tasks:
            page.heading("tasks")
            page.table(tales.TASKS, tales.tasks(self.record))
        if self.story:
            page.heading("what happened")
            page.table(story.COLUMNS, story.rows(self.story))


class _Checkpoint:
    """A checkpoint: state, provenance, files, and who went on from it."""

    def __init__(self, named: OfCheckpoint) -> None:
        self.item = named.checkpoint
        self.manifest = _manifest(named.checkpoint)
        self.branches = branches.in_use(named.run).get(named.checkpoint.path, "") if named.run else ""
        self.resumed_by = gather.resumed_by(named.run, named.checkpoint) if named.run else []
        self.run = named.run.name if named.run else ""
        self.pin = _pin(named)

    def document(self) -> dict[str, Any]:
        inside = msgspec.to_builtins(self.manifest) if self.manifest else None
        return {
            "kind": "checkpoint",
            "run": self.run or None,
            "checkpoint": listing.checkpoint(self.item),
            "manifest": inside,
            "pin": msgspec.to_builtins(self.pin) if self.pin else None,
            "resumed_by": self.resumed_by,
        }

    def print(self, page: Paper, now: float) -> None:
        told = tales.checkpoint(self.item, self.manifest, self.resumed_by, now, pin=self.pin)
        page.pairs([*told, ("in use", self.branches)])
        page.heading("files")
        page.table(tales.FILES, tales.files(self.item, self.manifest))


def _left(where: AttemptPaths) -> list[tuple[str, str]]:
    """Where its output and its log lie."""
    written = logs.size(where)
    output = where.output if os.path.isdir(where.output) else ""
    return [("output", output), ("log", f"{where.log}, {units.size(written)}" if written else "")]


def _manifest(item: Checkpoint) -> Manifest | None:
    """What the manifest says, None where there is none that can be read; the state says why."""
    try:
        return manifests.read(item.path)
    except manifests.Broken:
        return None


def _pin(named: OfCheckpoint) -> pins.Pin | None:
    """Its pin; one that cannot be read says so."""
    boards = pins.boards(named.checkpoint.directory, named.run)
    try:
        return pins.read(boards, named.checkpoint.path)
    except errors.CkptrunError as error:
        return pins.Pin(path="", reason=error.message)


_VIEWS: dict[type, Any] = {refs.OfRun: _Run, refs.OfAttempt: _Attempt, refs.OfCheckpoint: _Checkpoint}
