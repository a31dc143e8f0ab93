"""Before anything runs: getting the lease, at once or (`--if-held wait`) when whoever has it lets go, and a stop that comes meanwhile."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from ckptrun import errors, names, units
from ckptrun.runs import control, lease
from ckptrun.session import scheduler

if TYPE_CHECKING:
    from ckptrun.runs.lease import Lease
    from ckptrun.session.group import Alone
    from ckptrun.session.scene import Scene
    from ckptrun.session.scheduler import Finish
    from ckptrun.supervise.signals import Intake

WAIT = "wait"
_STOP_SIGNALS = {1: names.EXIT_AGAIN, 2: names.EXIT_INTERRUPTED, 10: names.EXIT_AGAIN, 15: names.EXIT_AGAIN}
_LOOK_SECONDS = 1.0  # between two tries to get the lease
_LOOK_SECONDS_JOB = 10.0  # where each try asks the scheduler about the holder's job


class _Asked(Exception):
    """A signal that stops us came while we slept."""


def acquire(scene: Scene, intake: Intake, lead: Alone) -> Lease | Finish:
    """The lease; or how it ends, because a stop or the platform's end came before we had it.

    Raises:
        errors.Leased: somebody holds the run, and this start does not wait.
        errors.DoNotRestart: the run was stopped by its user while this start waited for it.
    """
    before, told = control.stopped(scene.paths), ""
    while True:
        try:
            held = _try(scene, intake, lead, level=1 if told else -1)
            return _unless_stopped(scene, held, before) if told else held
        except errors.Leased as error:
            if scene.config.if_held != WAIT:
                raise
            _refuse_stopped(scene, before)
            told = _tell(scene, error, told)
        except _Asked:
            pass
        lead.sleep(0.0)  # the tasks that we lead hear that we live
        if early := _rest(scene, intake):
            return early


def stopped_before_start(scene: Scene, intake: Intake) -> Finish | None:
    """How it ends when a stop came while we were starting; None = none came."""
    came = [number for number in intake.pending if number in _STOP_SIGNALS]
    if not came:
        return None
    scene.place.signalled()
    code = scene.config.preempt_exit_code if _STOP_SIGNALS[came[0]] == names.EXIT_AGAIN else _STOP_SIGNALS[came[0]]
    scene.say(f"asked to stop (signal {came[0]}) before the script was started: nothing was run [exit {code}]", level=-1)
    return scheduler.finish(scene, code, wanted=code != names.EXIT_INTERRUPTED)


def _try(scene: Scene, intake: Intake, lead: Alone, *, level: int) -> Lease:
    def sleep(seconds: float) -> None:
        lead.sleep(0.0)
        if _sleep(intake, seconds):
            raise _Asked

    return lease.acquire(
        scene.paths,
        scene.me,
        scene.job,
        clock=scene.clock,
        monotonic=time.monotonic,
        sleep=sleep,
        tell=lambda text: scene.say(text, level=level),
        is_over=scene.place.is_over,
    )


def _unless_stopped(scene: Scene, held: Lease, before: control.Stopped | None) -> Lease:
    try:
        _refuse_stopped(scene, before)
    except errors.CkptrunError:
        held.release()
        raise
    return held


def _refuse_stopped(scene: Scene, before: control.Stopped | None) -> None:
    """A stop of the run is meant for whoever waits for it, too: it came later than this start."""
    mark = control.stopped(scene.paths)
    if mark is not None and mark != before:
        raise errors.DoNotRestart(
            f"run {scene.run} is not started: while this start waited for it, it was {mark.sentence()}",
            "start it again to go on",
        )


def _tell(scene: Scene, error: errors.Leased, told: str) -> str:
    """Say who has it, once for each holder; what was said."""
    holder = lease.read_holder(scene.paths)
    who = holder.attempt_id if holder and holder.attempt_id else "?"
    if who != told:
        end, whose = scene.place.end_time()
        until = "" if end is None else f", for {units.duration(max(0.0, end - scene.clock()))} at most ({whose})"
        scene.say(f"{error.message}; waiting until it is free{until}", level=-1)
    return who


def _rest(scene: Scene, intake: Intake) -> Finish | None:
    """Wait a little; how it ends, if a stop comes, or the end that the platform has set."""
    holder = lease.read_holder(scene.paths)
    pause = _LOOK_SECONDS_JOB if holder is not None and holder.job else _LOOK_SECONDS
    end, whose = scene.place.end_time()
    left = None if end is None else end - names.BOOKKEEPING_SECONDS - scene.clock()
    if _sleep(intake, pause if left is None else max(0.0, min(pause, left))):
        return stopped_before_start(scene, intake)
    if left is None or left > pause:
        return None
    code = scene.config.preempt_exit_code
    scene.say(f"{whose} has come before run {scene.run} was free: nothing was run [exit {code}]", level=-1)
    return scheduler.finish(scene, code, wanted=True)


def _sleep(intake: Intake, seconds: float) -> bool:
    """Sleep; True as soon as a signal asks us to stop. Nothing runs yet that any other signal could be about, but Ctrl-Z."""
    until = time.monotonic() + seconds
    while True:
        came = intake.take()
        asked = [number for number in came if number in _STOP_SIGNALS]
        intake.pending.extend(asked)
        if signal.SIGTSTP in came:
            os.kill(os.getpid(), signal.SIGSTOP)
        left = until - time.monotonic()
        if asked or left <= 0:
            return bool(asked)
        intake.wait(left)
