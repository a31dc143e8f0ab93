"""What is asked of the script: by ckptrun through the request file, or, without ckptrun, by SIGTERM and SIGUSR1."""

from __future__ import annotations

import os
import stat

from ckptrun import names
from ckptrun.client.notify import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGEST = 1 << 16  # bytes of a request file


class Asked:
    """One request: save, or save and stop."""

    __slots__ = ("at_step", "id", "reason", "stops")

    def __init__(self, id: str, *, stops: bool, reason: str = "", at_step: int | None = None) -> None:  # noqa: A002
        self.id = id
        self.stops = stops
        self.reason = reason
        self.at_step = at_step  # all ranks obey at this step, not before

    @property
    def key(self) -> str:
        """What tells one request from another: a save that has become a stop is another one, and so is one for a later step."""
        return f"{self.id} {self.stops} {self.at_step}"


class RequestFile:
    """ckptrun's file: there while something is asked. Looking costs less than a microsecond while it is not."""

    __slots__ = ("_attempt", "_last", "_path", "_seen")

    def __init__(self, path: str, attempt: int) -> None:
        self._path = path
        self._attempt = attempt
        self._seen: tuple[int, ...] | None = None
        self._last: Asked | None = None

    def look(self) -> Asked | None:
        """What is asked now; None: nothing. A file that cannot be understood is said once and ignored."""
        if not os.access(self._path, os.F_OK):
            return None
        try:
            found = os.stat(self._path)
            version = (found.st_ino, found.st_size, found.st_mtime_ns)
            if version != self._seen:
                self._last = self._read()
                self._seen = version
        except OSError:
            return None  # answered and removed at this moment
        except (ValueError, KeyError, TypeError) as error:
            self._seen, self._last = version, None
            say(f"the request in {self._path} is not understood and ignored: {error}")
        return self._last

    def _read(self) -> Asked | None:
        import json  # noqa: PLC0415  # only when something is asked

        fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ValueError("not a regular file")
            body = json.loads(os.read(fd, _LARGEST))
        finally:
            os.close(fd)
        if body["attempt"] != self._attempt:
            return None  # left by an attempt that was killed
        if body["action"] not in (names.SAVE, names.SAVE_AND_STOP):
            raise ValueError(f"unknown action {body['action']!r}")
        at_step = body.get("at_step")
        return Asked(
            str(body["id"]),
            stops=body["action"] == names.SAVE_AND_STOP,
            reason=str(body.get("reason", "")),
            at_step=None if at_step is None else int(at_step),
        )


class Signals:
    """Without ckptrun: SIGTERM and SIGUSR1 ask to save and stop, unless somebody handles them already."""

    __slots__ = ("_asked", "_names")

    def __init__(self) -> None:
        import signal  # noqa: PLC0415  # 4 ms that are not needed under ckptrun

        self._asked: Asked | None = None
        self._names: dict[int, str] = {signal.SIGTERM: "SIGTERM", signal.SIGUSR1: "SIGUSR1"}
        for number in self._names:
            try:
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._handle)
            except ValueError:
                return  # not in the main thread: signals are the main thread's

    def look(self) -> Asked | None:
        """The first request that a signal made; another signal changes nothing."""
        return self._asked

    def _handle(self, number: int, _frame: Any) -> None:
        if self._asked is None:
            name = self._names[number]
            self._asked = Asked(f"signal-{name}", stops=True, reason=name)


class Nobody:
    """Nothing is ever asked."""

    def look(self) -> Asked | None:
        """None."""
        return None
