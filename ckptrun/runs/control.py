"""Talking with a running attempt: what it says of itself, what is asked of it, what it answered, who stopped the run.

Everything but the inbox is written by the lease holder only. Times in these files are Unix seconds.
"""

from __future__ import annotations

import os

from ckptrun import names
from ckptrun.model import Holder, Noun, Request
from ckptrun.runs import documents, durable, holder, inbox, paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Identity

_LIMIT = 64 << 10  # bytes
_LOOK_SECONDS = 0.1  # between two looks for an answer


class Progress(Noun, frozen=True, kw_only=True):
    """What `ckptrun status` shows of a running attempt; body of control/progress.json."""

    format: int = names.FORMAT
    attempt: int
    attempt_id: str = ""
    state: str = ""  # starting | running | saving | stopping | ended
    updated: float = 0.0
    started: float = 0.0
    step: int | None = None
    total: int | None = None
    epoch: float | int | None = None
    steps_per_second: float | None = None
    deadline: float | None = None
    deadline_from: str = ""  # whose deadline: "--time-limit", "Slurm job 77"
    last_save: float | None = None
    last_save_step: int | None = None
    last_checkpoint: str = ""  # name
    next_save: float | None = None
    next_save_step: int | None = None
    request: str = ""  # id of the request in force
    notes: list[str] = []


class Stopped(Noun, frozen=True, kw_only=True):
    """The durable mark of a stop by the user; body of control/stopped.json."""

    format: int = names.FORMAT
    by: str  # "ana@login1", "Ctrl-C"
    when: str  # RFC 3339
    attempt: int = 0
    reason: str = ""

    def sentence(self) -> str:
        """`stopped by ana@login1 at 2026-11-20T18:11:47.000Z in attempt 3: maintenance`."""
        at = f" at {self.when}" if self.when else ""
        attempt = f" in attempt {self.attempt}" if self.attempt else ""
        return f"stopped by {self.by}{at}{attempt}" + (f": {self.reason}" if self.reason else "")


class Answer(Noun, frozen=True, kw_only=True):
    """What became of a request from the inbox; body of control/answers/ID.json."""

    format: int = names.FORMAT
    id: str
    ok: bool
    text: str = ""  # a sentence
    checkpoint: str = ""  # name of the checkpoint that answers it


def reset(run: paths.RunPaths) -> None:
    """Forget what an earlier attempt left: its request (it must not stop this one), progress and answers.

    Raises:
        errors.IoFailure: something could not be removed.
    """
    for path in (run.request, run.progress):
        _remove(path)
    for name in _listed(run.answers):
        _remove(os.path.join(run.answers, name))
    for directory in (run.dir, run.control, run.inbox):
        durable.sweep(directory)


def publish(run: paths.RunPaths, request: Request | None) -> None:
    """Show the request in force in control/request.json, or that there is none.

    Raises:
        errors.IoFailure: it could not be written.
    """
    if request is None:
        _remove(run.request)
    else:
        durable.replace(run.request, documents.encode(request), sync=False)  # worth nothing after a crash


def in_force(run: paths.RunPaths) -> Request | None:
    """The request in force, None if there is none.

    Raises:
        documents.Unreadable, errors.IoFailure: as `documents.read`.
    """
    return documents.read(run.request, Request, limit=_LIMIT)


def write_progress(run: paths.RunPaths, progress: Progress) -> None:
    """Show what the attempt does.

    Raises:
        errors.IoFailure: it could not be written.
    """
    durable.replace(run.progress, documents.encode(progress), sync=False)  # worth nothing after a crash


def read_progress(run: paths.RunPaths) -> Progress | None:
    """What the attempt last said it does, None if it said nothing.

    Raises:
        documents.Unreadable, errors.IoFailure: as `documents.read`.
    """
    return documents.read(run.progress, Progress, limit=_LIMIT)


def mark_stopped(run: paths.RunPaths, *, by: str, now: float, attempt: int = 0, reason: str = "") -> None:
    """Remember, durably, that the user stopped this run: starts by a scheduler end with 93 until a person starts it.

    Raises:
        errors.IoFailure: it could not be written.
    """
    mark = Stopped(by=by, when=records.now_text(now), attempt=attempt, reason=reason)
    durable.replace(run.stopped, documents.encode(mark))


def clear_stopped(run: paths.RunPaths) -> bool:
    """Forget the stop; whether there was one. Durable, or a scheduler would find the mark again.

    Raises:
        errors.IoFailure: it could not be removed.
    """
    if not _remove(run.stopped):
        return False
    try:
        durable.fsync_dir(run.control)
    except OSError as error:
        raise durable.io_error(error, run.control) from error
    return True


def stopped(run: paths.RunPaths) -> Stopped | None:
    """The mark of a stop by the user, None if there is none. A mark that cannot be understood is a mark.

    Raises:
        errors.IoFailure: it could not be read.
    """
    try:
        return documents.read(run.stopped, Stopped, limit=_LIMIT)
    except documents.Unreadable as error:
        return Stopped(by="unknown", when="", reason=error.message)


def post(run: paths.RunPaths, request: Request) -> str:
    """Ask the running attempt from outside; see `inbox.post`."""
    return inbox.post(run, request)


def take_inbox(run: paths.RunPaths, attempt: int, note: Callable[[str], None] = lambda _: None) -> list[Request]:
    """What was asked of `attempt` from outside since the last look; see `inbox.take`."""
    return inbox.take(run, attempt, note)


def answer(run: paths.RunPaths, given: Answer) -> None:
    """Tell who posted a request what became of it.

    Raises:
        errors.IoFailure, errors.CannotCreate: it could not be written.
    """
    paths.make_directory(run.answers, durable.PRIVATE_DIRECTORY)
    durable.replace(_answer_path(run, given.id), documents.encode(given), sync=False)


def read_answer(run: paths.RunPaths, request_id: str) -> Answer | None:
    """The answer to a request, None if there is none yet.

    Raises:
        documents.Unreadable, errors.IoFailure: as `documents.read`.
    """
    return documents.read(_answer_path(run, request_id), Answer, limit=_LIMIT)


def wait_answer(  # time and patience are arguments
    run: paths.RunPaths,
    request_id: str,
    *,
    timeout: float | None,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    gone: Callable[[], bool],
) -> Answer | None:
    """The answer, as soon as there is one; None after `timeout` seconds, or once `gone()` says that nobody can answer.

    Raises:
        documents.Unreadable, errors.IoFailure: as `documents.read`.
    """
    end = None if timeout is None else monotonic() + timeout
    while True:
        nobody = gone()  # before the look: an answer may be the last thing that it wrote
        given = read_answer(run, request_id)
        if given is not None or nobody or (end is not None and monotonic() >= end):
            return given
        sleep(_LOOK_SECONDS)


def running(run: paths.RunPaths, me: Identity, *, now: float) -> Holder | None:
    """Who runs this run at the moment, None if nobody does.

    The lock is not touched: even a moment's try would turn away a start. On the holder's kernel its process says; elsewhere
    a heartbeat younger than 90 s does, by both hosts' clocks: good enough to show and to post, never to take over.

    Raises:
        documents.Unreadable, errors.IoFailure: nobody can tell.
    """
    found = holder.read_holder(run)
    if found is None or found.state == holder.RELEASED:
        return None
    living = holder.alive(run, found, me)
    if living is None:
        age = holder.beaten_since(found, now)
        living = age is not None and age < names.DEAD_AFTER_SECONDS
    return found if living else None


def _answer_path(run: paths.RunPaths, request_id: str) -> str:
    paths.valid_id(request_id)
    return os.path.join(run.answers, f"{request_id}.json")


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise durable.io_error(error, path) from error
    return True


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise durable.io_error(error, directory) from error
