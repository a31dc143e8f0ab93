"""What supervise saw of one attempt, put together at its end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Ended, Learned
from ckptrun.supervise import script as told

if TYPE_CHECKING:
    from typing import Any

    from ckptrun.supervise.children import Children
    from ckptrun.supervise.hands import Hands, Steady
    from ckptrun.supervise.state import State


def ended(state: State, steady: Steady, hands: Hands, children: Children | None, *, oom_kills: int, started: float) -> Ended:
    """The whole account; `started` is the steady time at which it began."""
    now = steady.now()
    script = state.script
    sent = sorted({*hands.sent, *(hands.ending.sent if hands.ending is not None else ())})
    killed = children is not None and _looks_killed(children) and signal.SIGKILL not in sent
    after_save = now - script.saved_at if script.saved_at is not None and state.answered else None
    return Ended(
        child_exit=children.exit if children is not None else None,
        child_signal=children.signal if children is not None else None,
        sent_signals=[int(each) for each in sent],
        requests=[steady.request(each) for each in state.history],
        first_notice=None if state.first_notice is None else steady.to_wall(state.first_notice),
        started=steady.to_wall(started),
        ended=steady.to_wall(now),
        step=script.step,
        total=script.total,
        epoch=script.epoch,
        saves=[round(each, 3) for each in script.save_seconds],
        checkpoints=list(script.checkpoints),
        done=script.done,
        lease_lost=state.lease_lost,
        oom=killed and oom_kills > 0,
        strays=list(state.strays),
        answered=state.answered and state.force is not None and state.force.action == names.SAVE_AND_STOP,
        learned=told.learned(script, Learned(), after_save),
        notes=[*state.notes, *hands.troubles],
    )


def progress(state: State, steady: Steady) -> dict[str, Any]:
    """How far the attempt is, for `ckptrun status`."""
    script = state.script
    seconds = sum(script.step_seconds)
    known = {
        "state": _word(state),
        "step": script.step,
        "total": script.total,
        "epoch": script.epoch,
        "steps_per_second": round(len(script.step_seconds) / seconds, 4) if seconds > 0 else None,
        "deadline": _deadline(state, steady),
        "deadline_from": state.limit_why if state.end is None and state.limit is not None else "",
        "last_save": None if script.saved_at is None else steady.to_wall(script.saved_at),
        "last_save_step": script.saved_step,
        "last_checkpoint": script.checkpoints[-1] if script.checkpoints else "",
        "request": state.force.id if state.force is not None else "",
    }
    return {key: value for key, value in known.items() if value not in (None, "")}


def _word(state: State) -> str:
    if state.phase != "running" or state.end is not None:
        return "stopping"
    return "saving" if state.script.saving else "running"


def _deadline(state: State, steady: Steady) -> float | None:
    at = state.limit if state.end is None else state.end
    return None if at is None else steady.to_wall(at)


def _looks_killed(children: Children) -> bool:
    """Itself, or something below it that it told about with its own code."""
    return children.signal == signal.SIGKILL or (children.exit is not None and children.exit != 0)
