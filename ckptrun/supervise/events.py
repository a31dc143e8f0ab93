"""What can happen to an attempt (events) and what can be done about it (actions): the machine's whole vocabulary.

All times are seconds on one steady clock; the loop translates to and from Unix time at the edge.
"""

from __future__ import annotations

from typing import Any

from ckptrun.model import Noun, Request


# --- events ------------------------------------------------------------------------------------------------------------
class Signalled(Noun, frozen=True):
    """A signal reached ckptrun, or its key was pressed on the terminal."""

    number: int


class Asked(Noun, frozen=True):
    """Somebody dropped a request into the inbox."""

    request: Request


class EndKnown(Noun, frozen=True):
    """The platform, or the user's time limit, says when all must be over; None = it does not say (any more)."""

    at: float | None
    why: str


class Hello(Noun, frozen=True):
    """A rank of the script introduced itself on the notify socket; `apart`: one of several that cannot agree on a step."""

    pid: int
    goes_on: bool = False
    world: int = 1
    apart: bool = False


class Stepped(Noun, frozen=True):
    """A rank finished a step."""

    pid: int
    step: int
    total: int | None = None
    epoch: float | int | None = None


class Saving(Noun, frozen=True):
    """A rank began to save."""

    step: int | None = None


class Saved(Noun, frozen=True):
    """A checkpoint is durable; `request` is the id of the request that it answers, or empty."""

    pid: int
    name: str
    step: int | None = None
    request: str = ""
    seconds: float = 0.0


class SaveFailed(Noun, frozen=True):
    """A rank could not save."""

    text: str


class Answered(Noun, frozen=True):
    """A rank has done its share of a request; `checkpoint` names what answers it, if this rank knows."""

    pid: int
    request: str
    checkpoint: str = ""


class Late(Noun, frozen=True):
    """A rank had passed the step at which all were to obey: none of them may obey alone."""

    pid: int
    request: str
    step: int | None = None
    text: str = ""


class Found(Noun, frozen=True):
    """A complete checkpoint, newer than the request in force, was found on disk (scripts that report none)."""

    name: str
    step: int | None = None


class Done(Noun, frozen=True):
    """The script says that the run is complete."""

    why: str


class RequeueAsked(Noun, frozen=True):
    """The script asked the scheduler, by our own `scontrol`, to requeue its job; `words` is the command."""

    words: str = ""


class CommandEnded(Noun, frozen=True):
    """The command itself is gone."""


class Left(Noun, frozen=True):
    """A look at the tree after the command's end: ranks that said hello, and others, by name."""

    workers: int = 0
    others: tuple[str, ...] = ()


class Unasked(Noun, frozen=True):
    """The leader asks nothing any more."""


class Tick(Noun, frozen=True):
    """Time has passed; `active` is when the script last wrote something."""

    active: float = 0.0


class LeaseLost(Noun, frozen=True):
    """Somebody else took the run over."""


Event = (
    Signalled
    | Asked
    | EndKnown
    | Hello
    | Stepped
    | Saving
    | Saved
    | SaveFailed
    | Answered
    | Late
    | Found
    | Done
    | RequeueAsked
    | CommandEnded
    | Left
    | Unasked
    | Tick
    | LeaseLost
)


# --- actions -----------------------------------------------------------------------------------------------------------
class Ask(Noun, frozen=True):
    """Put the request into the request file, then deliver the save signal (`machine.signals_for` says whether)."""

    request: Request
    again: bool = False  # the same request with a nearer deadline: nobody is signalled twice


class Withdraw(Noun, frozen=True):
    """Remove the request file."""


class Terminate(Noun, frozen=True):
    """SIGTERM to the tree, once to each."""


class Kill(Noun, frozen=True):
    """SIGKILL to the tree until nothing is left of it."""


class Answer(Noun, frozen=True):
    """Tell whoever asked."""

    id: str
    ok: bool
    text: str
    checkpoint: str = ""


class MarkStopped(Noun, frozen=True):
    """Leave the durable mark of a stop by the user."""

    by: str


class PassOn(Noun, frozen=True):
    """Tell the leader what was asked of us and has not come from it."""

    action: str
    reason: str
    cause: str = ""


class Pause(Noun, frozen=True):
    """Stop the tree, then us."""


class Say(Noun, frozen=True):
    """One line for the user; shown from this verbosity on (-1 = always)."""

    text: str
    level: int = 0


class Record(Noun, frozen=True):
    """One entry for the ledger."""

    event: str
    fields: dict[str, Any] = {}


class Finish(Noun, frozen=True):
    """Nothing is left to wait for."""


Action = Ask | Withdraw | Terminate | Kill | Answer | MarkStopped | PassOn | Pause | Say | Record | Finish
