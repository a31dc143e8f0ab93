"""What the machine does about requests and endings: ask, merge, answer, terminate, kill. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from ckptrun import names, units
from ckptrun.model import Noun, Request
from ckptrun.policy import notice
from ckptrun.supervise import events as ev
from ckptrun.supervise import script as told
from ckptrun.supervise.state import (
    ECHO_SECONDS,
    ENDING,
    GIVE_UP_SECONDS,
    KILLING,
    LATE_RANK_SECONDS,
    LEAVE_SECONDS,
    OVER,
    RUNNING,
    Notice,
    Out,
    State,
    goes_on,
    grace_end,
    learned,
    notice_end,
    stopping,
)


class Want(Noun, frozen=True, kw_only=True):
    """Somebody wants a save or a stop: who, why, until when."""

    reason: str
    cause: str = ""  # what the outcome will be when it ends the attempt
    given: Request | None = None  # as it lay in the inbox: it waits for an answer
    end: float | None = None  # None = within the grace


# --- asking --------------------------------------------------------------------------------------------------------------
def save(state: State, want: Want, now: float, out: Out) -> State:
    """A save is wanted; one that is in force already, of whatever strength, answers this one too."""
    state = _join(state, want)
    if state.phase != RUNNING or state.force is not None:
        return state
    return _publish(state, names.SAVE, want, now, out)


def give_notice(state: State, want: Want, now: float, out: Out) -> State:
    """The attempt will end: save at once, and once more just before the end if there is time; the first notice counts."""
    if state.end is not None or state.notice is not None or state.phase != RUNNING:
        return state
    end = notice_end(state, now)
    plan = notice.plan(now, end, learned(state), goes_on=goes_on(state))
    out.append(ev.Record("notice", {"reason": want.reason, "cause": want.cause, "why": plan.why}))
    out.append(ev.Say(f"{want.reason}: {plan.why}", -1 if plan.short else 0 if plan.save_now else 1))
    state = replace(state, first_notice=now)
    if plan.save_now and end is not None:
        return save(replace(state, notice=Notice(cause=want.cause, reason=want.reason, end=end)), want, now, out)
    if end is not None and state.rules.grace_given:
        end = min(end, now + state.rules.grace)
    return stop(state, replace(want, end=end), now, out)


def stop(state: State, want: Want, now: float, out: Out) -> State:
    """Save and stop. Two at once are one: the earlier end counts, and the user's word outweighs other causes."""
    end = grace_end(state, now) if want.end is None else want.end
    if want.given is not None and want.given.deadline is not None:
        end = max(min(end, want.given.deadline), now)
    first = now if state.first_notice is None else state.first_notice
    merges = stopping(state)
    state = replace(_join(state, want), notice=None, first_notice=first)
    if merges:
        return nearer(_one_more(state, names.SAVE_AND_STOP, want, now), end, now, out)
    return _publish(replace(state, end=end), names.SAVE_AND_STOP, want, now, out)


def leave(state: State, now: float, out: Out) -> State:
    """The script asked to be requeued: it has saved, is signalled no more, and ends by itself or soon, as Slurm would end it.

    A script that reads the request file has the grace: only its own word says that it has saved.
    """
    patience = state.rules.grace if state.script.ranks else min(LEAVE_SECONDS, state.rules.grace)
    want = Want(reason=names.BY_SCRIPT, cause=names.PREEMPTED, end=min(now + patience, grace_end(state, now)))
    if state.phase == RUNNING and not state.leaves:
        out.append(ev.Say(f"{want.reason}: it has {units.duration(patience)} to end by itself"))
    asked_before = stopping(state)
    state = stop(replace(state, leaves=True), want, now, out)
    if asked_before or state.script.ranks:
        return state
    return replace(state, forced_at=max(state.started, now - state.rules.grace))  # it saved first, and asked then


def nearer(state: State, end: float, now: float, out: Out) -> State:
    """A deadline only ever comes nearer; the script is shown the new one."""
    if state.end is None or end >= state.end:
        return state
    state = replace(state, end=end)
    out.append(ev.Record("deadline", {"seconds": round(end - now, 3)}))
    if state.force is not None and state.published:
        force = replace(state.force, deadline=end)
        state = replace(state, force=force)
        out.append(ev.Ask(force, again=True))
    return state


def name_a_step(state: State, now: float, out: Out) -> State:
    """The step at which ranks that cannot agree shall obey the request in force: beyond all that was heard of."""
    at_step = told.at_step(state.script, now, state.rules.ahead, state.end)
    if state.force is None or not state.published or at_step is None or state.rules.follows:
        return state
    return _at_step(state, state.force, at_step, out)


def take_the_step(state: State, request: Request, out: Out) -> State:
    """The leader has named a (later) step for what is in force."""
    force = state.force
    if force is None or force.id != request.id or request.at_step in (None, force.at_step):
        return state
    return _at_step(state, force, request.at_step, out)


def _at_step(state: State, force: Request, at_step: int | None, out: Out) -> State:
    force = replace(force, at_step=at_step)
    out.append(ev.Ask(force, again=True))
    return replace(state, force=force)


def end_now(state: State, want: Want, now: float, out: Out) -> State:
    """Stop without waiting for a save."""
    state = _one_more(_join(state, want), names.STOP_NOW, want, now)
    state = replace(state, notice=None, first_notice=now if state.first_notice is None else state.first_notice)
    return terminate(state, now, out) if state.phase == RUNNING else state


def _publish(state: State, action: str, want: Want, now: float, out: Out) -> State:
    state = _one_more(state, action, want, now)
    request = state.history[-1]
    out.append(ev.Ask(request))
    left = f", {units.duration(state.end - now)} left" if state.end is not None else ""
    verb = "save and stop" if action == names.SAVE_AND_STOP else "save"
    if not state.leaves:
        out.append(ev.Say(f"{want.reason}: asked the script to {verb}{left}"))
    echo = now + ECHO_SECONDS if action == names.SAVE and goes_on(state) else None
    fresh = replace(state, force=request, forced_at=now, published=True, answered=False, echo_until=echo)
    return replace(fresh, answered_by=frozenset(), withdraw_at=None, failure="")


def _one_more(state: State, action: str, want: Want, now: float) -> State:
    count = state.count + 1
    given = None if want.given is None else want.given.at_step  # the leader's word, where there is one
    request = Request(
        id=f"{state.rules.attempt}-{count}" if want.given is None else want.given.id,
        attempt=state.rules.attempt,
        action=action,
        reason=want.reason,
        cause=want.cause,
        deadline=state.end if action == names.SAVE_AND_STOP else None,
        at_step=told.at_step(state.script, now, state.rules.ahead, state.end) if given is None else given,
        created=now,
        by="" if want.given is None else want.given.by,
    )
    return replace(state, count=count, history=(*state.history, request))


def _join(state: State, want: Want) -> State:
    if want.given is None or want.given.id in state.open:
        return state
    return replace(state, open=(*state.open, want.given.id))


# --- answers -------------------------------------------------------------------------------------------------------------
def answer(state: State, by: ev.Answered, text: str, now: float, out: Out) -> State:
    """A rank has answered a request; everybody who waits is told as soon as there is a checkpoint."""
    force = state.force
    if force is None or by.request != force.id:
        return _answer_old(state, by, text, out)
    state = replace(state, answered_by=state.answered_by | {by.pid})
    if by.checkpoint and not state.answered:
        out.append(ev.Record("answered", {"request": by.request, "checkpoint": by.checkpoint}))
        out.append(ev.Say(text))
        out.extend(ev.Answer(each, ok=True, text=text, checkpoint=by.checkpoint) for each in state.open)
        state = replace(state, answered=True, open=())
    if state.published and _all_answered(state):
        return withdraw(state, out)
    if state.answered and force.action == names.SAVE and state.withdraw_at is None:
        return replace(state, withdraw_at=now + LATE_RANK_SECONDS)
    return state


def withdraw(state: State, out: Out) -> State:
    """The request file goes; a stop stays in force until the tree is gone."""
    if state.published:
        out.append(ev.Withdraw())
    is_save = state.force is not None and state.force.action == names.SAVE
    return replace(state, published=False, withdraw_at=None, force=None if is_save else state.force)


def _answer_old(state: State, by: ev.Answered, text: str, out: Out) -> State:
    """A request that a stronger one replaced while the script was at it."""
    if by.request not in state.open or not by.checkpoint:
        return state
    out.append(ev.Answer(by.request, ok=True, text=text, checkpoint=by.checkpoint))
    return replace(state, open=tuple(each for each in state.open if each != by.request))


def _all_answered(state: State) -> bool:
    """By every rank; a script without ranks may look for the file of a stop again after its save, so that one stays."""
    if state.script.ranks:
        return state.script.ranks <= state.answered_by
    return state.answered and state.force is not None and state.force.action == names.SAVE


# --- endings -------------------------------------------------------------------------------------------------------------
def terminate(state: State, now: float, out: Out) -> State:
    """SIGTERM, then ten seconds, or what is left of the time."""
    kill_at = now + state.rules.term_to_kill
    if state.limit is not None and state.limit > now:
        kill_at = min(kill_at, max(state.limit - 1.0, now + 1.0))
    out.append(ev.Terminate())
    return replace(state, phase=ENDING, end=now if state.end is None else min(state.end, now), kill_at=kill_at)


def end_strays(state: State, now: float, out: Out) -> State:
    """What the command left behind did not end by itself."""
    out.append(ev.Record("strays", {"ended": list(state.left)}))
    out.append(ev.Say(f"ending what the command left behind: {', '.join(state.left)}"))
    return terminate(replace(state, strays=state.left, linger_until=None), now, out)


def kill(state: State, now: float, out: Out) -> State:
    """SIGKILL to whatever is left."""
    if state.phase == KILLING:
        return state
    out.append(ev.Kill())
    return replace(state, phase=KILLING, kill_at=now + GIVE_UP_SECONDS)


def give_up(state: State, out: Out) -> State:
    """What even SIGKILL does not end hangs in the kernel (a dead network filesystem, a driver); we do not hang with it."""
    note = "something outlived SIGKILL: it sleeps uninterruptibly in the kernel, or belongs to another user"
    out.append(ev.Say(note, -1))
    return finish(replace(state, notes=(*state.notes, note)), out)


def finish(state: State, out: Out) -> State:
    """Nothing is left: whoever still waits is told that no checkpoint came."""
    text = f"not saved: {state.failure}" if state.failure else "the attempt ended before a checkpoint was saved"
    out.extend(ev.Answer(each, ok=False, text=text) for each in state.open)
    state = withdraw(replace(state, open=()), out)
    asked = state.force is not None and state.force.action == names.SAVE_AND_STOP
    if (
        asked and not state.answered and not state.script.done and not state.rules.follows
    ):  # whether all is saved is the leader's to say
        out.append(
            ev.Say("nothing was saved after the request to stop" + (f" ({state.failure})" if state.failure else ""), -1)
        )
    out.append(ev.Finish())
    return replace(state, phase=OVER, kill_at=None)
