"""After the command has ended: was it complete, what was saved, what was gained and lost, and is it told to everybody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names
from ckptrun.model import AttemptRecord, Checkpoint, Ended, Learned, Noun, TaskRecord, Verdict
from ckptrun.policy import restart
from ckptrun.runs import durable, records
from ckptrun.session import scene as scenes
from ckptrun.session import scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.config import Config
    from ckptrun.runs.ledger import Ledger
    from ckptrun.runs.paths import AttemptPaths
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.signals import Intake

REMEMBERED = 32  # durations from that many attempts are learned from


class Result(Noun, frozen=True, kw_only=True):
    """One attempt, judged."""

    ended: Ended
    verdict: Verdict
    newest: Checkpoint | None  # newest complete checkpoint of the run now
    saved: list[str]  # names of the complete checkpoints this attempt wrote
    foreign: list[Checkpoint] = []  # complete checkpoints of the run in other layouts than ours
    record: AttemptRecord


def judge(
    scene: Scene, record: AttemptRecord, where: AttemptPaths, ended: Ended, intake: Intake, blamed: TaskRecord | None = None
) -> Result:
    """Say how the attempt ended, from what the supervisor saw and what lies on disk. `blamed`: the task of several that failed first."""
    found = scenes.checkpoints(scene)
    complete = [item for item in found if item.state == names.COMPLETE]
    newest = complete[-1] if complete else None
    proof = proof_of_completion(scene.config, where, ended, newest, scene.cwd)
    codes = restart.Codes(
        preempt_exit_code=scene.config.preempt_exit_code, child_preempt_code=scene.config.child_preempt_code
    )
    late = not proof and ended.child_exit == 0 and not ended.requests and _late_notice(intake)
    if late:
        scene.place.signalled()
    ended = scheduler.explained(ended, scene.place.why_stopped(), late=late)
    verdict = restart.judge(ended, proof=proof, codes=codes, late_notice=late)
    if blamed is not None and verdict.outcome in restart.COUNTED:
        from ckptrun.policy import group  # noqa: PLC0415  # one task is the rule

        verdict = msgspec.structs.replace(verdict, why=f"{verdict.why} ({group.who(blamed)} failed first)")
    saved = [item.name for item in complete if item.attempt == record.attempt and item.place != names.COPIES]
    record = _closed(scene, record, ended, verdict, newest, saved)
    foreign = [item for item in complete if item.layout != "own" and item.place != names.COPIES]
    return Result(ended=ended, verdict=verdict, newest=newest, saved=saved, foreign=foreign, record=record)


def _late_notice(intake: Intake) -> bool:
    """Whether a notice comes just after an exit 0: whoever stops a job may reach the child before us."""
    stops = {1, 2, 10, 12, 15}
    before = set(intake.take())
    if before & stops:
        return True
    return intake.wait(restart.LATE_NOTICE_SECONDS) and bool(set(intake.take()) & stops)


def proof_of_completion(config: Config, where: AttemptPaths, ended: Ended, newest: Checkpoint | None, cwd: str) -> str:
    """What proves that the training is complete, in words; "" = nothing does."""
    if ended.done or os.path.lexists(where.done):
        return "the script said that it is done"
    wanted = config.done_when
    if wanted is None:
        return ""
    if wanted.kind == "file":
        there = os.path.exists(os.path.join(cwd, wanted.path))
        return f"--done-when {wanted}: it exists" if there else ""
    reached = _reached(wanted.kind, ended, newest)
    return (
        f"--done-when {wanted}: {wanted.kind} {reached:g} reached"
        if reached is not None and reached >= wanted.number
        else ""
    )


def _reached(what: str, ended: Ended, newest: Checkpoint | None) -> float | None:
    """The furthest step or epoch that is known: heard of, or in the newest checkpoint."""
    heard = ended.step if what == "step" else ended.epoch
    stored = None if newest is None else (newest.step if what == "step" else newest.epoch)
    known = [float(value) for value in (heard, stored) if value is not None]
    return max(known) if known else None


def _closed(
    scene: Scene, record: AttemptRecord, ended: Ended, verdict: Verdict, newest: Checkpoint | None, saved: list[str]
) -> AttemptRecord:
    at = None if newest is None else newest.step
    heard = [ended.step, at if newest is not None and newest.attempt == record.attempt else None]  # messages may be dropped
    last = max((step for step in heard if step is not None), default=None)
    return msgspec.structs.replace(
        record,
        ended=records.now_text(scene.clock()),
        outcome=verdict.outcome,
        proved=verdict.proved,
        why=verdict.why,
        child_exit=ended.child_exit,
        child_signal=ended.child_signal,
        exit_code=verdict.exit_code,
        request=ended.requests[-1].id if ended.requests else "",
        notice=ended.requests[0].reason if ended.requests else "",
        last_step=last,
        steps_gained=gained(record.resumed_step, at, saved),
        steps_lost=lost(last, at),
        checkpoints=saved,
        saves=ended.saves[-REMEMBERED:],
        learned=ended.learned,
    )


def gained(resumed: int | None, newest: int | None, saved: Sequence[str]) -> int | None:
    """Steps that are safe now and were not before; None when steps are not known."""
    if newest is None:
        return 0 if not saved else None
    return max(0, newest - resumed) if resumed is not None else newest


def lost(last: int | None, newest: int | None) -> int | None:
    """Steps that were done and are in no checkpoint; None when steps are not known."""
    return max(0, last - newest) if last is not None and newest is not None else None


def learned_from(history: Sequence[AttemptRecord]) -> Learned:
    """The slowest of what recent attempts measured: margins are made of the worst, not of the mean."""
    known = [record.learned for record in history[-REMEMBERED:] if record.learned is not None]

    def slowest(field: str) -> float | None:
        values = [getattr(item, field) for item in known if getattr(item, field) is not None]
        return max(values) if values else None

    return Learned(step=slowest("step"), save=slowest("save"), first_save=slowest("first_save"), exit=slowest("exit"))


def write(scene: Scene, where: AttemptPaths, result: Result, book: Ledger) -> None:
    """Make the end of the attempt durable: attempt.json, then the ledger. A full disk is said and does not change the outcome."""
    record = result.record
    fields: dict[str, Any] = {
        "outcome": record.outcome,
        "why": record.why,
        "child_exit": record.child_exit,
        "child_signal": record.child_signal,
        "last_step": record.last_step,
        "steps_gained": record.steps_gained,
        "steps_lost": record.steps_lost,
        "checkpoints": record.checkpoints,
        "strays": result.ended.strays,
        "notes": result.ended.notes,
    }
    if record.outcome == names.COMPLETED:
        fields["completion"] = "proved" if record.proved else "assumed"
    _try(scene, "attempt.json", lambda: records.write_attempt(where, record))
    _try(scene, "the ledger", lambda: book.append("attempt_ended", **fields))


def never_started(
    scene: Scene, where: AttemptPaths, record: AttemptRecord, book: Ledger, error: errors.CkptrunError
) -> None:
    """Close the record of an attempt whose command could not even be started, so that the next start need not guess."""
    closed = msgspec.structs.replace(
        record,
        ended=records.now_text(scene.clock()),
        outcome=names.FAILED,
        why=f"it could not be started: {error.message}",
        exit_code=error.exit_code,
    )
    _try(scene, "attempt.json", lambda: records.write_attempt(where, closed))
    _try(scene, "the ledger", lambda: book.append("attempt_ended", outcome=closed.outcome, why=closed.why))


def _try(scene: Scene, what: str, act: Callable[[], None]) -> None:
    try:
        act()
    except errors.IoFailure as error:
        scene.say(f"warning: {what} could not be written: {error.message}", level=-1)


def sentence(run: str, result: Result, *, code: int, scheduled: bool = False) -> str:
    """The last line that a user sees: outcome, why, what is safe, what to do unless it is `scheduled` to start again by itself."""
    record, verdict = result.record, result.verdict
    head = f"run {run}, attempt {record.attempt} {verdict.outcome.replace('_', ' ')}"
    if verdict.outcome == names.COMPLETED:
        kind = "" if verdict.proved else " (assumed; --again reopens it)"
        return f"{head}{kind}: {verdict.why}"
    return f"{head}: {verdict.why}. {_safe(result)}{'' if scheduled else _next(run, result, code)} [exit {code}]"


def _safe(result: Result) -> str:
    newest = result.newest
    if newest is None:
        return "NOTHING IS SAVED."
    what = f"Saved up to step {newest.step}" if newest.step is not None else f"Saved in {newest.name}"
    lost = result.record.steps_lost
    if not result.saved:
        what += ", by an earlier attempt; this one saved nothing"
    return f"{what}{f' ({lost} steps are lost)' if lost else ''}."


def _next(run: str, result: Result, code: int) -> str:
    goes_on = "it goes on from there" if result.newest is not None else "it begins again"
    if code == names.EXIT_DO_NOT_RESTART or result.verdict.outcome == names.STOPPED_BY_USER:
        return f" Start the same command again when you want it to go on: {goes_on}."
    if result.verdict.outcome in restart.COUNTED:
        return f" `ckptrun logs {run}` shows what it said; start the same command again: {goes_on}."
    return f" Start the same command again: {goes_on}."


def document(run: str, record: AttemptRecord, *, code: int) -> bytes:
    """The one document of `--json`."""
    return msgspec.json.encode(
        {
            "format": names.FORMAT,
            "run": run,
            "attempt": record.attempt,
            "outcome": record.outcome,
            "proved": record.proved,
            "exit_code": code,
            "child_exit": record.child_exit if record.child_signal is None else 128 + record.child_signal,
            "resumed_from": record.resumed_from or None,
            "resumed_step": record.resumed_step,
            "checkpoints": record.checkpoints,
            "last_step": record.last_step,
            "reason": record.why,
        }
    )


def print_document(document: bytes) -> None:
    """Put it on stdout, whole."""
    durable.write_all(1, document + b"\n")


def close_unfinished(scene: Scene, attempt: AttemptRecord, saved: list[str], progress_step: int | None) -> AttemptRecord:
    """The record of an attempt whose ckptrun ended without a word (kill -9, machine lost), closed by the start after it."""
    done = os.path.lexists(scene.paths.attempt(attempt.attempt).done)
    silent = "ckptrun was killed with -9, or the machine was lost"
    return msgspec.structs.replace(
        attempt,
        outcome=names.COMPLETED if done else names.KILLED,
        proved=done,
        why=f"the script said that it is done, then {silent}" if done else f"it ended without a word: {silent}",
        ended=records.now_text(scene.clock()),
        last_step=progress_step,
        checkpoints=saved,
    )


def remove_local(path: str) -> None:
    """Remove an attempt's node-local directory: ours, flat, holding the request file and the socket."""
    try:
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    except OSError:  # it is gone, or on another machine; a left-over costs an inode in /tmp
        pass
