"""`run = ckptrun.attach()`: what a script asks, and what it is told."""

from __future__ import annotations

import os
import time

from ckptrun import names
from ckptrun.client import alone, asking, commit
from ckptrun.client.deciding import Deciding
from ckptrun.client.notify import Notify, clipped, say, told
from ckptrun.client.place import Place
from ckptrun.policy.cadence import Every, Last

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Mapping
    from typing import Any

    from ckptrun.client.deciding import Looks
    from ckptrun.client.saving import Saving

_REPORT_SECONDS = 1.0  # at most one step message in so long


def attach(
    *,
    agree: Callable[[int], int] | None = None,
    signals: bool = True,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    every: str | int | None = None,
) -> Run:
    """The run that this script is an attempt of; without ckptrun around it, a run of its own in ./checkpoints.

    Args:
        agree: with several ranks (WORLD_SIZE), a collective that returns on every rank the number that rank 0 gave it; then every rank
            calls should_save at the same steps.
        signals: without ckptrun, take SIGTERM and SIGUSR1 as requests to save and stop, unless somebody handles them already.
        checkpoint_dir: where to save without ckptrun; under ckptrun its own place is used.
        every: the script's own cadence (20, "10m", "2epochs"), when neither ckptrun nor $CKPTRUN_EVERY says another.

    Raises:
        ValueError: a cadence that is none.
        OSError: without ckptrun, the checkpoints cannot be read, so that starting from nothing would be wrong.
    """
    environ = os.environ  # noqa: TID251  # the script's side is where the environment is read
    place = Place(environ, checkpoint_dir=os.fspath(checkpoint_dir) if checkpoint_dir is not None else "")
    cadence = Every(place.every or str(every or names.DEFAULT_EVERY))
    return Run(place, cadence, agree=agree, signals=signals)


class Run:
    """One attempt, as its script sees it. Made by `attach`."""

    def __init__(self, place: Place, every: Every, *, agree: Callable[[int], int] | None, signals: bool) -> None:
        self._place = place
        self._notify = Notify(place.notify)
        self._resumed = _resumed(place)
        self._step: int | None = None  # the last one heard of
        self._total: int | None = None
        self._epoch: float | None = None
        self._metrics: tuple[int | None, Mapping[str, Any] | None] = (None, None)  # of which step
        self._size = 0  # bytes of the last checkpoint
        self._reported: tuple[int | None, float] = (None, 0.0)  # which step, when
        last = Last(self.resume_step, self._resumed.epoch if self._resumed else None, time.monotonic())
        looks = _looks(place, signals=signals and not (place.world > 1 and agree is None))
        self._deciding = Deciding(place, every, last, looks, self._notify, agree)
        _hello(place, self._notify, apart=self._deciding.apart, every=every)

    # --- what the script is given -----------------------------------------------------------------------------------
    @property
    def resume_from(self) -> pathlib.Path | None:
        """The checkpoint to continue from; None: start from the beginning."""
        return _path(self._resumed.path) if self._resumed else None

    @property
    def resume_step(self) -> int | None:
        """The last step that it contains: go on with the next. None: unknown, or nothing to continue from."""
        return self._resumed.step if self._resumed else None

    @property
    def attempt(self) -> int:
        """Which start of the run this is; 1 = the first, and always without ckptrun."""
        return self._place.attempt

    @property
    def checkpoint_dir(self) -> pathlib.Path:
        """Where checkpoints are kept across attempts."""
        return _path(self._place.checkpoint_dir)

    @property
    def output_dir(self) -> pathlib.Path:
        """This attempt's own output; without ckptrun ./output, made when it is asked for."""
        if not self._place.under:
            os.makedirs(self._place.output_dir, exist_ok=True)
        return _path(self._place.output_dir)

    @property
    def input_dir(self) -> pathlib.Path:
        """Where --data mounts lie; without ckptrun ./input."""
        return _path(self._place.input_dir)

    # --- what the script asks and says --------------------------------------------------------------------------------
    def should_save(
        self, step: int, *, epoch: float | None = None, metrics: Mapping[str, Any] | None = None, total: int | None = None
    ) -> bool:
        """True when the state after `step` (zero-based, just finished) should be saved: by the cadence, at the end, on request.

        True once for each request. `metrics` are kept for the checkpoint of this step.
        """
        self.progress(step, total=total, epoch=epoch)
        assert self._step is not None
        self._metrics = (self._step, metrics)
        return self._deciding.should_save(self._step, self._epoch, self._total)

    @property
    def should_stop(self) -> bool:
        """True once the script was asked to stop and told to save first: break out of the loop."""
        return self._deciding.should_stop()

    def checkpoint(self, step: int, *, epoch: float | None = None, metrics: Mapping[str, Any] | None = None) -> Saving:
        """Save: `with run.checkpoint(step) as folder:` write into `folder` (a pathlib.Path); it becomes the checkpoint whole or not at all.

        An exception in the block leaves nothing behind but a line on stderr. When this attempt has saved this very step already, that
        checkpoint stands and what the block writes is discarded. With several ranks, rank 0's folder is the checkpoint.

        Raises:
            LeaseLost, OSError, ValueError: on leaving the block: it was not saved, and nothing of it is left.
        """
        from ckptrun.client.saving import WORTH_A_THREAD, Saving  # noqa: PLC0415  # pathlib and more, not before the first save

        step = _whole(step)
        epoch = self._epoch if epoch is None else _epoch(epoch)
        if metrics is None and self._metrics[0] == step:
            metrics = self._metrics[1]
        why, request = self._deciding.saving(step)
        fields = {"step": step, "epoch": epoch, "metrics": metrics, "reason": why, "request": request}

        def ended(name: str, size: int) -> None:
            self._size = size or self._size
            self._deciding.ended(step, epoch, name)

        return Saving(self._place, self._notify, fields, ended, large=self._size >= WORTH_A_THREAD)

    def progress(self, step: int, total: int | None = None, epoch: float | None = None) -> None:
        """Say where the training is: it is sent on at most once a second. `should_save` says it too."""
        self._step = _whole(step)
        if total is not None:
            self._total = _whole(total)
        if epoch is not None:
            self._epoch = _epoch(epoch)
        now = time.monotonic()
        if now - self._reported[1] >= _REPORT_SECONDS:
            self._report(now)

    def done(self, why: str = "") -> None:
        """Prove that the training is complete: no other start of this run will train again. Without ckptrun nothing happens.

        Raises:
            LeaseLost: another attempt holds the run.
            OSError: the proof could neither be written nor sent.
        """
        self._report(time.monotonic())
        if not self._place.under or self._place.rank:
            return
        commit.require_lease(self._place)
        try:
            commit.write_done(self._place.done_file, why)
        except OSError as error:
            say(f"the proof of completion could not be written: {told(error)}")
            if not self._notify.send(done=clipped(why)):
                raise
        else:
            self._notify.send(done=clipped(why))

    def _report(self, now: float) -> None:
        if self._step is not None and self._step != self._reported[0]:
            self._reported = (self._step, now)
            self._notify.send(step=self._step, total=self._total, epoch=self._epoch)


def _looks(place: Place, *, signals: bool) -> Looks:
    if place.under:
        return asking.RequestFile(place.request_file, place.attempt) if place.request_file else asking.Nobody()
    return asking.Signals() if signals else asking.Nobody()


def _hello(place: Place, notify: Notify, *, apart: bool, every: Every) -> None:
    us = {"pid": os.getpid(), "rank": place.rank, "world": place.world, "apart": apart}
    notify.send(hello={**us, "goes_on": True, "version": names.VERSION})
    if apart and place.rank == 0:
        by_time = "; saving by time is off" if every.kind == "seconds" else ""
        say(f"{place.world} ranks and no attach(agree=…): requests are obeyed only when they name a step{by_time}")


def _resumed(place: Place) -> alone.Found | None:
    if not place.under:
        return alone.newest(place.checkpoint_dir)
    if not place.resume_from:
        return None
    try:
        epoch = alone.read(place.resume_from).get("epoch") if os.path.isdir(place.resume_from) else None
    except (ValueError, OSError):
        epoch = None  # another layout's, or not readable: the script will say so when it loads it
    return alone.Found(place.resume_from, place.resume_step, epoch)


def _path(text: str) -> pathlib.Path:
    import pathlib  # noqa: PLC0415  # 4 ms that a script which never asks for a path need not spend

    return pathlib.Path(text)


def _whole(number: Any) -> int:
    """A step as an int; numpy's and torch's integers are taken.

    Raises:
        ValueError: it is negative or not whole.
    """
    if type(number) is int and number >= 0:
        return number
    whole = int(number)
    if whole != number or whole < 0:
        raise ValueError(f"a step is a whole number from 0 on, not {number!r}")
    return whole


def _epoch(number: Any) -> float | None:
    """An epoch as an int or a finite float; anything else is not known."""
    if type(number) is int:
        return number
    value = float(number)
    if value - value != 0:  # nan or infinite
        return None
    return int(value) if value.is_integer() and not isinstance(number, float) else value
