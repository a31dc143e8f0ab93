"""The request file: there while something is asked of the script, whole at every moment. Beside it, what the script asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.supervise.events import RequeueAsked

if TYPE_CHECKING:
    from ckptrun.model import Request

_SHOWN = ("format", "id", "attempt", "action", "reason", "deadline", "at_step")
_LONGEST = 200  # bytes of the script's words that are kept


class RequestFile:
    """In the node-local directory, so that looking for it costs microseconds. Not synced: a crash ends the attempt anyway."""

    def __init__(self, local_dir: str) -> None:
        self.path = os.path.join(local_dir, names.REQUEST)
        self.remove()  # one left by an attempt that was killed must not stop this one

    def write(self, request: Request) -> None:
        """Ask."""
        body = {key: getattr(request, key) for key in _SHOWN}
        beside = f"{self.path}.new"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, msgspec.json.encode(body))
        finally:
            os.close(fd)
        os.rename(beside, self.path)

    def remove(self) -> None:
        """Nothing is asked any more."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


def requeue_asked(local_dir: str) -> RequeueAsked | None:
    """What our own `scontrol` left there since the last look; None = nothing."""
    path = os.path.join(local_dir, names.REQUEUE_ASKED)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        words = os.read(fd, _LONGEST)
    finally:
        os.close(fd)
    os.unlink(path)
    return RequeueAsked(words.decode("utf-8", "backslashreplace").strip())
