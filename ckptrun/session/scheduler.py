"""Being started again by a scheduler: why it stops us, and, as the very last act, having it start us again.

By then ledger, lease and logs are closed: the scheduler may end this process within milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ckptrun import names, units
from ckptrun.model import Noun, Request
from ckptrun.policy import nodes
from ckptrun.runs import control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import AttemptRecord, Ended
    from ckptrun.platforms.base import Why
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.spec import Spec

SELF, SCHEDULER, EXIT = "self", "scheduler", "exit"
FROM_OUTSIDE = ("SIGTERM", "SIGHUP", "SIGUSR1")


class Finish(Noun, frozen=True, kw_only=True):
    """How a start ends: with which code, and whether the run shall be started again (and not on which nodes)."""

    code: int
    again: bool = False
    exclude: str = ""


def who_restarts(scene: Scene) -> str:
    """Who starts the run again: self, scheduler or exit (whoever sees the exit code)."""
    return scene.config.restart_by or (SCHEDULER if scene.place.can_restart() else EXIT)


def too_short(spec: Spec) -> list[str]:
    """A sentence when the grace does not hold a step and a save, as they were measured."""
    step, save = spec.learned.step, spec.learned.save
    if save is None or (step or 0.0) + save <= spec.grace:
        return []
    needed, left = units.duration((step or 0.0) + save), units.duration(spec.grace)
    remedy = "save more often (--every), or make a save smaller"
    return [f"a step and a save took {needed}, and only {left} are left after a signal that comes unannounced: {remedy}"]


def explained(ended: Ended, why: Why | None, *, late: bool) -> Ended:
    """The attempt's requests with the platform's word for the signals that made them; a signal that came too `late` was one too."""
    if why is None:
        return ended
    requests = [_explained(request, why) for request in ended.requests]
    if late and why.cause:
        reason = f"a signal just after it ended: {why.sentence}"
        requests.append(Request(id="late", attempt=0, action=names.SAVE_AND_STOP, reason=reason, cause=why.cause))
    return replace(ended, requests=requests)


def from_outside(request: Request) -> bool:
    """Whether a signal made it: ours (`SIGTERM`), or another task's (`SIGTERM to task 2 on n3`)."""
    return request.reason.split(" ")[0] in FROM_OUTSIDE


def _explained(request: Request, why: Why) -> Request:
    if not from_outside(request) or request.cause != names.PREEMPTED:
        return request
    return replace(request, cause=why.cause or request.cause, reason=f"{request.reason}: {why.sentence}")


def mark_cancelled(scene: Scene, why: Why | None, attempt: int) -> None:
    """A job that was cancelled was stopped by a person: nothing but a person starts the run again."""
    if why is not None and why.cause == names.STOPPED_BY_USER:
        by = f"{scene.job.platform} job {scene.job.job}"
        control.mark_stopped(scene.paths, by=by, now=scene.clock(), attempt=attempt, reason=why.sentence)


def finish(scene: Scene, code: int, *, wanted: bool, history: Sequence[AttemptRecord] = ()) -> Finish:
    """What is left to do when an attempt is over. `wanted`: the run is not complete and may go on."""
    again = wanted and who_restarts(scene) == SCHEDULER
    exclude = ""
    if again:
        bad = nodes.bad(history)
        for node, reason in bad.items():
            scene.say(f"node {node} is left out from now on: {reason}", level=-1)
        exclude = ",".join(bad)
    return Finish(code=code, again=again, exclude=exclude)


def restart(scene: Scene, given: Finish) -> int:
    """Ask the scheduler to start the job again, if that is wanted; the exit code."""
    if given.again:
        asked = scene.config.restart_by == SCHEDULER
        done = scene.place.restart(given.code, insist=asked, exclude=given.exclude)
        if done.sentence:
            scene.say(done.sentence, level=0 if done.comes_back else -1)
    return given.code
