"""Task 0 of several: gathers the others, tells them what to start and what is asked, hears how they fare, sends them home."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names, units
from ckptrun.model import Group, Request, TaskRecord
from ckptrun.platforms import machine
from ckptrun.policy import group as policy
from ckptrun.runs import group as files
from ckptrun.session import environment, scheduler
from ckptrun.session.ground import Ground
from ckptrun.session.group import Alone
from ckptrun.supervise import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckptrun.model import Ended
    from ckptrun.runs.group import Report
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.ledger import Ledger
    from ckptrun.session.attempt import Begun
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.signals import Intake

BEAT_SECONDS = 1.0  # between two rounds of looks at the other tasks
GATHER_SECONDS = 60.0  # srun starts tasks within seconds, busy file servers show them within half a minute
GATHER_HERE_SECONDS = 10.0  # on a disk of this machine, which other nodes see only if it serves them
FAREWELL_SECONDS = 1.0
_AT_A_TIME = 16  # reports that are read in one round: each is a question to a file server
_SLEPT = 30.0  # seconds without a round: it was we who were silent
_GIVEN_UP = 10.0  # seconds after the end was ordered: who says nothing for so long is not waited for


class Task:
    """What the leader knows of another task."""

    def __init__(self, report: Report, now: float) -> None:
        self.report, self.heard = report, now
        self.news = 0  # how much of its news we know
        self.told = False  # its trouble was dealt with

    def record(self, number: int) -> TaskRecord:
        """The task as the record of an attempt keeps it; `number` is that of the order which began the attempt."""
        said = self.report
        task = TaskRecord(rank=said.rank, node=said.node or said.host, why=said.why)
        if said.number != number:
            return task
        return msgspec.structs.replace(task, child_exit=said.child_exit, child_signal=said.child_signal, ended=said.ended)


class Lead(Alone):
    """The leader's side of a start."""

    def __init__(self, scene: Scene, intake: Intake) -> None:
        super().__init__(scene)
        self._intake = intake
        self._group: Group = scene.group
        self._files = files.Files(scene.paths, self._group)
        self._order = files.Order()
        self._me = report_of(scene)
        self._tasks: dict[int, Task] = {}
        self._looks: Iterator[int] = iter(())
        self._round = self._beat = 0.0
        self._ended_at = math.inf  # when all were told to end at once
        self._command_ended: float | None = None
        self._gathered = False
        self.stopping = False  # a stop was asked for: whatever a task does now, it was asked to

    # --- before an attempt -----------------------------------------------------------------------------------------------
    def gather(self) -> bool:
        """Return True when all tasks have been seen, False when a signal came meanwhile.

        Raises:
            errors.CannotCreate: some were not: the directory is not the same everywhere.
        """
        self._files.make()
        begun, patience = time.monotonic(), gather_seconds(self._scene)
        pause = 0.02
        self.beat()
        while missing := self._missing():
            waited = time.monotonic() - begun
            if waited > patience:
                who = f"of its {self._group.size} tasks, {_listed(missing)} did not appear there"
                raise not_shared(self._scene, who, patience)
            if self._intake.wait(pause):
                return False
            pause = min(pause * 1.5, 0.5)
            if waited > 1.0:
                self._files.look_afresh()
            self.beat()
        self._gathered = True
        return True

    def _missing(self) -> list[int]:
        for rank in range(1, self._group.size):
            if rank not in self._tasks and (report := self._files.hear(rank)) is not None:
                self._tasks[rank] = Task(report, time.monotonic())
        return [rank for rank in range(1, self._group.size) if rank not in self._tasks]

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
        self.stopping, self._ended_at, self._command_ended = False, math.inf, None
        for task in self._tasks.values():
            task.told = False
        self._files.sweep()
        history = begun.chosen.history
        given = msgspec.to_builtins(msgspec.structs.replace(begun.given, local_dir=""))
        self._order = files.Order(
            number=self._order.number + 1,
            attempt=begun.number,
            attempt_id=begun.record.attempt_id,
            given=given,
            ended={record.attempt_id: record.cgroup for record in history},
        )
        self._files.order(self._order)

    def ground(self, held: Lease, book: Ledger, begun: Begun) -> Ground:
        """What the supervisor stands on."""
        return LeaderGround(self, self._scene, held, book, begun)

    def ask(self, request: Request | None) -> None:
        """Show the others what is asked, or that nothing is any more."""
        if request is not None and request.action != names.SAVE:
            self.stopping = True
        if self._order.request is None or self._order.request.action != names.STOP_NOW:
            self._say(request=request)

    def end(self, why: str) -> None:
        """Have the others end their commands now."""
        if self._ended_at < math.inf:
            return
        self._ended_at, self.stopping = time.monotonic(), True
        self._say(request=Request(id="end", attempt=self._order.attempt, action=names.STOP_NOW, reason=why))

    def _say(self, **fields: Any) -> None:
        self._order = msgspec.structs.replace(self._order, beats=self._order.beats + 1, **fields)
        self._files.order(self._order)

    def listen(self, record: Callable[..., None]) -> list[ev.Event]:
        """What the others say: some of them in each round. `record` takes what belongs into the ledger."""
        now = time.monotonic()
        if now - self._round > _SLEPT:
            for task in self._tasks.values():
                task.heard = now
        self._round = now
        found: list[ev.Event] = []
        for rank in self._next_few():
            task = self._tasks[rank]
            report = self._files.hear(rank)
            if report is not None and report != task.report:
                found += self._heard(task, report, record)
                task.heard = now
            found += self._trouble(task, now)
        return found

    def _next_few(self) -> list[int]:
        few = []
        for rank in self._looks:
            few.append(rank)
            if len(few) == _AT_A_TIME:
                return few
        self._looks = iter(sorted(self._tasks))
        return few or list(_first(self._looks, _AT_A_TIME))

    def _heard(self, task: Task, report: Report, record: Callable[..., None]) -> list[ev.Event]:
        before, task.report = task.report, report
        found: list[ev.Event] = []
        for item in report.news:
            if item.count <= task.news:
                continue
            task.news = item.count
            if item.event in _EVENTS:
                found.append(_EVENTS[item.event](report.rank, item.fields))
            else:
                record(item.event, task=report.rank, node=report.node or report.host, **item.fields)
        if report.step is not None and report.step != before.step:
            found.append(ev.Stepped(-report.rank, report.step, report.total, report.epoch))
        return found

    def _trouble(self, task: Task, now: float) -> list[ev.Event]:
        if self.stopping or task.told:
            return []
        gone = task.report.state == files.GONE
        found = policy.trouble(task.record(self._order.number), silent=now - task.heard, gone=gone)
        if found is None:
            return []
        task.told = True
        rank = task.report.rank
        request = Request(
            id=policy.request_id(rank),
            attempt=self._order.attempt,
            action=names.SAVE_AND_STOP,
            cause=found.cause,
            reason=found.reason,
        )
        return [ev.Asked(request)]

    def running(self) -> int:
        """How many of the others still run the command and are waited for."""
        now = time.monotonic()
        return sum(self._is_waited_for(task, now) for task in self._tasks.values())

    def _is_waited_for(self, task: Task, now: float) -> bool:
        said = task.report
        if said.state == files.GONE or (said.number == self._order.number and said.state == files.ENDED):
            return False
        silent = now - task.heard
        return silent < policy.SILENT_SECONDS and (silent < _GIVEN_UP or now - self._ended_at < _GIVEN_UP)

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
        tasks = [me, *(self._tasks[rank].record(self._order.number) for rank in sorted(self._tasks))]
        told, blamed = policy.account(ended, tasks)
        return told, tasks, blamed

    def command_ended(self, *, well: bool) -> None:
        """Our own command has ended: if not well, and unasked, the others' cannot go on."""
        self._command_ended = float(self._scene.clock())
        if not well and not self.stopping:
            self.end("the first task has failed")

    def over(self, code: int) -> None:
        """Tell the others that it is over, wait a moment until they know, and clear up."""
        try:
            self._say(over=True, code=code)
            until = time.monotonic() + FAREWELL_SECONDS
            while time.monotonic() < until and not all(map(self._has_left, self._tasks)):
                time.sleep(0.02)
            self._files.remove()
            if not self._gathered:
                self._files.unmake()
        except errors.CkptrunError as error:  # they will see that we are gone
            self._scene.say(f"warning: the other tasks could not be told that it is over: {error.message}", level=-1)

    def _has_left(self, rank: int) -> bool:
        report = self._files.hear(rank)
        return report is None or report.state == files.GONE


class LeaderGround(Ground):
    """The ground under a leader: everything that happens here is everybody's."""

    def __init__(self, lead: Lead, scene: Scene, held: Lease, book: Ledger, begun: Begun) -> None:
        super().__init__(scene, held, book, attempt=begun.number, started=begun.started, local_dir=begun.spec.local_dir)
        self._lead = lead
        self._lease_at = -math.inf

    def beat(self) -> bool:
        """Stamp the lease as seldom as anybody; the other tasks are looked at more often."""
        now = time.monotonic()
        if now - self._lease_at < names.HEARTBEAT_SECONDS:
            return True
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
        return self._lead.listen(super().record)

    def elsewhere(self) -> int:
        """How many of them still run."""
        return self._lead.running()

    def end_elsewhere(self) -> None:
        """Have them end."""
        self._try("control/group", lambda: self._lead.end("the attempt is ended"))


def report_of(scene: Scene) -> Report:
    """What a task says of itself at first."""
    me = scene.me
    return files.Report(rank=scene.group.rank, node=scene.job.node, host=me.host, pid=me.pid, boot_id=me.boot_id)


def gather_seconds(scene: Scene) -> float:
    """How long to look for the other tasks in the run's directory."""
    return GATHER_HERE_SECONDS if machine.lies_here(scene.paths.dir) else GATHER_SECONDS


def not_shared(scene: Scene, what: str, seconds: float) -> errors.CannotCreate:
    """The error of a run directory that is not the same on all nodes."""
    return errors.CannotCreate(
        f"run {scene.run} is not in one place for all its tasks: {what} within {units.duration(seconds)}: {scene.paths.dir}",
        "use a --root that all nodes share, such as one in your home or project directory (and see whether srun started all tasks)",
    )


def _saved(rank: int, fields: dict[str, Any]) -> ev.Saved:
    return ev.Saved(
        -rank, str(fields.get("name", "")), fields.get("step"), fields.get("request", ""), fields.get("seconds", 0.0)
    )


def _late(rank: int, fields: dict[str, Any]) -> ev.Late:
    return ev.Late(-rank, str(fields.get("request", "")), fields.get("step"), str(fields.get("text", "")))


_EVENTS: dict[str, Callable[[int, dict[str, Any]], ev.Event]] = {"checkpoint": _saved, "late": _late}


def _first(looks: Iterator[int], count: int) -> Iterator[int]:
    for _, rank in zip(range(count), looks, strict=False):
        yield rank


def _listed(ranks: list[int]) -> str:
    shown = ", ".join(map(str, ranks[:8]))
    return f"{'task' if len(ranks) == 1 else 'tasks'} {shown}{', …' if len(ranks) > 8 else ''}"
