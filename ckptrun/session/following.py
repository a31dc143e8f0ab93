"""Task 1, 2, … of several: starts the command when the leader says so, passes on what it asks, says how it went.

A follower holds no lease and writes nothing into the run but its own log and its report: what it is told comes from the leader.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names
from ckptrun.model import Request
from ckptrun.policy import group as policy
from ckptrun.runs import control, holder
from ckptrun.runs import group as files
from ckptrun.session import attempt as attempts
from ckptrun.session import ending, environment
from ckptrun.session import leading as leaders
from ckptrun.session.ground import Ground
from ckptrun.supervise import events as ev
from ckptrun.supervise import loop, strays
from ckptrun.supervise.state import ALONE_SECONDS

if TYPE_CHECKING:
    from ckptrun.model import Ended
    from ckptrun.runs.group import Order, Report
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.signals import Intake
    from ckptrun.supervise.spec import Spec

BEAT_SECONDS = 1.0  # between two looks at what the leader asks
REPORT_SECONDS = 5.0
LOST_SECONDS = 180.0  # between two attempts, a leader that shows no sign of life for so long is gone
_LOOK = 0.1
_NEWS = 64  # that are kept in a report
_KEPT = ("checkpoint", "late", "delivered", "ending", "trouble", "save_failed", "signal", "strays", "requeue_asked")


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
        self.report: Report = leaders.report_of(scene)
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
        begun, patience = time.monotonic(), leaders.gather_seconds(self._scene)
        while self.files.hear(0) is None and not self._intake.pending:
            if time.monotonic() - begun > patience:
                self.files.unmake()
                self._left = True
                raise leaders.not_shared(self._scene, "its first task did not appear there", patience)
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


class FollowerGround(Ground):
    """The ground under a follower: what the leader says is law."""

    def __init__(self, follower: Follower, scene: Scene, order: Order, local_dir: str) -> None:
        self._scene, self._follower, self._order = scene, follower, order
        self._local_dir, self._attempt = local_dir, order.attempt
        self.troubles: list[str] = []
        self._asked: Request | None = None
        self._leaders = ""  # the id of what the leader asked last
        self._unasked = False
        self._news: list[files.News] = []
        self._count = 0
        self._progress: dict[str, Any] = {}
        self._told_at = self._leader_at = time.monotonic()
        self._heartbeat = ""
        self._leader_gone = False

    def alone(self, ended: Ended) -> bool:
        """Whether a stop was asked for, and not by the leader."""
        return any(request.action != names.SAVE and request.id != self._leaders for request in ended.requests)

    def beat(self) -> bool:
        """Show that we live; False when the run is no longer this attempt's."""
        now = time.monotonic()
        if now - self._told_at >= REPORT_SECONDS:
            self._told_at = now
            self._keep_local()
            self._try("control/group", lambda: self._follower.say(**self._progress))
        try:
            held = holder.read_holder(self._scene.paths)
        except errors.CkptrunError as error:
            self._trouble(error.message)
            return True
        if held is not None and held.heartbeat != self._heartbeat:
            self._heartbeat, self._leader_at = held.heartbeat, now
        return held is not None and held.attempt_id == self._order.attempt_id and held.state == holder.HELD

    def inbox(self) -> list[Request]:
        """What the leader asks, if that has changed."""
        try:
            order = self._follower.files.ordered()
        except errors.CkptrunError as error:
            self._trouble(error.message)
            return []
        if order is None:
            return []
        if order.over or order.number != self._order.number:
            self._leaders = "end"
            return self._changed(
                Request(id="end", attempt=self._attempt, action=names.STOP_NOW, reason="the attempt is over")
            )
        if order.request is None and time.monotonic() - self._leader_at > names.DEAD_AFTER_SECONDS:
            reason = "the first task of this attempt is gone"
            cause = names.PREEMPTED
            return self._changed(
                Request(id="alone", attempt=self._attempt, action=names.SAVE_AND_STOP, reason=reason, cause=cause)
            )
        self._leaders = order.request.id if order.request is not None else self._leaders
        return self._changed(order.request)

    def _changed(self, request: Request | None) -> list[Request]:
        before, self._asked = self._asked, request
        self._unasked = request is None and before is not None
        same = before is not None and request is not None and _asks(before) == _asks(request)
        return [] if same or request is None else [request]

    def news(self) -> list[ev.Event]:
        """That nothing is asked any more."""
        return [ev.Unasked()] if self._unasked else []

    def record(self, event: str, **fields: Any) -> None:
        """What the leader writes into the ledger for us, at once."""
        if event not in _KEPT or fields.get("found"):  # the leader finds checkpoints by itself
            return
        self._count += 1
        self._news = [*self._news, files.News(count=self._count, event=event, fields=fields)][-_NEWS:]
        self._try("control/group", lambda: self._follower.say(news=self._news, **self._progress))

    def progress(self, fields: dict[str, Any]) -> None:
        """How far our ranks are: told with the next report."""
        self._progress = {key: fields[key] for key in ("step", "total", "epoch") if key in fields}

    def pass_on(self, action: str, reason: str, cause: str) -> None:
        """Tell the leader of a signal that only we have got."""
        scene = self._scene
        rank = scene.group.rank
        whose = policy.who(_task(rank, scene))
        where = f"{reason} ({whose})" if reason == names.BY_SCRIPT else f"{reason} to {whose}"
        request = Request(
            id=f"signal-{rank}-{self._count}",
            attempt=self._attempt,
            action=action,
            cause=cause,
            reason=where,
            created=self.clock(),
            by=f"{scene.me.host}:{scene.me.pid}",
        )
        self._try("control/inbox", lambda: control.post(scene.paths, request))

    # --- what is the leader's business -------------------------------------------------------------------------------------------
    def publish(self, request: Request | None) -> None:
        """Our own request file is all there is here."""

    def answer(self, request_id: str, ok: bool, text: str, checkpoint: str) -> None:  # noqa: FBT001  # as Ground has it
        """Who asked is told by the leader."""

    def mark_stopped(self, by: str) -> None:
        """The leader does."""

    def end_time(self) -> tuple[float | None, str]:
        """The leader gives notice of it."""
        return None, ""


def _asks(request: Request) -> tuple[Any, ...]:
    return request.id, request.action, request.deadline, request.at_step


def _task(rank: int, scene: Scene) -> Any:
    from ckptrun.model import TaskRecord  # noqa: PLC0415  # for a sentence

    return TaskRecord(rank=rank, node=scene.job.node or scene.me.host)
