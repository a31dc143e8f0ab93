"""A new run that begins with a checkpoint of another: made beside its place, whole, and then given its name."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.backup import copying
from ckptrun.checkpoints import manifest, scan, verify
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun
from ckptrun.policy import branch as policy
from ckptrun.policy import resume
from ckptrun.runs import branches, durable, paths, records, unfinished
from ckptrun.runs.paths import RunPaths
from ckptrun.session.attempt import tracker_ids

if TYPE_CHECKING:
    from ckptrun.model import AttemptRecord, Checkpoint
    from ckptrun.runs.records import RunRecord


class Asked(Noun, frozen=True, kw_only=True):
    """What is branched from which checkpoint of which run."""

    parent: RunPaths
    checkpoint: Checkpoint
    run: RunPaths
    sets: tuple[str, ...] = ()
    command: list[str] = []  # [] = the parent's
    cwd: str = ""
    by: str = ""


class Made(Noun, frozen=True, kw_only=True):
    """What run.yaml says, and how the checkpoint's files came there: how many by reflink, link, copy."""

    record: RunRecord
    checkpoint: str
    how: dict[str, int] = {}


def plan(asked: Asked, now: float) -> RunRecord:
    """What run.yaml of the new run will say. Reads only.

    Raises:
        UsageError: the new run is there already, the parent has no command, or a `--set` is wrong.
        IoFailure: the checkpoint is not whole, or something cannot be read.
    """
    if os.path.lexists(asked.run.dir):
        raise _there(asked.run)
    item, recorded = asked.checkpoint, records.read_run(asked.parent)
    if recorded is None or not (recorded.command or asked.command):
        raise errors.UsageError(
            f"run {asked.parent.name} does not say with which command", "give one: ckptrun branch … -- COMMAND"
        )
    state, reason = verify.deep(item)
    if state != names.COMPLETE:
        raise errors.IoFailure(
            f"{item.name} is {state}: {reason}: {item.path}", f"`ckptrun ls {asked.parent.name}` lists the others"
        )
    saved = _saved_by(asked.parent, item)
    command, values = (saved.command, saved.sweep) if saved and saved.command else (recorded.command, recorded.sweep)
    chosen = policy.plan(asked.command or command, {} if asked.command else values, asked.sets, asked.cwd)
    return msgspec.structs.replace(
        recorded,
        version=names.VERSION,
        run=asked.run.name,
        created=records.now_text(now),
        command=chosen.command,
        sweep={},
        cwd=asked.cwd if asked.command else recorded.cwd,
        parent=f"{asked.parent.name}@{item.name}",
        overrides={**recorded.overrides, **policy.inherited(recorded.settings), **chosen.overrides},
        tracker_ids=tracker_ids(asked.run.name) if recorded.tracker_ids else {},
        settings={},
    )


def branch(asked: Asked, now: float) -> Made:
    """Make the run. Killed at any moment, it is there whole or not at all.

    Raises:
        UsageError, IoFailure: as `plan`; somebody else made it meanwhile.
        CannotCreate, IoFailure: it could not be written.
    """
    record = plan(asked, now)
    building = RunPaths(
        dir=os.path.join(os.path.dirname(asked.run.dir), f"{names.TMP_PREFIX}branch-{asked.run.name}-{os.urandom(4).hex()}")
    )
    unfinished.sweep(os.path.dirname(asked.run.dir), now)  # of branches that were killed
    note = ""
    done = False
    try:
        paths.create(building)
        records.write_run(building, record)
        where, how = _put(asked, building)
        _require_chosen(building, asked.checkpoint)
        note = branches.record(asked.parent, asked.checkpoint.path, asked.run, by=asked.by, now=now)
        _name(building, asked.run)
        done = True
    except OSError as error:
        raise durable.io_error(error, asked.run.dir) from error
    finally:
        if not done:
            _undo(building, note, asked.run)
    return Made(record=record, checkpoint=os.path.join(asked.run.checkpoints, where), how=how)


def _saved_by(parent: RunPaths, item: Checkpoint) -> AttemptRecord | None:
    """The record of the attempt that saved it, None where that is not known."""
    known = item.attempt is not None and item.attempt in paths.attempts(parent)
    return records.read_attempt(parent.attempt(item.attempt)) if known and item.attempt else None


def _put(asked: Asked, building: RunPaths) -> tuple[str, dict[str, int]]:
    """The checkpoint's files: where it is below checkpoints/, and how they came there.

    What ckptrun has committed is written once, so that another name for it is as good as a copy; a framework's file may be
    rewritten in place by the run that it belongs to, and is never linked.
    """
    item, own = asked.checkpoint, asked.checkpoint.layout == "own"
    how: dict[str, int] = {}
    for name in item.files:
        target = os.path.join(building.checkpoints, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if own and os.path.basename(name) == names.MANIFEST and name.count(os.sep) == 1:
            continue
        way = _put_file(os.path.join(item.directory, name), target, link=own)
        how[way] = how.get(way, 0) + 1
    if own:
        _write_manifest(asked, building)
    for directory, _, _ in os.walk(building.checkpoints):
        durable.fsync_dir(directory)
    return os.path.relpath(item.path, item.directory), how


def _put_file(source: str, target: str, *, link: bool) -> str:
    """Make `target`, which is not there, hold what `source` holds, durably; how."""
    old = copying.open_source(source)
    try:
        new = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            shared = copying.share(old, new)
            if link and not shared and copying.link(os.path.realpath(source), target):
                return copying.LINK
            if not shared:
                copying.copy(old, new, lambda _: None)
            os.fchmod(new, os.fstat(old).st_mode & 0o777)
            os.fsync(new)
        finally:
            os.close(new)
    finally:
        os.close(old)
    return copying.REFLINK if shared else copying.COPY


def _write_manifest(asked: Asked, building: RunPaths) -> None:
    """The same with another run's name: attempts of the new run are counted from 1 again, and none of them has saved this."""
    item = asked.checkpoint
    try:
        found = manifest.read(item.path)
    except Broken as broken:  # it was whole a moment ago
        raise errors.IoFailure(f"{item.name} is {broken.state}: {broken.reason}") from broken
    parent = os.path.relpath(item.path, asked.run.dir)
    changed = msgspec.structs.replace(found, run=asked.run.name, attempt=0, attempt_id="", request="", parent=parent)
    target = os.path.join(building.checkpoints, item.name, names.MANIFEST)
    durable.replace(target, manifest.encode(changed))
    shutil.copymode(os.path.join(item.path, names.MANIFEST), target)  # who may read the checkpoint may read what is in it


def _require_chosen(building: RunPaths, item: Checkpoint) -> None:
    """The first start will continue from it: it is seen, whole to its last byte, and nothing else is."""
    chosen = resume.decide(scan.scan_run(building.checkpoints, building.attempts)).chosen
    state, reason = verify.deep(chosen) if chosen else (names.UNKNOWN, "by itself it is not recognised as a checkpoint")
    if chosen is None or state != names.COMPLETE or chosen.step != item.step:
        raise errors.IoFailure(
            f"{item.name} cannot be branched from: {reason or 'by itself its step is not known'}: {item.path}",
            f"`ckptrun train --run NAME --from {item.path} …` begins with it where it is",
        )


def _name(building: RunPaths, run: RunPaths) -> None:
    try:
        os.rename(building.dir, run.dir)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise _there(run) from error
        raise
    paths.sync_parent(run.dir)


def _there(run: RunPaths) -> errors.UsageError:
    return errors.UsageError(
        f"run {run.name} is there already: {run.dir}", f"`ckptrun show {run.name}` tells of it; choose another name"
    )


def _undo(building: RunPaths, note: str, run: RunPaths) -> None:
    """As far as possible: what is left has no run's name."""
    shutil.rmtree(building.dir, ignore_errors=True)
    if note and not os.path.lexists(run.dir):
        try:
            os.unlink(note)
        except OSError:
            pass  # it names a run that is not there, and protects nothing


__all__ = ["Asked", "Made", "branch", "plan"]
