"""What the script's side tells ckptrun (datagrams that nobody waits for) and people (one line on stderr)."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 1000  # bytes of a datagram
_LONGEST_TEXT = 300  # characters of a text in it


class Notify:
    """Sends to ckptrun's socket at `path`; "" = nobody listens."""

    __slots__ = ("_path", "_socket")

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: Any = None

    def __del__(self) -> None:
        if self._socket is not None:
            self._socket.close()  # or Python warns of it where warnings are errors

    def send(self, **fields: Any) -> bool:
        """Send one JSON object, at once or not at all: False when nobody listens or the listener's queue is full."""
        if not self._path:
            return False
        import json  # noqa: PLC0415  # 2 ms that scripts outside ckptrun need not spend

        data = json.dumps(fields, allow_nan=False, separators=(",", ":")).encode()
        if len(data) > LARGEST:
            return False
        try:
            if self._socket is None:
                self._socket = _datagrams()
            self._socket.sendto(data, self._path)
        except OSError:
            return False
        return True


def _datagrams() -> Any:
    import _socket  # noqa: PLC0415  # the C half: the other half of `socket` takes 2 ms

    opened = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    opened.setblocking(False)
    return opened


def say(sentence: str) -> None:
    """One line on stderr, if there is one."""
    try:
        sys.stderr.write(f"ckptrun: {one_line(sentence)}\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        pass  # no stderr, or it is closed: there is nobody to tell


def clipped(text: str) -> str:
    """`text`, short enough for a datagram."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def one_line(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def told(error: BaseException) -> str:
    """An exception as part of a sentence."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
