"""Task 0 of several: gathers the others, tells them what to start and what is asked, hears how they fare, sends them home."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names
from ckptrun.model import Group, Request, TaskRecord
from ckptrun.policy import group as policy
from ckptrun.runs import group as files
from ckptrun.session import environment
from ckptrun.session.group import Alone, meeting
from ckptrun.session.group.grounds import LeaderGround
from ckptrun.session.group.others import Others

if TYPE_CHECKING:
    from ckptrun.model import Ended
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.ledger import Ledger
    from ckptrun.session.attempt import Begun
    from ckptrun.session.ground import Ground
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.signals import Intake

BEAT_SECONDS = 1.0  # between two rounds of looks at the other tasks
FAREWELL_SECONDS = 1.0


class Lead(Alone):
    """The leader's side of a start."""

    def __init__(self, scene: Scene, intake: Intake) -> None:
        super().__init__(scene)
        self._intake = intake
        self._group: Group = scene.group
        self._files = files.Files(scene.paths, self._group)
        self._me = meeting.report_of(scene)
        self.others = Others(self._files)
        self._beat = 0.0
        self._command_ended: float | None = None
        self._gathered = False

    # --- before an attempt -----------------------------------------------------------------------------------------------
    def gather(self) -> bool:
        """Return True when all tasks have been seen, False when a signal came meanwhile.

        Raises:
            errors.CannotCreate: some were not: the directory is not the same everywhere.
        """
        self._files.make()
        begun, patience = time.monotonic(), meeting.patience(self._scene)
        pause = 0.02
        self.beat()
        while missing := self.others.missing():
            waited = time.monotonic() - begun
            if waited > patience:
                who = f"of its {self._group.size} tasks, {meeting.listed(missing)} did not appear there"
                raise meeting.not_shared(self._scene, who, patience)
            if self._intake.wait(pause):
                return False
            pause = min(pause * 1.5, 0.5)
            if waited > 1.0:
                self._files.look_afresh()
            self.beat()
        self._gathered = True
        return True

    def sleep(self, seconds: float) -> None:
        """Wait, and let the others know that we live."""
        self.beat()
        time.sleep(seconds)

    def beat(self) -> None:
        """Show that we live, every ten seconds."""
        now = time.monotonic()
        if now - self._beat >= names.HEARTBEAT_SECONDS or not self._beat:
            self._beat = now
            self._me = msgspec.structs.replace(self._me, beats=self._me.beats + 1)
            self._files.say(self._me)

    def ranks(self) -> dict[str, str]:
        """Where ranks find each other: at a port of this machine that was free a moment ago."""
        import _socket  # noqa: PLC0415  # only where there are several tasks

        with_port = _socket.socket(_socket.AF_INET6 if _socket.has_ipv6 else _socket.AF_INET, _socket.SOCK_STREAM)
        try:
            with_port.bind(("", 0))
            port = int(with_port.getsockname()[1])
        finally:
            with_port.close()
        scene = self._scene
        return environment.rendezvous(self._group, scene.me.host, port, scene.run, scene.command, scene.environ)

    # --- an attempt --------------------------------------------------------------------------------------------------------
    def start(self, begun: Begun) -> None:
        """Have the others start the attempt."""
        self._command_ended = None
        self._files.sweep()
        history = begun.chosen.history
        given = msgspec.to_builtins(msgspec.structs.replace(begun.given, local_dir=""))
        order = files.Order(
            number=self.others.order.number + 1,
            attempt=begun.number,
            attempt_id=begun.record.attempt_id,
            given=given,
            ended={record.attempt_id: record.cgroup for record in history},
        )
        self.others.begin(order)
        self._files.order(order)

    def ground(self, held: Lease, book: Ledger, begun: Begun) -> Ground:
        """What the supervisor stands on."""
        return LeaderGround(self, self._scene, held, book, begun)

    def ask(self, request: Request | None) -> None:
        """Show the others what is asked, or that nothing is any more."""
        if request is not None and request.action != names.SAVE:
            self.others.stopping = True
        last = self.others.order.request
        if last is None or last.action != names.STOP_NOW:
            self._say(request=request)

    def end(self, why: str) -> None:
        """Have the others end their commands now."""
        others = self.others
        if others.ended_at < math.inf:
            return
        others.ended_at, others.stopping = time.monotonic(), True
        self._say(request=Request(id="end", attempt=others.order.attempt, action=names.STOP_NOW, reason=why))

    def _say(self, **fields: Any) -> None:
        order = self.others.order
        self.others.order = msgspec.structs.replace(order, beats=order.beats + 1, **fields)
        self._files.order(self.others.order)

    # --- after an attempt ----------------------------------------------------------------------------------------------------
    def settle(self, ended: Ended) -> tuple[Ended, list[TaskRecord], TaskRecord | None]:
        """How all of it ended, how each task did, and whose failure it is."""
        me = TaskRecord(
            rank=0,
            node=self._me.node or self._me.host,
            child_exit=ended.child_exit,
            child_signal=ended.child_signal,
            ended=self._command_ended,
        )
        tasks = [me, *self.others.records()]
        told, blamed = policy.account(ended, tasks)
        return told, tasks, blamed

    def command_ended(self, *, well: bool) -> None:
        """Our own command has ended: if not well, and unasked, the others' cannot go on."""
        self._command_ended = float(self._scene.clock())
        if not well and not self.others.stopping:
            self.end("the first task has failed")

    def over(self, code: int) -> None:
        """Tell the others that it is over, wait a moment until they know, and clear up."""
        try:
            self._say(over=True, code=code)
            until = time.monotonic() + FAREWELL_SECONDS
            while time.monotonic() < until and not self.others.have_left():
                time.sleep(0.02)
            self._files.remove()
            if not self._gathered:
                self._files.unmake()
        except errors.CkptrunError as error:  # they will see that we are gone
            self._scene.say(f"warning: the other tasks could not be told that it is over: {error.message}", level=-1)
