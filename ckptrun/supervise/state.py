"""What the machine's decisions depend on, and what follows from it at once. Pure."""

from __future__ import annotations

from ckptrun import names
from ckptrun.model import Learned, Noun, Request
from ckptrun.policy import notice
from ckptrun.supervise import script as told
from ckptrun.supervise.events import Action
from ckptrun.supervise.script import Script

RUNNING, ENDING, KILLING, OVER = "running", "ending", "killing", "over"

BOOKKEEPING = names.BOOKKEEPING_SECONDS
LINGER_SECONDS = 5.0  # what the command left behind may end by itself
GIVE_UP_SECONDS = 10.0  # after SIGKILL: what is still there sleeps uninterruptibly in the kernel
ECHO_SECONDS = 600.0  # a handler's save may take so long; what it asks the scheduler after that is the script's own wish
LEAVE_SECONDS = 5.0  # a script that asked to be requeued may end by itself
LATE_RANK_SECONDS = 5.0  # after the first answer to a save, for the other ranks to read the request
LEADER_SECONDS = 1.0  # what one of several tasks is sent, all are, as a rule: the leader says so within that, or is told
ALONE_SECONDS = 4.0  # and without a word from it a follower acts alone: Slurm's KILL is near
LONGEST_LEAD = 3600.0  # an end farther away than this is not what a signal gives notice of


class Rules(Noun, frozen=True, kw_only=True):
    """What the user and the platform decided beforehand."""

    attempt: int
    grace: float
    grace_given: bool = False
    term_to_kill: float = names.TERM_TO_KILL_SECONDS
    stall_timeout: float | None = None
    means_save: bool = False  # --signal-means save: the user's word that the script goes on
    learned: Learned = Learned()
    follows: bool = False
    ahead: float = 0.0


class Notice(Noun, frozen=True, kw_only=True):
    """A notice whose first save was asked for; the stop comes later."""

    cause: str
    reason: str
    end: float


class State(Noun, frozen=True, kw_only=True):
    """All that the decisions depend on."""

    rules: Rules
    started: float
    phase: str = RUNNING
    script: Script = Script()
    active: float = 0.0  # when the script last wrote something
    # requests
    count: int = 0
    force: Request | None = None  # in the request file, or (a stop) answered and waited for
    forced_at: float = 0.0
    published: bool = False
    open: tuple[str, ...] = ()  # ids that wait for an answer
    answered_by: frozenset[int] = frozenset()
    withdraw_at: float | None = None
    history: tuple[Request, ...] = ()
    failure: str = ""  # the last failed save since the request
    echo_until: float | None = None  # until then a request to be requeued is a handler's habit after a plain save
    leaves: bool = False  # the script asked to be requeued: it has saved what it wants to keep
    answered: bool = False
    # the end
    limit: float | None = None  # everything must be over
    limit_why: str = ""
    notice: Notice | None = None
    first_notice: float | None = None
    end: float | None = None  # SIGTERM
    kill_at: float | None = None
    interrupts: int = 0
    # a follower's own signals, until its leader asks for the same
    own: tuple[int, ...] = ()
    own_at: float | None = None
    passed_on: bool = False
    # the command
    command_ended: float | None = None
    linger_until: float | None = None
    left: tuple[str, ...] = ()  # what was left of the tree at the last look
    strays: tuple[str, ...] = ()
    lease_lost: bool = False
    notes: tuple[str, ...] = ()


Out = list[Action]


def signals_for(state: State) -> Request | None:
    """The request for which the save signal is to be delivered now.

    Most handlers in the wild save *and exit*, so a plain save is signalled only to a script that goes on after it.
    """
    request = state.force
    if request is None or state.phase != RUNNING or not state.published or state.leaves:
        return None
    return request if request.action == names.SAVE_AND_STOP or goes_on(state) else None


def goes_on(state: State) -> bool:
    """The script goes on after a save that is no stop: by its own word, or the user's."""
    return state.script.goes_on or state.rules.means_save


def stopping(state: State) -> bool:
    """A stop was asked for, or is under way."""
    return state.end is not None or state.phase != RUNNING


def learned(state: State, ended: float | None = None) -> Learned:
    """What earlier attempts and this one taught; `ended` is when the tree was gone."""
    saved_at = state.script.saved_at
    known = ended is not None and saved_at is not None and state.answered
    return told.learned(state.script, state.rules.learned, ended - saved_at if known and ended and saved_at else None)


# --- ends: when SIGTERM must go out -------------------------------------------------------------------------------------
def limit_end(state: State, now: float) -> float | None:
    """The known end, less our own bookkeeping. One that has passed says nothing: Slurm's TERM comes after it, with KillWait left."""
    if state.limit is None or state.limit - BOOKKEEPING <= now:
        return None
    return state.limit - BOOKKEEPING


def grace_end(state: State, now: float) -> float:
    """The end of a stop that is asked for now: the earliest of all known."""
    limit = limit_end(state, now)
    return now + state.rules.grace if limit is None else min(now + state.rules.grace, limit)


def notice_end(state: State, now: float) -> float | None:
    """The end that a notice is about, if it is known."""
    limit = limit_end(state, now)
    return limit if limit is not None and limit - now <= LONGEST_LEAD else None


# --- times at which something is due -------------------------------------------------------------------------------------
def raise_at(state: State) -> float | None:
    """When we give notice of a known end ourselves."""
    if state.limit is None or stopping(state) or state.notice is not None:
        return None
    end, known = state.limit - BOOKKEEPING, learned(state)
    at = notice.raise_at(end, known, goes_on=goes_on(state), grace=state.rules.grace)
    guessed = known.save is None and known.first_save is None
    return max(at, (state.started + end) / 2) if guessed else at  # what is only guessed may not take more than half the time


def last_call_at(state: State) -> float | None:
    """When a script that was given notice, and went on, is asked for its last save."""
    if state.notice is None:
        return None
    return notice.last_call(state.notice.end, learned(state))


def pass_on_at(state: State) -> float | None:
    """When the leader is told of a signal that it says nothing of."""
    return None if state.own_at is None or state.passed_on else state.own_at + LEADER_SECONDS


def alone_at(state: State) -> float | None:
    """When a follower acts on its own signals."""
    return None if state.own_at is None else state.own_at + ALONE_SECONDS


def stalled_at(state: State) -> float | None:
    """When silence has lasted too long."""
    if state.rules.stall_timeout is None or stopping(state) or state.command_ended is not None:
        return None
    script = state.script
    heard = [state.started, state.active, script.stepped_at or 0.0, script.saved_at or 0.0]
    return max(heard) + state.rules.stall_timeout
