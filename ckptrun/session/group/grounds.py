"""What the supervisor stands on where there are several tasks: under the leader, and under those who follow."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from ckptrun import errors, names
from ckptrun.model import Request, TaskRecord
from ckptrun.policy import group as policy
from ckptrun.runs import control, holder
from ckptrun.runs import group as files
from ckptrun.session import scheduler
from ckptrun.session.ground import Ground
from ckptrun.supervise import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Ended
    from ckptrun.runs.group import Order
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.ledger import Ledger
    from ckptrun.session.attempt import Begun
    from ckptrun.session.group.others import Others
    from ckptrun.session.scene import Scene

_REPORT_SECONDS = 5.0
_LOOK_SECONDS = 2.0  # between two looks of a follower at the lease
_NEWS = 64  # that are kept in a report
_KEPT = ("checkpoint", "late", "delivered", "ending", "trouble", "save_failed", "signal", "strays", "requeue_asked")


class Leader(Protocol):
    """What a leader's ground needs of it; see `leading.Lead`."""

    others: Others

    def beat(self) -> None:
        """Show that we live."""

    def ask(self, request: Request | None) -> None:
        """Show the others what is asked."""

    def end(self, why: str) -> None:
        """Have the others end."""

    def command_ended(self, *, well: bool) -> None:
        """Our own command has ended."""


class LeaderGround(Ground):
    """The ground under a leader: everything that happens here is everybody's."""

    def __init__(self, lead: Leader, scene: Scene, held: Lease, book: Ledger, begun: Begun) -> None:
        super().__init__(scene, held, book, attempt=begun.number, started=begun.started, local_dir=begun.spec.local_dir)
        self._lead = lead
        self._lease_at = -math.inf

    def beat(self) -> bool:
        """Stamp the lease as seldom as anybody; the other tasks are looked at more often."""
        now = time.monotonic()
        if now - self._lease_at < names.HEARTBEAT_SECONDS:
            return self.holds()
        self._lease_at = now
        self._try("control/group", self._lead.beat)
        return super().beat()

    def inbox(self) -> list[Request]:
        """What others asked for; a signal that only a follower got may be the platform's."""
        found = super().inbox()
        if any(map(scheduler.from_outside, found)):
            self._scene.place.signalled()
        return found

    def publish(self, request: Request | None) -> None:
        """Show the request in force, to the other tasks first."""
        self._try("control/group", lambda: self._lead.ask(request))
        super().publish(request)

    def record(self, event: str, **fields: Any) -> None:
        """One line in the ledger."""
        if event == "command_ended":
            well = fields.get("exit") == 0
            self._try("control/group", lambda: self._lead.command_ended(well=well))
        super().record(event, **fields)

    def answer(self, request_id: str, ok: bool, text: str, checkpoint: str) -> None:  # noqa: FBT001  # as Ground has it
        """Answer a request, unless a task's trouble made it: nobody waits for that."""
        if not policy.from_task(request_id):
            super().answer(request_id, ok, text, checkpoint)

    def news(self) -> list[ev.Event]:
        """What the other tasks say."""
        return self._lead.others.listen(super().record)

    def elsewhere(self) -> int:
        """How many of them still run."""
        return self._lead.others.running()

    def end_elsewhere(self) -> None:
        """Have them end."""
        self._try("control/group", lambda: self._lead.end("the attempt is ended"))


class FollowerGround(Ground):
    """The ground under a follower: what the leader says is law."""

    def __init__(self, scene: Scene, place: files.Files, order: Order, local_dir: str, say: Callable[..., None]) -> None:
        self._scene, self._files, self._order, self._say = scene, place, order, say
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
        self._looked_at = -math.inf  # at the lease

    def alone(self, ended: Ended) -> bool:
        """Whether a stop was asked for, and not by the leader."""
        return any(request.action != names.SAVE and request.id != self._leaders for request in ended.requests)

    def beat(self) -> bool:
        """Show that we live; False when the run is no longer this attempt's."""
        now = time.monotonic()
        if now - self._told_at >= _REPORT_SECONDS:
            self._told_at = now
            self._keep_local()
            self._try("control/group", lambda: self._say(**self._progress))
        if now - self._looked_at < _LOOK_SECONDS:
            return True
        self._looked_at = now
        try:
            held = holder.read_holder(self._scene.paths)
        except errors.CkptrunError as error:
            self._trouble(error.message)
            return True
        if held is not None and held.heartbeat != self._heartbeat:
            self._heartbeat, self._leader_at = held.heartbeat, now
        return held is not None and held.attempt_id == self._order.attempt_id and held.state == holder.HELD

    def glance(self) -> None:
        """Nothing: the leader looks after what is saved."""

    def inbox(self) -> list[Request]:
        """What the leader asks, if that has changed."""
        try:
            order = self._files.ordered()
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
        self._try("control/group", lambda: self._say(news=self._news, **self._progress))

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

    return TaskRecord(rank=rank, node=scene.job.node or scene.me.host)
