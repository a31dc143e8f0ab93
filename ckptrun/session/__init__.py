"""ONE START OF `ckptrun train`, FROM BEGINNING TO END. Read this first; it is a table of contents.

scene         what stays the same: who asks, for which run, where
waiting       getting the lease, and a stop that comes before the script is started
resuming      which checkpoint to continue from
attempt       number, directories, environment, what will be started
task          which task of an array this is, and its values (pure)
environment   the variables and templates (pure)
group         several tasks of one attempt, on one or many nodes: leading, following
ground        what the supervisor needs from the run while the attempt lives
scheduler     why we are stopped, and being started again
keeping       retention: what is removed while it runs and at its end (pruning, thinning, permission, forgetting do it for `prune`, too)
backing       backups while it runs and at its end, fetched back where there is nothing (helper: the process that does it)
copies        earlier versions of a file that is rewritten in place
ending        was it complete, what is safe, what to tell
sealing       checksums of what the script wrote in its own way
plan          --dry-run
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ckptrun import errors, names
from ckptrun.mounts import data as mounts
from ckptrun.policy import restart, start
from ckptrun.runs import control, ledger, paths, provenance, records
from ckptrun.session import attempt as attempts
from ckptrun.session import ending, group, resuming, scheduler, waiting
from ckptrun.session.attempt import Chosen
from ckptrun.session.leftovers import close_leftovers
from ckptrun.session.scene import Scene, open_scene
from ckptrun.session.scheduler import SELF, Finish
from ckptrun.supervise import loop
from ckptrun.supervise.signals import Intake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ckptrun.config import Config
    from ckptrun.model import AttemptRecord
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.records import RunRecord
    from ckptrun.session.ending import Result


def train(
    config: Config,
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: str,
    clock: Callable[[], float],
    verbosity: int = 0,
    json_out: bool = False,
) -> int:
    """Run a command as the next attempt of its run, and say with which code ckptrun ends.

    Raises:
        CkptrunError: whatever forbids the start; nothing has been started then.
    """
    with Intake() as intake:
        scene = open_scene(config, command, environ=environ, cwd=cwd, clock=clock, verbosity=verbosity, json_out=json_out)
        if scene.group is not None and scene.group.rank:
            from ckptrun.session.group import following  # noqa: PLC0415  # one task is the rule

            return following.follow(scene, intake)
        try:
            scene.place.begin()
            return scheduler.restart(scene, _led(scene, intake))
        finally:
            scene.place.close()


def dry_run(
    config: Config,
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: str,
    clock: Callable[[], float],
    verbosity: int = 0,
    json_out: bool = False,
) -> int:
    """Print what `train` would do. Writes nothing, starts nothing, takes no lease."""
    from ckptrun.session import plan  # noqa: PLC0415  # not on the launch path

    scene = open_scene(config, command, environ=environ, cwd=cwd, clock=clock, verbosity=verbosity, json_out=json_out)
    if scene.group is not None and scene.group.rank:
        return names.EXIT_OK  # the first task speaks for all
    try:
        scene.place.begin()
        return plan.show(scene)
    finally:
        scene.place.close()


def _led(scene: Scene, intake: Intake) -> Finish:
    """This start from the first task to the last, where there are several; each ends with the same code."""
    lead = group.lead(scene, intake)
    try:
        early = None if lead.gather() else waiting.stopped_before_start(scene, intake)
        finish = early or _leased(scene, intake, lead)
    except errors.CkptrunError as error:
        lead.over(error.exit_code)
        raise
    lead.over(finish.code)
    return finish


def _leased(scene: Scene, intake: Intake, lead: group.Alone) -> Finish:
    """All attempts of this start, while the run is ours."""
    paths.create(scene.paths)
    held = waiting.acquire(scene, intake, lead)
    if isinstance(held, Finish):
        return held
    try:
        return _attempts(scene, held, intake, lead)
    finally:
        _release(scene, held)


def _release(scene: Scene, held: Lease) -> None:
    """Give the run back. A full disk must not turn "start me again" into another code: the lock is gone either way."""
    try:
        held.release()
    except errors.IoFailure as error:
        scene.say(f"warning: the lease could not be given back: {error.message}", level=-1)


def _attempts(scene: Scene, held: Lease, intake: Intake, lead: group.Alone) -> Finish:
    """Attempt after attempt, as long as this process is the one that restarts."""
    first = True
    while True:
        history = close_leftovers(scene, held)
        recorded = records.read_run(scene.paths)
        once = first and not _comes_again(scene, history)
        decision = _admit(scene, history, recorded, first=first, once=once)
        if decision.done:
            return Finish(code=_already_complete(scene, history, decision.done))
        if scene.config.backup_to:
            _fetch(scene, held, intake, once=once)
        plan = resuming.choose(scene, once=once, parent=recorded.parent if recorded else "")
        mounted = mounts.plan(scene.config.data, root=scene.config.root, cwd=scene.caller)
        run = attempts.run_record(scene, recorded, fresh=once and scene.config.fresh)
        if early := waiting.stopped_before_start(scene, intake):
            return early
        chosen = Chosen(
            decision=decision, plan=plan, recorded=recorded, run=run, history=history, mounts=mounted, ranks=lead.ranks()
        )
        result = _one_attempt(scene, held, intake, lead, chosen)
        verdict = restart.again(
            [*history, result.record],
            max_failures=scene.config.max_failures,
            by_self=scene.config.restart_by == SELF,
            jitter=os.urandom(1)[0] / 255,
        )
        if scene.config.restart_by != SELF or not verdict.restart:
            if scene.config.backup_to:
                _back_up(scene, held, intake, result)
            return _end(scene, result, verdict, history)
        scene.say(f"attempt {result.record.attempt} {result.verdict.outcome}: {result.verdict.why}; {verdict.why}", level=-1)
        scene.say(f"starting again in {verdict.delay:.0f} s")
        if _pause(held, intake, lead, verdict.delay) and (early := waiting.stopped_before_start(scene, intake)):
            return early
        first = False


def _fetch(scene: Scene, held: Lease, intake: Intake, *, once: bool) -> None:
    """Put the newest backup back, where this machine has nothing of the run."""
    from ckptrun.session import backing  # noqa: PLC0415  # only where it was asked for

    backing.fetch(scene, held, intake, once=once)


def _back_up(scene: Scene, held: Lease, intake: Intake, result: Result) -> None:
    """Send the newest checkpoint to where it outlives this machine."""
    from ckptrun.session import backing  # noqa: PLC0415  # as above

    book = ledger.Ledger(scene.paths.ledger, held.require, scene.clock, result.record.attempt)
    backing.at_the_end(scene, held, intake, result.ended, book.append)
    book.close()


def _pause(held: Lease, intake: Intake, lead: group.Alone, seconds: float) -> bool:
    """Wait before the next attempt, and show everybody that we live; True when a signal came."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not held.beat():
            held.require()
        lead.sleep(0.0)
        if intake.wait(min(left, names.HEARTBEAT_SECONDS)):
            return True
    return False


def _comes_again(scene: Scene, history: Sequence[AttemptRecord]) -> bool:
    """Whether the scheduler restarts a job that has had an attempt: the same command line, whose --fresh was obeyed already."""
    job = scene.job
    return job.automatic and job.restart > 0 and any(record.job == job.job for record in history)


def _admit(
    scene: Scene, history: Sequence[AttemptRecord], recorded: RunRecord | None, *, first: bool, once: bool
) -> start.Decision:
    """May this start go ahead? Options that reopen a run count `once`: not for later attempts of a call or a job."""
    stopped = control.stopped(scene.paths)
    asked = start.Asked(
        run=scene.run,
        command=scene.command,
        commit=provenance.commit(scene.cwd),
        script_digest=attempts.script_digest(scene),
        sweep=attempts.sweep_of(scene),
        automatic=scene.job.automatic or not first,
        again=once and scene.config.again,
        changed=scene.config.changed,
        fresh=once and scene.config.fresh,
        max_failures=scene.config.max_failures,
    )
    return start.decide(asked, history, attempts.recorded_of(recorded), _stop_sentence(stopped))


def _stop_sentence(mark: control.Stopped | None) -> str:
    if mark is None:
        return ""
    return f"stopped by {mark.by}{f' at {mark.when}' if mark.when else ''}{f': {mark.reason}' if mark.reason else ''}"


def _one_attempt(scene: Scene, held: Lease, intake: Intake, lead: group.Alone, chosen: Chosen) -> Result:
    """Number, prepare, run, judge, record."""
    number = held.next_attempt()
    where = paths.new_attempt(scene.paths, number)
    begun = attempts.begin(scene, chosen, number, where)
    try:
        held.take(number, begun.record.attempt_id)
        book = ledger.Ledger(scene.paths.ledger, held.require, scene.clock, number)
        attempts.write_beginning(scene, begun, book, held)
        lead.start(begun)
        try:
            ended = loop.run(begun.spec, lead.ground(held, book, begun), intake)
        except (errors.UsageError, errors.IoFailure) as error:
            ending.never_started(scene, where, begun.record, book, error)
            raise
        if ended.lease_lost:
            held.require()
            raise errors.LeaseLost(
                f"run {scene.run} was taken over while this attempt was suspended: it writes nothing more"
            )
        ended, tasks, blamed = lead.settle(ended)
        record = replace(begun.record, tasks=tasks, blamed=blamed.node if blamed else "")
        result = ending.judge(scene, record, where, ended, intake, blamed)
        ending.write(scene, where, result, book)
        if scene.config.retains:
            _keep(scene, held, book)
        book.close()
        if result.verdict.outcome == names.STOPPED_BY_USER:
            scheduler.mark_cancelled(scene, scene.place.why_stopped(), number)
        return result
    finally:
        ending.remove_local(begun.spec.local_dir)


def _keep(scene: Scene, held: Lease, book: ledger.Ledger) -> None:
    """Remove what the settings do not keep."""
    from ckptrun.session import keeping  # noqa: PLC0415  # only where it was asked for

    keeping.at_the_end(scene, held, book)


def _already_complete(scene: Scene, history: Sequence[AttemptRecord], why: str) -> int:
    scene.say(why)
    if scene.json_out:
        ending.print_document(ending.document(scene.run, history[-1], code=names.EXIT_OK))
    return names.EXIT_OK


def _end(scene: Scene, result: Result, verdict: restart.Again, history: Sequence[AttemptRecord]) -> Finish:
    code = names.EXIT_DO_NOT_RESTART if verdict.spent else result.verdict.exit_code
    scheduled = verdict.restart and scheduler.who_restarts(scene) == scheduler.SCHEDULER
    scene.say(ending.sentence(scene.run, result, code=code, scheduled=scheduled), level=-1 if code else 0)
    if verdict.spent:
        scene.say(f"not to be started again by itself: {verdict.why}", level=-1)
    if scene.json_out:
        ending.print_document(ending.document(scene.run, result.record, code=code))
    if result.foreign and scene.config.seal != "off":
        from ckptrun.session import sealing  # noqa: PLC0415  # not before the script has ended, and not for those of ours

        sealing.at_the_end(scene, result.foreign, comes_back=verdict.restart)
    return scheduler.finish(scene, code, wanted=verdict.restart, history=[*history, result.record])


__all__ = ["dry_run", "train"]
