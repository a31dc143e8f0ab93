"""The ledger as sentences: what happened to an attempt, in order. Pure."""

from __future__ import annotations

import os
import shlex
import signal
from typing import TYPE_CHECKING, Any

from ckptrun import names, units
from ckptrun.report.cells import Column
from ckptrun.runs import ledger, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ckptrun.report.cells import Cell

    Entry = dict[str, Any]

COLUMNS = (Column("time (UTC)"), Column("after", right=True), Column("what happened", words=True))
STYLES = {
    "save_failed": "red",
    "trouble": "yellow",
    ledger.UNREADABLE: "magenta",
    "checkpoint": "green",
    "attempt_ended": "bold",
}
_NAMED = 12  # checkpoints in a sentence
_NOT_SAID = ("time", "event", "attempt", "number", "task", "node")


def of_attempt(entries: Iterable[Entry], number: int) -> list[Entry]:
    """The entries that tell of one attempt: its own, unreadable lines among them, and how a later start closed it."""
    told, among = [], False
    for entry in entries:
        if entry["event"] != ledger.UNREADABLE:
            among = entry.get("number", entry.get("attempt")) == number
        if among:
            told.append(entry)
    return told


def rows(entries: Iterable[Entry]) -> list[list[Cell]]:
    """One row for each entry: when, how long after the first, and a sentence."""
    first: float | None = None
    out: list[list[Cell]] = []
    for entry in entries:
        at = _unix(entry.get("time"))
        first = at if first is None else first
        after = f"+{units.duration(at - first)}" if at is not None and first is not None else ""
        time = str(entry.get("time", ""))
        out.append([time[:10] + " " + time[11:19] if at else time, after, (sentence(entry), STYLES.get(entry["event"], ""))])
    return out


def sentence(entry: Entry) -> str:
    """One entry in words; an event that this version does not know is shown with all it says."""
    tell = _SENTENCES.get(entry["event"])
    who = f"task {entry['task']} on {entry.get('node', '')}: " if entry.get("task") else ""  # the leader's own are nobody's
    try:
        return who + (str(tell(entry)) if tell else _plain(entry))
    except (KeyError, TypeError, ValueError):  # of another version, or damaged: show what is there
        return _plain(entry)


def command_line(words: Iterable[str]) -> str:
    """A command as it can be typed again."""
    return " ".join(shlex.quote(word) for word in words)


def _plain(entry: Entry) -> str:
    said = {key: value for key, value in entry.items() if key not in _NOT_SAID and value not in (None, "", [], {}, False)}
    return (
        str(entry["event"]).replace("_", " ")
        + (": " if said else "")
        + ", ".join(f"{key} {_value(value)}" for key, value in said.items())
    )


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_value(item) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{key}={_value(item)}" for key, item in value.items())
    return str(value)


def _started(entry: Entry) -> str:
    resumed = entry.get("resumed_from")
    job = f", job {entry['job']}" if entry.get("job") else ""
    start = f"goes on from {resumed}" if resumed else "begins from nothing"
    return f"started on {entry['host']} (pid {entry['pid']}{job}); {start}: {entry['why']}"


def _ended(entry: Entry) -> str:
    proved = f" ({entry.get('completion') or entry.get('proved', 'assumed')})" if entry.get("outcome") == "completed" else ""
    notes = "".join(f"; {note}" for note in entry.get("notes") or [])
    return f"{entry['outcome'].replace('_', ' ')}{proved}: {entry['why']}{notes}"


def _checkpoint(entry: Entry) -> str:
    step = f", step {entry['step']}" if entry.get("step") is not None else ""
    took = f", in {units.duration(entry['seconds'])}" if entry.get("seconds") is not None else ""
    found = ", found on disk" if entry.get("found") else ""
    answers = f", answers request {entry['request']}" if entry.get("request") else ""
    return f"saved {entry['name']}{step}{took}{found}{answers}"


def _setting_aside(entry: Entry) -> str:
    items = [f"{os.path.basename(item['path'])} ({item['why']})" for item in entry["checkpoints"]]
    return f"{entry['label']}: moves out of the way {'; '.join(items)}"


def _set_aside(entry: Entry) -> str:
    return f"{entry['label']}: moved {', '.join(entry['moved'])}"


def _request(entry: Entry) -> str:
    what = "save and stop" if entry["action"] == names.SAVE_AND_STOP else "save"
    deadline = entry.get("deadline")
    until = f" by {records.now_text(deadline)[11:19]}" if isinstance(deadline, (int, float)) else ""
    return f"asked the script to {what}{until}: {entry['reason']} (request {entry['id']})"


def _delivered(entry: Entry) -> str:
    return f"sent {entry['signal']} to {entry['to']} for request {entry['request']}"


def _command_ended(entry: Entry) -> str:
    how = f"killed by {signal_name(entry['signal'])}" if entry.get("signal") else f"with {entry['exit']}"
    return f"the command ended, {how}"


def _pruned(entry: Entry) -> str:
    by = f" by {entry['by']}" if entry.get("by") else ""
    said = [("removed", entry["removed"]), ("took the optimizer's files of", entry.get("thinned") or [])]
    return "; ".join(f"{what}{by}: {', '.join(_few(paths))}" for what, paths in said if paths)


def _few(paths: Sequence[str]) -> Sequence[str]:
    return paths if len(paths) <= _NAMED else [*paths[:2], f"… {len(paths) - 3} more …", paths[-1]]


def signal_name(number: int) -> str:
    """`SIGTERM` for 15."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_SENTENCES: dict[str, Callable[[Entry], str]] = {
    ledger.HEADER: lambda entry: f"the ledger begins (ckptrun {entry['version']})",
    ledger.UNREADABLE: lambda entry: f"line {entry['line']} cannot be read: {entry['text']}",
    "attempt_started": _started,
    "attempt_ended": _ended,
    "attempt_closed": lambda entry: f"closed by the start after it: {entry['outcome'].replace('_', ' ')}: {entry['why']}",
    "command_started": lambda entry: f"the command started (pid {entry['pid']})",
    "command_ended": _command_ended,
    "request": _request,
    "delivered": _delivered,
    "ending": lambda entry: f"sent {entry['signal']} to {', '.join(entry['to'])}",
    "trouble": lambda entry: f"trouble: {entry['text']}",
    "signal": lambda entry: f"ckptrun got {entry['signal']}",
    "notice": lambda entry: f"notice, {entry['reason']}: {entry['why']}",
    "deadline": lambda entry: f"the end came nearer: {units.duration(entry['seconds'])} left",
    "checkpoint": _checkpoint,
    "save_failed": lambda entry: f"NOT saved: {entry['text']}",
    "late": lambda entry: f"{entry['text']}; a later step is named",
    "answered": lambda entry: f"request {entry['request']} is answered by {entry['checkpoint']}",
    "strays": lambda entry: f"ended what the command left behind: {', '.join(entry['ended'])}",
    "stray_ended": lambda entry: f"ended a process that an earlier attempt left: {entry['process']}",
    "stray_left": lambda entry: f"a process of an earlier attempt is still there: {entry['process']}",
    "setting_aside": _setting_aside,
    "set_aside": _set_aside,
    "pruned": _pruned,
}


def _unix(text: Any) -> float | None:
    try:
        return units.from_rfc3339(text)
    except (TypeError, ValueError):
        return None
