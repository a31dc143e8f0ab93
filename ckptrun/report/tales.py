"""The whole story of a run, an attempt or a checkpoint, as names and values. Pure: what is shown is decided from nouns alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import names, units
from ckptrun.report import story
from ckptrun.report.cells import Column
from ckptrun.report.listing import STYLES, layout, number, telling
from ckptrun.report.standing import OUTCOMES, clock, unix, when
from ckptrun.report.text import some
from ckptrun.runs import records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.model import AttemptRecord, Checkpoint, Manifest, Setting
    from ckptrun.report.cells import Cell
    from ckptrun.runs.branches import Branch
    from ckptrun.runs.pins import Pin
    from ckptrun.runs.records import RunRecord

SETTINGS = (Column("setting"), Column("from"), Column("value", words=True))
ATTEMPTS = (
    Column("attempt", right=True),
    Column("started (UTC)"),
    Column("took", right=True, spare=2),
    Column("host", spare=3),
    Column("after step", right=True),
    Column("gained", right=True),
    Column("lost", right=True, spare=1),
    Column("outcome"),
    Column("why", words=True),
)
FILES = (Column("file"), Column("size", right=True), Column("xxh3-128", spare=1))


# --- a run -------------------------------------------------------------------------------------------------------------
def run(record: RunRecord) -> list[tuple[str, Cell]]:
    """What was asked for."""
    ids = " ".join(f"{name}={value}" for name, value in record.tracker_ids.items())
    return [
        ("command", story.command_line(record.command)),
        ("in", record.cwd),
        ("created", clock(record.created)),
        ("branched from", record.parent),
        ("branched with", " ".join(f"{name}={value}" for name, value in record.overrides.items())),
        ("tracker ids", ids),
    ]


def branched(found: Sequence[Branch]) -> str:
    """Which runs began with a checkpoint of this one."""
    return ", ".join(f"{each.run} at {each.checkpoint.rpartition('/')[2]}" for each in found)


def settings(given: Mapping[str, Setting]) -> list[list[Cell]]:
    """Each setting with its value and where that came from; what the user chose stands out."""
    return [
        [name, (setting.source, "dim" if setting.source == "default" else ""), _value(setting.value)]
        for name, setting in given.items()
    ]


def attempts(records: Sequence[AttemptRecord], now: float) -> list[list[Cell]]:
    """One row for each attempt."""
    return [
        [
            str(record.attempt),
            clock(record.started).removesuffix(" UTC"),
            _took(record, now),
            record.host,
            "" if record.resumed_step is None else str(record.resumed_step),
            "" if record.steps_gained is None else str(record.steps_gained),
            "" if record.steps_lost is None else str(record.steps_lost),
            (record.outcome.replace("_", " "), OUTCOMES.get(record.outcome, "")),
            record.why,
        ]
        for record in records
    ]


# --- an attempt --------------------------------------------------------------------------------------------------------
def attempt(record: AttemptRecord, now: float, *, runs: bool = False) -> list[tuple[str, Cell]]:
    """When, where, what it resumed from and why, how it ended and why, what it saved, gained and lost."""
    return [
        ("attempt", (f"{record.attempt} of run {record.run}", "bold")),
        ("outcome", (_outcome(record, runs=runs), OUTCOMES.get(record.outcome, ""))),
        ("why", record.why),
        ("started", _when(record.started, now)),
        ("ended", f"{_when(record.ended, now)}, after {_took(record, now)}" if record.ended else ""),
        ("host", record.host + (f", {record.platform} job {record.job}{_restart(record)}" if record.job else "")),
        ("started by", "a scheduler" if record.automatic else "a person"),
        ("command", story.command_line(record.argv or record.command)),
        ("in", record.cwd),
        ("git commit", record.commit.replace("+", ", with changes")),
        ("resumed from", record.resumed_from or "nothing"),
        ("resumed why", record.resume_why),
        ("resumed step", "" if record.resumed_step is None else str(record.resumed_step)),
        ("notice", record.notice),
        ("request", record.request),
        ("command ended", _exit(record)),
        ("ckptrun's code", "" if record.exit_code is None else str(record.exit_code)),
        ("last step", "" if record.last_step is None else str(record.last_step)),
        ("steps gained", "" if record.steps_gained is None else str(record.steps_gained)),
        (
            "steps lost",
            (str(record.steps_lost), "red" if record.steps_lost else "") if record.steps_lost is not None else "",
        ),
        ("saved", _saved(record)),
        ("saves took", _saves(record)),
    ]


TASKS = (Column("task", right=True), Column("node"), Column("ended (UTC)"), Column("how", words=True))


def tasks(record: AttemptRecord) -> list[list[Cell]]:
    """How each of several tasks ended; the one that failed first is marked."""
    from ckptrun.policy import group  # noqa: PLC0415  # one task is the rule

    first = group.culprit(record.tasks) if record.blamed else None
    rows: list[list[Cell]] = []
    for task in record.tasks:
        ended = "" if task.ended is None else records.now_text(task.ended)[:19].replace("T", " ")
        how = group.how(task) if group.failed(task) or task.child_exit == 0 else task.why or "it did not say"
        mark = " (failed first)" if first is not None and task.rank == first.rank else ""
        rows.append([str(task.rank), task.node, ended, (how + mark, "red" if mark else "")])
    return rows


# --- a checkpoint ------------------------------------------------------------------------------------------------------
def checkpoint(
    item: Checkpoint, manifest: Manifest | None, resumed_by: Sequence[int], now: float, *, pin: Pin | None = None
) -> list[tuple[str, Cell]]:
    """What it is, whether it is whole, where it came from and who went on from it."""
    metrics = [(f"metric {metric}", number(value)) for metric, value in item.metrics.items()]
    return [
        ("checkpoint", (item.name, "bold")),
        ("path", item.path),
        ("state", (item.state, STYLES.get(item.state, ""))),
        ("reason", item.reason),
        ("roles", ", ".join(telling(item.roles))),
        ("pinned", _pinned(pin, now)),
        ("step", "" if item.step is None else str(item.step)),
        ("epoch", number(item.epoch)),
        *metrics,
        ("written", when(item.time, now) if item.time else ""),
        ("size", f"{units.size(item.size)} in {some(len(manifest.files) if manifest else len(item.files), 'file')}"),
        ("layout", layout(item.layout) + (f": {item.why}" if item.why else "")),
        ("attempt", _by(item, manifest)),
        ("saved because", item.why_saved + (f", request {item.request}" if item.request else "")),
        ("save took", units.duration(item.seconds) if item.seconds else ""),
        ("parent", item.parent),
        ("resumed by", ", ".join(f"attempt {one}" for one in resumed_by) or "no attempt"),
    ]


def files(item: Checkpoint, manifest: Manifest | None) -> list[list[Cell]]:
    """The files, with size and hash where a manifest knows them."""
    if manifest is None:
        return [[name, "", ""] for name in item.files]
    return [[entry.path, units.size(entry.size), entry.xxh3_128] for entry in manifest.files]


# --- words -------------------------------------------------------------------------------------------------------------
def _outcome(record: AttemptRecord, *, runs: bool) -> str:
    if not record.outcome:
        return "none yet: it is running" if runs else "nobody knows: ckptrun was killed, or its machine was lost"
    proved = {True: " (proved)", False: " (assumed)"}[record.proved] if record.outcome == names.COMPLETED else ""
    return record.outcome.replace("_", " ") + proved


def _exit(record: AttemptRecord) -> str:
    if record.child_signal is not None:
        return f"killed by {story.signal_name(record.child_signal)}"
    return "" if record.child_exit is None else f"with {record.child_exit}"


def _restart(record: AttemptRecord) -> str:
    return f", restart {record.restart}" if record.restart else ""


def _saved(record: AttemptRecord) -> str:
    if not record.checkpoints:
        return "NOTHING" if record.outcome else ""
    if len(record.checkpoints) > 4:
        return f"{some(len(record.checkpoints), 'checkpoint')}, {record.checkpoints[0]} to {record.checkpoints[-1]}"
    return ", ".join(record.checkpoints)


def _saves(record: AttemptRecord) -> str:
    if not record.saves:
        return ""
    slowest = units.duration(max(record.saves))
    return slowest if len(record.saves) == 1 else f"at most {slowest}, {len(record.saves)} times"


def _by(item: Checkpoint, manifest: Manifest | None) -> str:
    number = "" if item.attempt is None else str(item.attempt)
    return f"{number} of run {manifest.run}" if manifest and manifest.run and number else number


def _pinned(pin: Pin | None, now: float) -> str:
    if pin is None:
        return ""
    by = f"by {pin.by}, {_when(pin.created, now)}" if pin.by else ""
    return ": ".join(part for part in (by, pin.reason) if part) or "yes"


def _took(record: AttemptRecord, now: float) -> str:
    begun, ended = unix(record.started), unix(record.ended)
    if begun is None or (ended is None and record.outcome):
        return ""
    return units.duration((ended if ended is not None else now) - begun) if ended is not None or not record.outcome else ""


def _when(text: str, now: float) -> str:
    at = unix(text)
    return text if at is None else when(at, now)


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)
