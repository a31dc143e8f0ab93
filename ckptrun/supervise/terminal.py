"""Our terminal and the child's: a terminal stays a terminal, ^C and ^Z are read by us and acted on as signals."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import termios

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6
_IN_RAW = termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL
_LOCAL_RAW = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
_KEYS = ((termios.VINTR, signal.SIGINT), (termios.VQUIT, signal.SIGQUIT), (termios.VSUSP, signal.SIGTSTP))
_MOST_TYPED = 1 << 16  # bytes kept for a child that does not read


class Terminal:
    """The terminal we were started from. Raw only while it is ours to use: in the foreground, and until we let go of it.

    Output processing stays on, because the child's own is off: what it writes is the same, byte for byte, in the log.
    """

    def __init__(self, fd: int) -> None:
        try:
            self.fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            self.fd = os.dup(fd)
        self._normal = termios.tcgetattr(self.fd)
        self._raw = False

    @property
    def ours(self) -> bool:
        """Raw, so that what is typed is ours to read."""
        return self._raw

    def take(self) -> None:
        """Go raw if we are in the foreground."""
        if self._raw or not self._in_foreground():
            return
        try:
            self._normal = termios.tcgetattr(self.fd)
            raw = list(self._normal)
            raw[_IFLAG] &= ~_IN_RAW  # ^S and ^Q keep pausing the screen: the sink notices, the child does not
            raw[_CFLAG] = (raw[_CFLAG] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
            raw[_LFLAG] &= ~_LOCAL_RAW
            raw[_CC] = list(raw[_CC])
            raw[_CC][termios.VMIN], raw[_CC][termios.VTIME] = 1, 0
            termios.tcsetattr(self.fd, termios.TCSADRAIN, raw)
            self._raw = True
        except termios.error:  # hung up
            self._raw = False

    def give_back(self) -> None:
        """Leave the terminal as we found it."""
        if not self._raw:
            return
        self._raw = False
        if self._in_foreground():  # else it is somebody else's now, who has set it up for himself
            try:
                termios.tcsetattr(self.fd, termios.TCSADRAIN, self._normal)
            except termios.error:
                pass

    def check(self) -> None:
        """Notice that the shell moved us between foreground and background."""
        if self._raw and not self._in_foreground():
            self._raw = False
        self.take()

    def read(self) -> bytes | None:
        """What was typed; empty when the terminal hung up, None when there is nothing (for us) to read."""
        try:
            return os.read(self.fd, 4096)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO and not self._in_foreground():
                self._raw = False
                return None
            return b""

    def lose(self) -> None:
        """It hung up: nothing is ours any more."""
        self._raw = False

    def close(self) -> None:
        """Give it back and let go."""
        self.give_back()
        os.close(self.fd)

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self.fd) == os.getpgrp()
        except OSError as error:
            return error.errno == errno.ENOTTY  # not our controlling terminal: there is no job control to mind


class Pty:
    """The child's terminal; we hold the other end."""

    def __init__(self, like: int) -> None:
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        attributes = termios.tcgetattr(like)
        attributes[_IFLAG] &= ~(termios.IXON | termios.IXOFF)  # nobody's ^S may stop the child
        attributes[_OFLAG] &= ~termios.OPOST
        attributes[_LFLAG] |= termios.ISIG | termios.ICANON | termios.ECHO | termios.IEXTEN
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, fcntl.ioctl(like, termios.TIOCGWINSZ, bytes(8)))
        self._typed = bytearray()
        self._literal = False

    @property
    def waiting(self) -> bool:
        """The child has not read all that was typed."""
        return bool(self._typed)

    def resize(self, size: bytes) -> None:
        """The window changed; the kernel tells the child."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def type(self, data: bytes) -> None:
        """Pass on what was typed; a child that never reads gets the first 64 KiB of it."""
        self._typed += data[: max(_MOST_TYPED - len(self._typed), 0)]
        self.flush()

    def flush(self) -> None:
        """Write what the child's terminal takes now."""
        try:
            while self._typed:
                del self._typed[: os.write(self.master, self._typed)]
        except BlockingIOError:
            pass
        except OSError:  # nobody holds the other end any more
            self._typed.clear()

    def keys(self, data: bytes) -> list[bytes | int]:
        """What was typed, split into text for the child and signals for us.

        A child that switched its terminal's signals off (an editor, a debugger) gets every key.
        """
        attributes = termios.tcgetattr(self.master)
        parts, self._literal = split_keys(data, attributes, literal=self._literal)
        return parts

    def close_slave(self) -> None:
        """From here on the child's end alone counts: when it is closed, we read the end."""
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def close(self) -> None:
        """Hang up."""
        self.close_slave()
        os.close(self.master)


def split_keys(data: bytes, attributes: list, *, literal: bool = False) -> tuple[list[bytes | int], bool]:  # type: ignore[type-arg]
    """(text and signals in the order typed, whether the next byte is to be taken literally: ^V was typed)."""
    flags, control = attributes[_LFLAG], attributes[_CC]
    if not flags & termios.ISIG:
        return [data], False
    meaning = {control[index]: number for index, number in _KEYS if control[index] != b"\0"}
    quoting = control[termios.VLNEXT] if flags & termios.IEXTEN and flags & termios.ICANON else b""
    parts: list[bytes | int] = []
    text = bytearray()
    for code in data:
        key = bytes((code,))
        if not literal and key in meaning:
            parts += [bytes(text), meaning[key]] if text else [meaning[key]]
            text = bytearray()
        else:
            text += key
        literal = not literal and key == quoting
    return ([*parts, bytes(text)] if text else parts), literal
