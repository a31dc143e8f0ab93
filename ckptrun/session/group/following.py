"""Task 1, 2, … of several: starts the command when the leader says so, passes on what it asks, says how it went.

A follower holds no lease and writes nothing into the run but its own log and its report: what it is told comes from the leader.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors
from ckptrun.runs import group as files
from ckptrun.session import attempt as attempts
from ckptrun.session import ending, environment
from ckptrun.session.group import meeting
from ckptrun.session.group.grounds import FollowerGround
from ckptrun.supervise import loop, strays
from ckptrun.supervise.state import ALONE_SECONDS

if TYPE_CHECKING:
    from ckptrun.runs.group import Order, Report
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.signals import Intake
    from ckptrun.supervise.spec import Spec

BEAT_SECONDS = 1.0  # between two looks at what the leader asks
LOST_SECONDS = 180.0  # between two attempts, a leader that shows no sign of life for so long is gone
_LOOK = 0.1


def follow(scene: Scene, intake: Intake) -> int:
    """Do the leader's bidding until it says that it is over; the code that it says.

    Raises:
        CkptrunError: the directory is not the same for all, the leader is gone, or the command cannot be started.
    """
    follower = Follower(scene, intake)
    try:
        return follower.obey()
    except errors.CkptrunError as error:
        follower.leave(error.message)
        raise
    finally:
        follower.leave("")


class Follower:
    """One task's side of a start."""

    def __init__(self, scene: Scene, intake: Intake) -> None:
        self._scene, self._intake = scene, intake
        self.files = files.Files(scene.paths, scene.group)
        self.report: Report = meeting.report_of(scene)
        self._left = False

    def obey(self) -> int:
        """Order after order."""
        self.files.make()
        self.say()
        self._find_the_leader()
        number = 0
        while True:
            order = self._next_order(number)
            if order is None:
                return self._scene.config.preempt_exit_code
            if order.over:
                return order.code
            number = order.number
            if self._attempt(order):
                return self._scene.config.preempt_exit_code

    def say(self, **fields: Any) -> None:
        """Tell the leader about us."""
        self.report = msgspec.structs.replace(self.report, beats=self.report.beats + 1, **fields)
        self.files.say(self.report)

    def leave(self, why: str) -> None:
        """The last word; what cannot be written is missed by nobody for long."""
        if self._left:
            return
        self._left = True
        try:
            if os.path.isdir(self.files.dir):
                self.say(state=files.GONE, why=why or self.report.why)
        except errors.CkptrunError:
            pass

    # --- waiting -------------------------------------------------------------------------------------------------------------
    def _find_the_leader(self) -> None:
        begun, patience = time.monotonic(), meeting.patience(self._scene)
        while self.files.hear(0) is None and not self._intake.pending:
            if time.monotonic() - begun > patience:
                self.files.unmake()
                self._left = True
                raise meeting.not_shared(self._scene, "its first task did not appear there", patience)
            self._intake.wait(_LOOK)
            self.files.look_afresh()

    def _next_order(self, after: int) -> Order | None:
        """The order after that one; None = a signal came and the leader says nothing of it.

        Raises:
            errors.IoFailure: the leader is gone.
        """
        seen, changed, signalled = None, time.monotonic(), None
        while True:
            order = self.files.ordered()
            if order is not None and (order.over or order.number > after):
                return order
            leader = self.files.hear(0)
            now = time.monotonic()
            if leader != seen:
                seen, changed = leader, now
            if self._intake.take() and signalled is None:
                signalled = now
            if signalled is not None and now - signalled > ALONE_SECONDS:
                return None
            if now - changed > LOST_SECONDS:
                raise errors.IoFailure(
                    f"the first task of run {self._scene.run} is gone: it said nothing for {LOST_SECONDS:.0f} s",
                    f"ckptrun status {self._scene.run}",
                )
            self._intake.wait(_LOOK) if signalled is None else time.sleep(_LOOK)

    # --- an attempt ------------------------------------------------------------------------------------------------------------
    def _attempt(self, order: Order) -> bool:
        """One start of the command; True = it was stopped without a word from the leader, which is gone."""
        scene = self._scene
        self._end_strays(order)
        local = attempts.local_directory(scene.environ)
        try:
            spec = self._spec(order, local)
            self.say(
                number=order.number, state=files.RUNNING, child_exit=None, child_signal=None, ended=None, step=None, news=[]
            )
            ground = FollowerGround(self, scene, order, local)
            ended = loop.run(spec, ground, self._intake)
        finally:
            ending.remove_local(local)
        self.say(state=files.ENDED, child_exit=ended.child_exit, child_signal=ended.child_signal, ended=self._scene.clock())
        return ground.alone(ended)

    def _spec(self, order: Order, local: str) -> Spec:
        scene = self._scene
        ours = {"local_dir": local, "programs": attempts.install(scene, local), "python": sys.executable}
        given = msgspec.convert({**order.given, **ours}, environment.Given)
        argv = environment.command_of(scene.command, scene.config.on_resume, given)
        where = scene.paths.attempt(order.attempt)
        spec = attempts.spec_of(scene, given, argv, where, [])
        folder = where.task(scene.group.rank)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        return msgspec.structs.replace(
            spec,
            attempt_dir=folder,
            follows=True,
            beat=BEAT_SECONDS,
            stall_timeout=None,  # silence is judged where rank 0 may be: by the leader
            label=scene.label,
            verbosity=scene.verbosity,
        )

    def _end_strays(self, order: Order) -> None:
        """What earlier attempts left behind on this machine."""
        if not order.ended:
            return
        me = self._scene.me
        ended, reported = strays.end_strays(self._scene.paths.dir, order.ended, uid=me.uid, own_pid=me.pid)
        for line in (*ended, *reported):
            self._scene.say(f"left behind by an earlier attempt: {line}", level=-1)
