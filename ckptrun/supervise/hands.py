"""The hands: carry out what the machine decided. Nothing here decides, and nothing that fails here ends a training."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun.errors import CkptrunError, LeaseLost
from ckptrun.supervise import events as ev
from ckptrun.supervise.delivery import Delivery
from ckptrun.supervise.ending import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Request
    from ckptrun.supervise.delivery import Sent
    from ckptrun.supervise.requestfile import RequestFile
    from ckptrun.supervise.spec import Ground, Spec
    from ckptrun.supervise.streams import Streams


class Steady:
    """Unix time that never jumps: the machine's clock is the monotonic one, translated at the edge."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall, self.now = wall, monotonic

    def to_wall(self, at: float) -> float:
        """Unix time of a moment on the steady clock, by today's clock."""
        return round(self._wall() + (at - self.now()), 3)

    def from_wall(self, at: float) -> float:
        """The moment on the steady clock at which it will be `at`."""
        return self.now() + (at - self._wall())

    def request(self, request: Request) -> Request:
        """The request as others are shown it."""
        deadline = None if request.deadline is None else self.to_wall(request.deadline)
        return msgspec.structs.replace(request, deadline=deadline, created=self.to_wall(request.created))


class Hands:
    """Acts on the request file, the tree, the run's directory and the user's screen."""

    def __init__(self, spec: Spec, ground: Ground, steady: Steady, streams: Streams, file: RequestFile) -> None:
        self._spec, self._ground, self._steady, self._streams, self._file = spec, ground, steady, streams, file
        self.delivery: Delivery | None = None  # once there is a command
        self.ending: Ending | None = None
        self.lease_lost = False
        self.troubles: list[str] = []
        self.sent: list[int] = []
        self._later: list[Callable[[], None]] = []
        self._acts: dict[type, Callable[[Any], None]] = {
            ev.Ask: self._ask,
            ev.Withdraw: self._withdraw,
            ev.Terminate: lambda _: self.terminate(everywhere=True),
            ev.Kill: lambda _: self.kill(everywhere=True),
            ev.Answer: lambda act: self.ground(self._ground.answer, act.id, act.ok, act.text, act.checkpoint),
            ev.MarkStopped: lambda act: self.ground(self._ground.mark_stopped, act.by),
            ev.PassOn: lambda act: self.ground(self._ground.pass_on, act.action, act.reason, act.cause),
            ev.Say: lambda act: self.say(act.text, act.level),
            ev.Record: lambda act: self.ground(self._ground.record, act.event, **act.fields),
        }

    def command(self, pid: int, root: int) -> None:
        """There is a command now, with a tree below it."""
        self.delivery = Delivery(self._spec, root, pid)
        self.ending = Ending(root, self._spec.env)

    def do(self, actions: list[ev.Action], request: Request | None, *, read: bool) -> None:
        """Carry out `actions`, what signals somebody first: the rest can wait for a slow disk.

        `request` is the one for which the save signal is due, if any; `read`: the script reads the request file.
        """
        for act in actions:
            if type(act) in _AT_ONCE:
                self._acts[type(act)](act)
        if request is not None and any(isinstance(act, ev.Ask) and not act.again for act in actions):
            self.deliver(request, read=read)
        for act in actions:
            if type(act) in self._acts and type(act) not in _AT_ONCE:
                self._acts[type(act)](act)
        self.catch_up()

    def catch_up(self) -> None:
        """Say and write down what was put off while signals went out."""
        while self._later:
            self._later.pop(0)()

    def say(self, text: str, level: int = 0) -> None:
        """One line for the user."""
        if level <= self._spec.verbosity:
            self._streams.say(text, self._steady.now())

    def complain(self, text: str) -> None:
        """Something that should have worked did not: said once, noted, and lived with."""
        if text not in self.troubles:
            self.troubles.append(text)
            self.say(text, -1)
            self.ground(self._ground.record, "trouble", text=text)

    def ground(self, call: Callable[..., Any], *args: Any, **fields: Any) -> None:
        """Something outside that may fail without ending the training; nothing at all once the lease is lost."""
        if self.lease_lost:
            return
        try:
            call(*args, **fields)
        except LeaseLost:
            self.lease_lost = True
        except (CkptrunError, OSError) as error:
            self.complain(f"{error}")

    def deliver(self, request: Request, *, read: bool) -> None:
        """Signal whoever catches the save signal by now and was not asked yet; `read`: the script reads the request file."""
        if self.delivery is None:
            return
        for each in self.delivery.look(request, read=read):
            self._later.append(partial(self._delivered, each, request))
            if each.number not in self.sent:
                self.sent.append(each.number)

    def terminate(self, *, everywhere: bool = False) -> None:
        """SIGTERM to those who have not had it; `everywhere`: on other nodes too."""
        if everywhere:
            self._later.append(lambda: self.ground(self._ground.end_elsewhere))
        told = self.ending.terminate() if self.ending is not None else []
        if told:
            self._later.append(lambda: self._ended("SIGTERM", told))

    def kill(self, *, everywhere: bool = False) -> None:
        """SIGKILL to all that is there; `everywhere`: on other nodes it is ended too."""
        if everywhere:
            self._later.append(lambda: self.ground(self._ground.end_elsewhere))
        hit = self.ending.kill() if self.ending is not None else []
        if hit:
            self._later.append(lambda: self._ended("SIGKILL", hit))

    def _ask(self, act: ev.Ask) -> None:
        shown = self._steady.request(act.request)
        if not self.lease_lost:
            self.ground(self._file.write, shown)
            self._later.append(lambda: self.ground(self._ground.publish, shown))
            self._later.append(lambda: self.ground(self._ground.record, "request", **_fields(shown)))

    def _withdraw(self, _: ev.Withdraw) -> None:
        self.ground(self._file.remove)
        self.ground(self._ground.publish, None)

    def _delivered(self, each: Sent, request: Request) -> None:
        name = signal.Signals(each.number).name
        self.say(f"{name} sent to {each.who}")
        self.ground(self._ground.record, "delivered", signal=name, pid=each.pid, to=each.who, request=request.id)

    def _ended(self, name: str, to: list[str]) -> None:
        self.say(f"{name} sent to {len(to)} process{'es' if len(to) > 1 else ''}")
        self.ground(self._ground.record, "ending", signal=name, to=to)


_AT_ONCE = (ev.Ask, ev.Terminate, ev.Kill)


def _fields(request: Request) -> dict[str, Any]:
    shown = ("id", "action", "reason", "cause", "deadline", "at_step", "by")
    return {key: value for key in shown if (value := getattr(request, key)) not in ("", None)}
