"""The machine: state + event → state + actions. Pure: time is an argument, everything done is an action.

RUNNING ── the end has come, or "now" ──> ENDING ── time is up ──> KILLING ──> OVER
   │                                                                            ^
   └───── the command has ended and nothing of its tree is left ────────────────┘

While RUNNING a request may be in force; it bears the deadline, which only ever comes nearer.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ckptrun import names, units
from ckptrun.supervise import asking
from ckptrun.supervise import events as ev
from ckptrun.supervise import script as told
from ckptrun.supervise.asking import Want
from ckptrun.supervise.state import (
    ENDING,
    LINGER_SECONDS,
    OVER,
    RUNNING,
    Out,
    State,
    alone_at,
    grace_end,
    last_call_at,
    limit_end,
    pass_on_at,
    raise_at,
    stalled_at,
    stopping,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def step(state: State, event: ev.Event, now: float) -> tuple[State, Out]:
    """What follows from `event` at `now`, and from the time that has come."""
    if state.phase == OVER:
        return state, []
    out: Out = []
    state = _HANDLERS[type(event)](state, event, now, out)
    return _pass_time(state, now, out), out


def wake_at(state: State) -> float | None:
    """When time alone will change something; None = never."""
    times = [state.kill_at, state.withdraw_at, state.linger_until if state.phase == RUNNING else None]
    if state.phase == RUNNING:
        times += [state.end, last_call_at(state), raise_at(state), stalled_at(state), pass_on_at(state), alone_at(state)]
    known = [each for each in times if each is not None]
    return min(known) if known else None


# --- what happens ------------------------------------------------------------------------------------------------------
def _signalled(state: State, event: ev.Signalled, now: float, out: Out) -> State:
    out.append(ev.Record("signal", {"signal": signal.Signals(event.number).name}))
    if state.rules.follows and event.number in _LED:
        return _left_to_the_leader(state, event.number, now)
    return _SIGNALS[event.number](state, signal.Signals(event.number).name, now, out)


def _left_to_the_leader(state: State, number: int, now: float) -> State:
    """Schedulers signal all tasks of a step: the leader asks everybody for the same, with one deadline."""
    if stopping(state):
        return state
    return replace(state, own=(*state.own, number), own_at=now if state.own_at is None else state.own_at)


def _on_notice(state: State, name: str, now: float, out: Out) -> State:
    return asking.give_notice(state, Want(reason=name, cause=names.PREEMPTED), now, out)


def _on_save(state: State, name: str, now: float, out: Out) -> State:
    return asking.save(state, Want(reason=name), now, out)


def _on_stop(state: State, name: str, now: float, out: Out) -> State:
    if stopping(state):  # nobody insists: Slurm sends it twice, and again when its KILL is near
        return asking.nearer(state, grace_end(state, now), now, out)
    return asking.stop(state, Want(reason=name, cause=names.PREEMPTED), now, out)


def _on_interrupt(state: State, name: str, now: float, out: Out) -> State:
    state = replace(state, interrupts=state.interrupts + 1)
    if state.interrupts == 1:
        out.append(ev.MarkStopped(name))
        out.append(ev.Say("interrupt once more to end at once, without waiting for a save"))
        return asking.stop(state, _by_user(name), now, out)
    return asking.end_now(state, _by_user(name), now, out) if state.interrupts == 2 else asking.kill(state, now, out)


def _on_quit(state: State, name: str, now: float, out: Out) -> State:
    out.append(ev.MarkStopped(name))
    return asking.end_now(replace(state, interrupts=max(state.interrupts, 2)), _by_user(name), now, out)


def _on_pause(state: State, name: str, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    out.append(ev.Pause())
    return state


def _ignore(state: State, name: str, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    return state


_SIGNALS: dict[int, Callable[[State, str, float, Out], State]] = {
    signal.SIGUSR1: _on_notice,
    signal.SIGUSR2: _on_save,
    signal.SIGTERM: _on_stop,
    signal.SIGHUP: _on_stop,
    signal.SIGINT: _on_interrupt,
    signal.SIGQUIT: _on_quit,
    signal.SIGTSTP: _on_pause,
    signal.SIGCONT: _ignore,  # the loop's: it looks at the lease and the time first
    signal.SIGWINCH: _ignore,
}


_LED = frozenset((signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP, signal.SIGINT))


def _by_user(name: str) -> Want:
    return Want(reason=name, cause=names.STOPPED_BY_USER)


def _asked(state: State, event: ev.Asked, now: float, out: Out) -> State:
    request = event.request
    if request.action != names.SAVE or set(state.own) <= {signal.SIGUSR1, signal.SIGUSR2}:
        state = replace(state, own=(), own_at=None, passed_on=False)  # the leader has spoken
    if state.rules.follows and _saves(state) and state.force is not None and state.force.id != request.id:
        state = replace(state, force=None, open=())  # the leader withdrew it between two looks; the file is written anew
    state = asking.take_the_step(state, request, out)
    want = Want(reason=request.reason or request.by or "asked", given=request)
    if request.action == names.SAVE:
        return asking.save(state, want, now, out)
    want = replace(want, cause=request.cause or names.STOPPED_BY_USER)
    if want.cause == names.STOPPED_BY_USER:
        out.append(ev.MarkStopped(request.by))
    return (asking.end_now if request.action == names.STOP_NOW else asking.stop)(state, want, now, out)


def _unasked(state: State, event: ev.Unasked, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    return asking.withdraw(replace(state, open=()), out) if _saves(state) else state


def _saves(state: State) -> bool:
    return state.force is not None and state.force.action == names.SAVE


def _end_known(state: State, event: ev.EndKnown, now: float, out: Out) -> State:
    state = replace(state, limit=event.at, limit_why=event.why)
    end = limit_end(state, now)
    if end is None or state.phase != RUNNING:
        return state
    if state.notice is not None and end < state.notice.end:
        state = replace(state, notice=replace(state.notice, end=end))
    return asking.nearer(state, end, now, out) if state.end is not None else state


def _hello(state: State, event: ev.Hello, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    return replace(state, script=told.hello(state.script, event))


def _stepped(state: State, event: ev.Stepped, now: float, out: Out) -> State:  # the table's shape
    state = replace(state, script=told.stepped(state.script, event, now))
    unnamed = state.force is not None and state.force.at_step is None
    return asking.name_a_step(state, now, out) if unnamed else state  # no pace was known when it was asked


def _late(state: State, event: ev.Late, now: float, out: Out) -> State:
    out.append(ev.Record("late", {"request": event.request, "step": event.step, "text": event.text}))
    force = state.force
    if force is None or force.id != event.request or state.answered:
        return state
    if event.step is not None:
        state = replace(state, script=told.stepped(state.script, ev.Stepped(event.pid, event.step), now))
    return asking.name_a_step(state, now, out)


def _saving(state: State, event: ev.Saving, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    return replace(state, script=replace(state.script, saving=True))


def _saved(state: State, event: ev.Saved, now: float, out: Out) -> State:
    mine = state.force is not None and event.request == state.force.id
    script = told.saved(state.script, event, now, state.forced_at if mine else None)
    took = script.save_seconds[-1]
    out.append(
        ev.Record(
            "checkpoint", {"name": event.name, "step": event.step, "request": event.request, "seconds": round(took, 3)}
        )
    )
    state = replace(state, script=script)
    if not event.request:
        return state
    by = ev.Answered(event.pid, event.request, event.name)
    return asking.answer(state, by, f"saved {event.name} in {units.duration(took)}", now, out)


def _save_failed(state: State, event: ev.SaveFailed, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    out.append(ev.Record("save_failed", {"text": event.text}))
    out.append(ev.Say(f"NOT saved: {event.text}", -1))
    return replace(state, failure=event.text, script=replace(state.script, saving=False))


def _rank_answered(state: State, event: ev.Answered, now: float, out: Out) -> State:
    text = f"answered by {event.checkpoint}" if event.checkpoint else ""
    return asking.answer(state, event, text, now, out)


def _found(state: State, event: ev.Found, now: float, out: Out) -> State:
    if state.force is None or state.script.ranks:
        return state
    out.append(ev.Record("checkpoint", {"name": event.name, "step": event.step, "request": state.force.id, "found": True}))
    by = ev.Answered(0, state.force.id, event.name)
    checkpoints = (*state.script.checkpoints, event.name)
    state = replace(state, script=replace(state.script, checkpoints=checkpoints, saved_at=now, saved_step=event.step))
    return asking.answer(state, by, f"saved {event.name}", now, out)


def _done(state: State, event: ev.Done, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    return replace(state, script=replace(state.script, done=event.why or "done"))


def _requeue_asked(state: State, event: ev.RequeueAsked, now: float, out: Out) -> State:
    echo = state.echo_until is not None and now <= state.echo_until
    goes_on = state.notice is not None or (echo and not stopping(state))
    out.append(ev.Record("requeue_asked", {"words": event.words, "goes_on": goes_on}))
    if goes_on:
        out.append(ev.Say("the script asked to be requeued after a save that is no stop: it goes on", 1))
        return replace(state, echo_until=None)
    if state.rules.follows:
        if not stopping(state):
            out.append(ev.PassOn(names.SAVE_AND_STOP, names.BY_SCRIPT, names.PREEMPTED))
        return state
    return asking.leave(state, now, out)


def _command_ended(state: State, event: ev.CommandEnded, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    return replace(state, command_ended=now)


def _left(state: State, event: ev.Left, now: float, out: Out) -> State:
    if state.command_ended is None:
        return state
    state = replace(state, left=event.others)
    if not event.workers and not event.others:
        return asking.finish(state, out)
    if event.workers or state.phase != RUNNING:  # a rank that said hello is the work itself
        return replace(state, linger_until=None)
    if state.linger_until is not None:
        return state
    out.append(ev.Say(f"the command has ended, but not what it started: {', '.join(event.others)}", 1))
    return replace(state, linger_until=now + LINGER_SECONDS)


def _tick(state: State, event: ev.Tick, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    return replace(state, active=max(state.active, event.active))


def _lease_lost(state: State, event: ev.LeaseLost, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    """At once, because a successor may be writing already."""
    out.append(ev.Say("the lease was taken over by another start of this run: everything here is ended", -1))
    return asking.kill(replace(state, lease_lost=True), now, out)


_HANDLERS: dict[type, Callable[[State, Any, float, Out], State]] = {
    ev.Signalled: _signalled,
    ev.Asked: _asked,
    ev.EndKnown: _end_known,
    ev.Hello: _hello,
    ev.Stepped: _stepped,
    ev.Saving: _saving,
    ev.Saved: _saved,
    ev.SaveFailed: _save_failed,
    ev.Answered: _rank_answered,
    ev.Late: _late,
    ev.Found: _found,
    ev.Done: _done,
    ev.RequeueAsked: _requeue_asked,
    ev.CommandEnded: _command_ended,
    ev.Left: _left,
    ev.Unasked: _unasked,
    ev.Tick: _tick,
    ev.LeaseLost: _lease_lost,
}


# --- what time brings ----------------------------------------------------------------------------------------------------
def _pass_time(state: State, now: float, out: Out) -> State:
    if state.phase == RUNNING:
        for due, act in _DUE:
            at = due(state)
            if at is not None and at <= now and state.phase == RUNNING:
                state = act(state, now, out)
    elif state.kill_at is not None and state.kill_at <= now:
        state = asking.kill(state, now, out) if state.phase == ENDING else asking.give_up(state, out)
    return state


def _stall(state: State, now: float, out: Out) -> State:
    reason = f"no step and no output for {units.duration(state.rules.stall_timeout or 0)}"
    return asking.stop(state, Want(reason=reason, cause=names.STALLED), now, out)


def _limit(state: State, now: float, out: Out) -> State:
    return asking.give_notice(state, Want(reason=state.limit_why or "time limit", cause=names.TIMED_OUT), now, out)


def _pass_on(state: State, now: float, out: Out) -> State:  # noqa: ARG001  # the table's shape
    reason = signal.Signals(state.own[-1]).name
    if set(state.own) <= {signal.SIGUSR2}:
        out.append(ev.PassOn(names.SAVE, reason))
    else:
        by_user = signal.SIGINT in state.own
        out.append(ev.PassOn(names.SAVE_AND_STOP, reason, names.STOPPED_BY_USER if by_user else names.PREEMPTED))
    return replace(state, passed_on=True)


def _alone(state: State, now: float, out: Out) -> State:
    out.append(ev.Say("the first task of this attempt does not answer: going by our own signals", -1))
    own, state = state.own, replace(state, own=(), own_at=None, passed_on=False)
    for number in own:
        state = _SIGNALS[number](state, signal.Signals(number).name, now, out)
    return state


def _last_call(state: State, now: float, out: Out) -> State:
    notice = state.notice
    if notice is None:
        return state
    return asking.stop(state, Want(reason=notice.reason, cause=notice.cause, end=max(notice.end, now)), now, out)


def _end(state: State, now: float, out: Out) -> State:
    out.append(ev.Say(f"the script has not ended in {units.duration(now - (state.first_notice or now))}: it is ended"))
    return asking.terminate(state, now, out)


_DUE: tuple[tuple[Callable[[State], float | None], Callable[[State, float, Out], State]], ...] = (
    (lambda state: state.withdraw_at, lambda state, _, out: asking.withdraw(state, out)),
    (stalled_at, _stall),
    (raise_at, _limit),
    (last_call_at, _last_call),
    (pass_on_at, _pass_on),
    (alone_at, _alone),
    (lambda state: state.linger_until, asking.end_strays),
    (lambda state: state.end, _end),
)
