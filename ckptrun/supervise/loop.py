"""The loop: sleeps in the kernel, looks, steps the machine, acts. One wake-up in ten seconds when nothing happens."""

from __future__ import annotations

import os
import selectors
import signal
import time
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from ckptrun import names
from ckptrun.errors import CkptrunError, IoFailure, LeaseLost
from ckptrun.supervise import events as ev
from ckptrun.supervise import kernel, machine, oom, outcome, spawn, tree
from ckptrun.supervise.children import Children
from ckptrun.supervise.hands import Hands, Steady
from ckptrun.supervise.logfile import LogFile
from ckptrun.supervise.notify import NotifySocket
from ckptrun.supervise.pace import Pace
from ckptrun.supervise.requestfile import RequestFile, requeue_asked
from ckptrun.supervise.state import ENDING, KILLING, OVER, RUNNING, Rules, State, signals_for, stopping
from ckptrun.supervise.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Ended, Request
    from ckptrun.supervise.signals import Intake
    from ckptrun.supervise.spec import Ground, Spec

    T = TypeVar("T")

BEAT = names.HEARTBEAT_SECONDS
_EAGER = 0.1  # seconds between two heartbeats of a follower that waits for its leader's word
_FIRST_GLANCE = 1.0  # seconds: nobody has saved anything before that
_FROZEN = 5.0  # seconds too late
_COARSE = 0.1  # seconds: files are stamped with a clock that ticks, not with the one we read
_INSISTS = frozenset((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT))


def run(spec: Spec, ground: Ground, intake: Intake) -> Ended:
    """Run the command to its end, whatever that is, and say what was seen.

    A stop that came before the command was started keeps it from starting (`child_exit` and `child_signal` are None).

    Raises:
        UsageError: the command cannot be started: no such command, not executable, no such directory.
        IoFailure: the system refused a process, a pipe or a pty.
    """
    with selectors.DefaultSelector() as selector:
        supervisor = Supervisor(spec, ground, intake, selector)
        try:
            return supervisor.run()
        finally:
            supervisor.close()


class Supervisor:
    """One attempt: what is open, what the machine's state is, and the rounds of the loop."""

    def __init__(self, spec: Spec, ground: Ground, intake: Intake, selector: selectors.BaseSelector) -> None:
        self.spec, self.ground, self.intake, self.selector = spec, ground, intake, selector
        self.steady = Steady(ground.clock, time.monotonic)
        self.started = time.monotonic()
        self.state = State(rules=_rules(spec), started=self.started, active=self.started)
        self.log = LogFile(spec.attempt_dir, lambda text: self.hands.complain(text))  # noqa: PLW0108  # there are no hands yet
        self.streams = Streams(
            selector, self.log.write, self._pressed, stdout_to_stderr=spec.stdout_to_stderr, label=spec.label
        )
        self.file = RequestFile(spec.local_dir)
        self.hands = Hands(spec, ground, self.steady, self.streams, self.file)
        self.notify: NotifySocket | None = None
        self.children: Children | None = None
        self.pace = Pace()
        self._beat = BEAT if spec.beat is None else spec.beat
        self._beat_at = self.started + self._beat
        self._glance_at: float | None = self.started + _FIRST_GLANCE
        self._saved_at = 0.0  # when checkpoints were last looked for on disk
        self._pausing = False
        self._typed_pause = False
        self._oom_kills = oom.kills() or 0

    # --- from beginning to end -------------------------------------------------------------------------------------------
    def run(self) -> Ended:
        """Start, go round until it is over, show the last words."""
        self._learn_the_end()
        for number in self.intake.take():
            self._signalled(number)
        if not stopping(self.state):
            self._start()
            while self.state.phase != OVER:
                self._round()
        self.streams.drain(self._no_time_for_last_words)
        grown = (oom.kills() or 0) - self._oom_kills
        return outcome.ended(self.state, self.steady, self.hands, self.children, oom_kills=grown, started=self.started)

    def close(self) -> None:
        """Leave nothing behind: the terminal as it was, the log in one piece, no socket, no request."""
        self.streams.close()
        if self.state.lease_lost:
            self.log.abandon()
        else:
            self.log.close()
        self.file.remove()
        if self.notify is not None:
            self.notify.close()
        if self.children is not None:
            self.children.close()

    def _start(self) -> None:
        kernel.become_subreaper()
        try:
            self.notify = NotifySocket(self.spec.local_dir)
            stdio = self.streams.stdio()
        except OSError as error:
            raise IoFailure(
                f"cannot prepare the start: {error.strerror}: {error.filename or self.spec.local_dir}"
            ) from error
        pid = spawn.spawn(self.spec, stdio, self.intake.ignored)
        now = time.monotonic()
        self.children = Children(pid)
        self.hands.command(pid, os.getpid())
        self.streams.started(now)
        self.selector.register(self.intake, selectors.EVENT_READ, lambda what, at: None)  # noqa: ARG005  # taken in each round
        self.selector.register(self.notify, selectors.EVENT_READ, lambda what, at: self._hear())  # noqa: ARG005
        if self.children.fd >= 0:
            self.selector.register(self.children.fd, selectors.EVENT_READ, self._command_may_have_ended)
        self.hands.ground(self.ground.record, "command_started", pid=pid)
        if self.state.force is not None:  # a save was asked for before there was anybody to ask
            self._look(now)

    def _round(self) -> None:
        timeout = self._timeout()
        planned = time.monotonic() + timeout
        ready = self.selector.select(timeout)
        now = time.monotonic()
        if now - planned > _FROZEN:  # by a scheduler, a hypervisor: the script was silent because it could not speak
            self._excuse_silence(now)
        signals = self.intake.take()
        if signal.SIGCONT in signals:
            self._continued()
        elif now >= self._beat_at:  # before anything else is written: we may have been frozen for hours
            self._heartbeat(now)
        elif self._glance_at is not None and now >= self._glance_at:
            self._glance(now)
        for key, what in ready:
            key.data(what, now)
        for number in signals:
            self._signalled(number)
        if self.children is not None and self.children.fd < 0:
            self._command_may_have_ended(0, now)
        if self.pace.due(now):
            self._look(now)
        self._feed(ev.Tick(self.streams.active))
        self.streams.settle(time.monotonic())

    def _timeout(self) -> float:
        times = [self._beat_at, self._glance_at, machine.wake_at(self.state), self.pace.at, self.streams.wake_at()]
        return max(min(at for at in times if at is not None) - time.monotonic(), 0.0)

    # --- what happens ----------------------------------------------------------------------------------------------------
    def _feed(self, event: ev.Event) -> None:
        """One event: the machine decides, the hands act."""
        now = time.monotonic()
        self.state, actions = machine.step(self.state, event, now)
        if not actions:
            return
        self.hands.do(actions, signals_for(self.state), read=bool(self.state.script.ranks))
        for act in actions:
            if isinstance(act, ev.Ask | ev.Terminate | ev.Kill):
                self.pace.begin(now)
            elif isinstance(act, ev.Pause):
                self._pause()
        self._check_lease()

    def _signalled(self, number: int) -> None:
        if number == signal.SIGWINCH:
            self.streams.resize()
        else:
            self._feed(ev.Signalled(number))
            if self.state.own_at is not None:
                self._beat_at = time.monotonic() + _EAGER

    def _pressed(self, number: int) -> None:
        """A key of our terminal, or its hang-up."""
        if number not in self.intake.ignored:
            self._typed_pause = number == signal.SIGTSTP
            self._feed(ev.Signalled(number))

    def _hear(self) -> None:
        for event in self.notify.take() if self.notify is not None else ():
            self._feed(event)

    def _requeue_asked(self) -> None:
        asked = self._from_ground(lambda: requeue_asked(self.spec.local_dir), default=None)
        if asked is not None:
            self._feed(asked)

    def _command_may_have_ended(self, what: int, now: float) -> None:  # noqa: ARG002  # the shape of what a selector calls
        children = self.children
        if children is None or self.state.command_ended is not None or not children.look():
            return
        if children.fd >= 0:
            self.selector.unregister(children.fd)
        self._hear()  # its last words came before its end
        self._requeue_asked()
        self._feed(ev.CommandEnded())
        self.hands.ground(self.ground.record, "command_ended", exit=children.exit, signal=children.signal)
        self.pace.begin(now)
        self._look(now)

    def _heartbeat(self, now: float) -> None:
        """The lease first; then what others ask, when it must end, how far it is, whose the terminal is."""
        self._beat_at = now + self._beat
        if self.hands.lease_lost or not self._from_ground(self.ground.beat, default=True):
            self.hands.lease_lost = True
        self._check_lease()
        if self.state.lease_lost:
            return
        nothing: list[Request] = []
        for request in self._from_ground(self.ground.inbox, default=nothing):
            self._feed(ev.Asked(self._steadied(request)))
        self._requeue_asked()
        no_news: list[ev.Event] = []
        for event in self._from_ground(self.ground.news, default=no_news):
            self._feed(event)
        if self.state.own_at is not None:
            self._beat_at = now + _EAGER
        if self._glance_at is None or now >= self._glance_at:
            self._glance(now)
        self._learn_the_end()
        self.hands.ground(self.ground.progress, outcome.progress(self.state, self.steady))
        if self.streams.terminal is not None:
            self.streams.terminal.check()
        if self.children is not None:
            self.children.reap()
        if self.state.command_ended is not None and self.spec.beat is not None:  # only others are waited for
            self._beat_at = now + _EAGER
            self._feed(self._left())

    def _glance(self, now: float) -> None:
        seconds = None if self.hands.lease_lost else self._from_ground(self.ground.glance, default=None)
        self._glance_at = None if seconds is None else now + seconds

    def _learn_the_end(self) -> None:
        unknown: tuple[float | None, str] = (None, "")
        at, why = self._from_ground(self.ground.end_time, default=unknown)
        steady = None if at is None else self.steady.from_wall(at)
        self._feed(ev.EndKnown(steady, why))

    def _check_lease(self) -> None:
        if self.hands.lease_lost and not self.state.lease_lost:
            self.log.abandon()
            self._feed(ev.LeaseLost())

    # --- looks at the tree -----------------------------------------------------------------------------------------------
    def _look(self, now: float) -> None:
        request = signals_for(self.state)
        if request is not None:
            self.hands.deliver(request, read=bool(self.state.script.ranks))
        if self.state.phase == ENDING:
            self.hands.terminate()
        elif self.state.phase == KILLING:
            self.hands.kill()
        self.hands.catch_up()
        self._look_for_a_save(now)
        if self.state.command_ended is not None:
            self._feed(self._left())
        waits_for_tree = self.state.phase != RUNNING or self.state.command_ended is not None
        self.pace.next(now, wanted=waits_for_tree or self.state.published, patient=not waits_for_tree)

    def _left(self) -> ev.Left:
        elsewhere = self._from_ground(self.ground.elsewhere, default=0)
        if self.children is None or not self.children.reap():
            return ev.Left(elsewhere)
        procs = tree.descendants(os.getpid())
        working = set(self.state.script.ranks)
        for each in procs:
            if each.parent in working:
                working.add(each.pid)
        others = tuple(tree.describe(each) for each in procs if each.pid not in working)
        return ev.Left(elsewhere + sum(each.pid in working for each in procs), others)

    def _look_for_a_save(self, now: float) -> None:
        """For scripts that report none: has a checkpoint appeared since we asked?"""
        state = self.state
        ended = state.command_ended is not None
        if state.force is None or state.answered or state.script.ranks or (now - self._saved_at < 1.0 and not ended):
            return
        self._saved_at = now
        since = self.steady.to_wall(state.forced_at) - _COARSE
        found = self._from_ground(lambda: self.ground.saved_since(since), default=None)
        if found is not None:
            self._feed(ev.Found(found.name, found.step))

    # --- stopping and continuing -------------------------------------------------------------------------------------------
    def _pause(self) -> None:
        """The tree, then the terminal, then us; the next line runs when we are continued."""
        if self.hands.ending is None:
            return
        self.hands.ending.pause()
        self._pausing = True
        if self.streams.terminal is not None:
            self.streams.terminal.give_back()
        if self._typed_pause:  # the kernel would have told the whole job, `| tee` included
            self._typed_pause = False
            before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
            os.kill(0, signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, before)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._continued()

    def _continued(self) -> None:
        """Whose the run is, and what time it is, are looked at before anything goes on."""
        now = time.monotonic()
        if self._pausing:
            self._excuse_silence(now)
        self._heartbeat(now)
        self.streams.resize()
        if self._pausing and self.hands.ending is not None:
            self._pausing = False
            self._feed(ev.Tick(now))
            self.hands.ending.resume()

    def _excuse_silence(self, now: float) -> None:
        """The script was stopped with us, so that it could not speak: that is no stall, even before the lease is looked at."""
        self.streams.active = now
        self.state = replace(self.state, active=now)

    # --- helpers -----------------------------------------------------------------------------------------------------------
    def _from_ground(self, call: Callable[[], T], default: T) -> T:
        """What somebody outside says; what cannot be known changes nothing."""
        try:
            return call()
        except LeaseLost:
            self.hands.lease_lost = True
        except (CkptrunError, OSError) as error:
            self.hands.complain(f"{error}")
        return default

    def _steadied(self, request: Request) -> Request:
        deadline = None if request.deadline is None else self.steady.from_wall(request.deadline)
        return replace(request, deadline=deadline)

    def _no_time_for_last_words(self) -> bool:
        """Somebody insists on an end, the time is up, or nothing may be shown as ours any more."""
        late = self.state.limit is not None and time.monotonic() > self.state.limit - 1.0 and stopping(self.state)
        return late or any(number in _INSISTS for number in self.intake.pending)


def _rules(spec: Spec) -> Rules:
    return Rules(
        attempt=spec.attempt,
        grace=spec.grace,
        grace_given=spec.grace_given,
        term_to_kill=spec.term_to_kill,
        stall_timeout=spec.stall_timeout,
        means_save=spec.signal_means == "save",
        learned=spec.learned,
        follows=spec.follows,
        ahead=spec.ahead,
    )
