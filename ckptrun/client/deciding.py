"""Whether to save and whether to stop, after every step: the cadence, the end, and what is asked; with several ranks, together."""

from __future__ import annotations

import time

from ckptrun.client.notify import clipped, say
from ckptrun.policy import cadence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ckptrun.client.asking import Asked
    from ckptrun.client.notify import Notify
    from ckptrun.client.place import Place

    class Looks(Protocol):
        """Something that knows what is asked at this moment."""

        def look(self) -> Asked | None:
            """What is asked; None: nothing."""


REQUEST = "request"  # why a save is made, beside cadence.EVERY and cadence.FINAL
USER = "user"  # the script saves of its own accord
_NOT, _EVERY, _FINAL, _SAVE, _SAVE_AND_STOP, _STOP = range(6)  # rank 0's decision, as it travels
_WHY = ("", cadence.EVERY, cadence.FINAL, REQUEST, REQUEST, "")
_CODE = {"": _NOT, cadence.EVERY: _EVERY, cadence.FINAL: _FINAL}


class Deciding:
    """What was saved last, which request was told, which is answered."""

    def __init__(
        self,
        place: Place,
        every: cadence.Every,
        last: cadence.Last,
        looks: Looks,
        notify: Notify,
        agree: Callable[[int], int] | None,
    ) -> None:
        self._place, self._every, self._last, self._looks, self._notify = place, every, last, looks, notify
        self._agree = agree if place.world > 1 else None
        self.apart = place.world > 1 and agree is None  # several ranks that cannot agree
        self._before: int | None = None  # the step that should_save was asked about before
        self._why: tuple[int | None, str] = (None, "")  # the step that it said yes to, and why
        self._told: Asked | None = None  # the request that the script was told and has not answered yet
        self._answered = ""  # the key of the one that was answered last
        self._saved: tuple[int | None, str] = (None, "")  # step and name of what this attempt saved last
        self._stopped = False  # a request to stop was answered

    def should_save(self, step: int, epoch: float | None, total: int | None) -> bool:
        """The decision after `step`; a request that needs no save is answered here."""
        code = self._agreed(self._own(step, epoch, total))
        self._before = step
        if code == _STOP:
            self._stopped = True
        if not _WHY[code]:
            return False
        if code == _SAVE_AND_STOP and self._place.rank and self._agree:
            self._stopped = True  # rank 0 holds the request; this one only knows of it
        self._last = cadence.Last(step, epoch, time.monotonic())
        self._why = (step, _WHY[code])
        return True

    def should_stop(self) -> bool:
        """True once a request to stop was told. A script that never asks should_save hears of it here."""
        if self._before is None and not self.apart and not self._stopped:
            asked = None if self._agree and self._place.rank else self._new()
            wanted = asked is not None and asked.stops
            if self._agreed(_SAVE_AND_STOP if wanted else _NOT) == _SAVE_AND_STOP:
                self._told = self._told or asked
                self._stopped = True
        return self._stopped or (self._told is not None and self._told.stops)

    def saving(self, step: int) -> tuple[str, str]:
        """Why the script saves `step`, and the id of the request that this answers ("" = none)."""
        if self._told is None and self._place.world == 1:
            self._told = self._new()  # seen here first: this save is the answer all the same
        told = self._told
        why = self._why[1] if self._why[0] == step else REQUEST if told else USER
        return why, told.id if told else ""

    def ended(self, step: int, epoch: float | None, name: str) -> None:
        """A save has ended with the checkpoint `name`, or with nothing: then its request is told again."""
        told = self._told
        if not name:
            if self._place.world == 1:
                self._told = None
            return
        self._saved = (step, name)
        self._last = cadence.Last(max(step, self._last.step or 0), epoch, time.monotonic())
        if told is not None:
            self._close(told)

    def _own(self, step: int, epoch: float | None, total: int | None) -> int:
        """This rank's decision, before rank 0's replaces it."""
        asked = None if self._agree and self._place.rank else self._new(step)
        if asked is not None and self.apart and not self._on_time(asked):
            asked = None
        if asked is not None:
            return self._tell(asked, step)
        if self.apart and self._every.kind == "seconds" and (total is None or step < total - 1):
            return _NOT  # the ranks' clocks differ
        return _CODE[cadence.due(self._every, self._last, step=step, epoch=epoch, total=total, seconds=time.monotonic())]

    def _tell(self, asked: Asked, step: int) -> int:
        self._told = asked
        if self._saved[0] != step:
            return _SAVE_AND_STOP if asked.stops else _SAVE
        self._close(asked)  # this very state is saved already
        self._notify.send(answered=asked.id, checkpoint=self._saved[1])
        return _STOP if asked.stops else _NOT

    def _new(self, step: int | None = None) -> Asked | None:
        """What is asked, if it was neither told nor answered before, and if its step has come."""
        asked = self._looks.look()
        if asked is None or asked.key == self._answered or (self._told is not None and asked.key == self._told.key):
            return None
        if asked.at_step is not None and (step if step is not None else self._before or 0) < asked.at_step:
            return None
        return asked

    def _on_time(self, asked: Asked) -> bool:
        """May one of several ranks that cannot agree obey, knowing that all others obey at the same step?"""
        if asked.at_step is None:
            return False
        if self._before is None or self._before < asked.at_step:
            return True
        self._answered = asked.key
        late = f"rank {self._place.rank} saw the request for step {asked.at_step} after step {self._before}: not obeyed"
        self._notify.send(late=asked.id, step=self._before, text=clipped(late))
        say(f"{late}, for the ranks would part")
        return False

    def _close(self, asked: Asked) -> None:
        self._told, self._answered = None, asked.key
        self._stopped = self._stopped or asked.stops

    def _agreed(self, code: int) -> int:
        return int(self._agree(code)) if self._agree else code
