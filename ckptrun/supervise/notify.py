"""What the script tells us: small JSON datagrams on a socket in the node-local directory. Never answered, never trusted far."""

from __future__ import annotations

import _socket as socket  # the C half; the other half costs two milliseconds of the launch
import os
import struct
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import names
from ckptrun.supervise import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST = 4096
_MANY = 1000  # datagrams in one round; the rest keeps until the next
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_LINUX = sys.platform == "linux"


class NotifySocket:
    """Receives datagrams as events; the sender's pid is the kernel's word, not its own."""

    def __init__(self, local_dir: str) -> None:
        self.path = os.path.join(local_dir, names.NOTIFY_SOCKET)
        if os.path.lexists(self.path):
            os.unlink(self.path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if _LINUX:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(self.path)
        self.bad = 0  # datagrams that were none of ours

    def fileno(self) -> int:
        """Readable when something was said."""
        return self._socket.fileno()

    def take(self) -> list[ev.Event]:
        """What was said since the last call."""
        found = []
        for _ in range(_MANY):
            try:
                data, ancillary, _flags, _from = self._socket.recvmsg(_LARGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                break
            event = parse(data, _sender(ancillary))
            if event is not None:
                found.append(event)
            else:
                self.bad += 1
        return found

    def close(self) -> None:
        """Hang up and leave no socket behind."""
        self._socket.close()
        if os.path.lexists(self.path):
            os.unlink(self.path)


def parse(data: bytes, pid: int) -> ev.Event | None:
    """One datagram as an event; None for anything that is not one of ours."""
    try:
        message = msgspec.json.decode(data, type=dict[str, Any])
        for key, read in _MESSAGES.items():
            if key in message:
                return read(message, pid)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return None


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if _LINUX and (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0])
    return 0


# --- messages: the first key decides ----------------------------------------------------------------------------------------
def _hello(message: dict[str, Any], pid: int) -> ev.Event:
    hello = message["hello"]
    world = max(int(hello.get("world") or 1), 1)
    apart = world > 1 and hello.get("apart") is not False  # who does not say that the ranks agree is not relied on to do so
    return ev.Hello(pid or int(hello["pid"]), hello.get("goes_on") is True, world, apart)


def _checkpoint(message: dict[str, Any], pid: int) -> ev.Event:
    request, seconds = message.get("request") or "", message.get("seconds") or 0.0
    return ev.Saved(pid, str(message["checkpoint"]), _whole(message.get("step")), str(request), max(float(seconds), 0.0))


def _step(message: dict[str, Any], pid: int) -> ev.Event:
    return ev.Stepped(pid, int(message["step"]), _whole(message.get("total")), _number(message.get("epoch")))


_MESSAGES: dict[str, Callable[[dict[str, Any], int], ev.Event]] = {
    "hello": _hello,
    "answered": lambda message, pid: ev.Answered(pid, str(message["answered"]), str(message.get("checkpoint") or "")),
    "checkpoint": _checkpoint,
    "saving": lambda message, _: ev.Saving(_whole(message["saving"])),
    "late": lambda message, pid: ev.Late(
        pid, str(message["late"]), _whole(message.get("step")), str(message.get("text", ""))
    ),
    "failed": lambda message, _: ev.SaveFailed(str(message["failed"])),
    "done": lambda message, _: ev.Done(str(message["done"])),
    "step": _step,
}


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
