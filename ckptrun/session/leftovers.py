"""What ended attempts left behind: processes, an unclosed record, half-written checkpoints, a directory in /tmp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.runs import control, durable, ledger, paths, records
from ckptrun.session import attempt as attempts
from ckptrun.session import ending, resuming
from ckptrun.session import scene as scenes
from ckptrun.supervise import strays

if TYPE_CHECKING:
    from typing import Any

    from ckptrun.model import AttemptRecord
    from ckptrun.runs.lease import Lease
    from ckptrun.session.scene import Scene


def close_leftovers(scene: Scene, held: Lease) -> list[AttemptRecord]:
    """End strays, close records that nobody closed, and return the history, oldest first.

    Order matters: strays are ended before anything is looked at, because a stray may be writing.
    """
    history = attempts.histories(scene)
    if not history:
        return history
    ended, reported = _end_strays(scene, history)
    durable.sweep(scene.paths.attempt(paths.attempts(scene.paths)[-1]).dir)
    closed = [_close(scene, record) if not record.outcome else record for record in history]
    events: list[tuple[str, dict[str, Any]]] = [("stray_ended", {"process": line}) for line in ended] + [
        ("stray_left", {"process": line}) for line in reported
    ]
    for before, after in zip(history, closed, strict=True):
        if before is not after:
            records.write_attempt(scene.paths.attempt(after.attempt), after)
            ending.remove_local(after.local_dir)
            events.append(("attempt_closed", {"number": after.attempt, "outcome": after.outcome, "why": after.why}))
    if events:
        book = ledger.Ledger(scene.paths.ledger, held.require, scene.clock)
        book.append_many(events)
        resuming.finish_setting_aside(scene, book, ledger.entries(scene.paths.ledger), held.require)
        book.close()
    return closed


def _end_strays(scene: Scene, history: list[AttemptRecord]) -> tuple[list[str], list[str]]:
    cgroups = {record.attempt_id: record.cgroup for record in history}
    ended, reported = strays.end_strays(scene.paths.dir, cgroups, uid=scene.me.uid, own_pid=scene.me.pid)
    for line in ended:
        scene.say(f"ended a process that an earlier attempt left behind: {line}", level=-1)
    for line in reported:
        scene.say(f"warning: a process of an earlier attempt is still running and is not ours to end: {line}", level=-1)
    return ended, reported


def _close(scene: Scene, record: AttemptRecord) -> AttemptRecord:
    """An attempt whose ckptrun ended without a word."""
    try:
        progress = control.read_progress(scene.paths)
    except errors.CkptrunError:
        progress = None
    step = progress.step if progress is not None and progress.attempt == record.attempt else None
    found = scenes.checkpoints(scene)
    complete = [item for item in found if item.state == names.COMPLETE]
    saved = [item.name for item in complete if item.attempt == record.attempt]
    at = complete[-1].step if complete else None
    closed = ending.close_unfinished(scene, record, saved, step)
    gained = ending.gained(record.resumed_step, at, saved)
    return msgspec.structs.replace(closed, steps_gained=gained, steps_lost=ending.lost(step, at))
