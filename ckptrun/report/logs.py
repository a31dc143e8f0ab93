"""An attempt's log as one stream of bytes, whole or as it grows.

While the attempt runs, and after kill -9, the log is up to three files: log.txt holds the beginning, two tail files take turns
holding the end. When the attempt ends they are joined into log.txt. A reader keeps its file open, so that a join loses it nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.runs import durable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.runs.paths import AttemptPaths

    Write = Callable[[bytes], object]

TAILS = (f"{names.LOG_TAIL}0", f"{names.LOG_TAIL}1")
_BLOCK = 1 << 16
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Part(Noun, frozen=True):
    """An open file of a log, and how many of its bytes belong to the stream."""

    name: str
    fd: int
    length: int
    changed: int  # modification time, ns: tells whether a tail was begun anew


class Log:
    """Reads one attempt's log: what is there, then what comes."""

    def __init__(self, attempt: AttemptPaths) -> None:
        self._dir = attempt.dir
        self._name, self._fd, self._offset = "", -1, 0
        self._left: dict[str, int] = {}  # tails that were read to their end, as they were then
        self.gaps = 0  # how often bytes were overwritten before they were read

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def copy(self, write: Write, lines: int | None = None) -> None:
        """What is there, or its last `lines` lines.

        Raises:
            errors.IoFailure: it could not be read.
        """
        parts = _opened(self._dir)
        try:
            skip = 0 if lines is None else _start_of_last(parts, lines)
            self.gaps += len(parts) == 1 + len(TAILS)  # the ring may have turned already; nobody counted
            for part in parts:
                _copy(part.fd, min(skip, part.length), part.length, write)
                skip -= min(skip, part.length)
        except OSError as error:
            raise durable.io_error(error, self._dir) from error
        finally:
            for part in parts[:-1]:
                os.close(part.fd)
                self._left[part.name] = part.changed
        if parts:
            self._name, self._fd, self._offset = parts[-1].name, parts[-1].fd, parts[-1].length

    def copy_new(self, write: Write) -> bool:
        """What was written since; whether there was anything.

        Raises:
            errors.IoFailure: it could not be read.
        """
        try:
            if self._fd < 0 and not self._open(names.LOG):
                return False
            before = self._offset
            self._read_on(write)
            turned = False
            while following := self._next():
                self._read_on(write)  # to its very end: it was written before the next was begun
                self._left[self._name] = os.fstat(self._fd).st_mtime_ns
                turned = self._open(following)
                self._read_on(write)
            return turned or self._offset != before
        except OSError as error:
            raise durable.io_error(error, self._dir) from error

    def _open(self, name: str) -> bool:
        try:
            fd = os.open(os.path.join(self._dir, name), _READ)
        except FileNotFoundError:
            return False
        self.close()
        self._name, self._fd, self._offset = name, fd, 0
        return True

    def _read_on(self, write: Write) -> None:
        if os.fstat(self._fd).st_size < self._offset:  # the ring came round before we did
            self.gaps += 1
            self._open(min(TAILS, key=self._changed))
        length = os.fstat(self._fd).st_size
        if self._name == names.LOG and os.path.exists(os.path.join(self._dir, TAILS[0])):
            length = min(length, names.LOG_HEAD_BYTES)
        self._offset = _copy(self._fd, self._offset, length, write)

    def _next(self) -> str:
        """The file that goes on where this one ended, "" while there is none."""
        name = TAILS[1] if self._name == TAILS[0] else TAILS[0]
        changed = self._changed(name)
        return name if changed and changed != self._left.get(name) else ""

    def _changed(self, name: str) -> int:
        try:
            return os.stat(os.path.join(self._dir, name)).st_mtime_ns
        except FileNotFoundError:
            return 0


def size(attempt: AttemptPaths) -> int:
    """Bytes of the log, 0 if there is none."""
    total = 0
    for name in (names.LOG, *TAILS):
        try:
            total += os.stat(os.path.join(attempt.dir, name)).st_size
        except FileNotFoundError:
            pass
    return total


def _opened(directory: str) -> list[Part]:
    """The files of the log in the order of the stream; again, if they were joined at this very moment."""
    while True:
        there = [name for name in (names.LOG, *TAILS) if os.path.lexists(os.path.join(directory, name))]
        parts: list[Part] = []
        try:
            for name in there:
                parts.append(_part(directory, name, has_tail=len(there) > 1))
        except FileNotFoundError:
            for part in parts:
                os.close(part.fd)
            continue
        except OSError as error:
            raise durable.io_error(error, os.path.join(directory, name)) from error
        return sorted(parts, key=lambda part: (part.name != names.LOG, part.changed))


def _part(directory: str, name: str, *, has_tail: bool) -> Part:
    fd = os.open(os.path.join(directory, name), _READ)
    state = os.fstat(fd)
    length = min(state.st_size, names.LOG_HEAD_BYTES) if has_tail and name == names.LOG else state.st_size
    return Part(name, fd, length, state.st_mtime_ns)


def _start_of_last(parts: list[Part], lines: int) -> int:
    """How many bytes stand before the last `lines` lines; a last line without a newline is a line."""
    position = sum(part.length for part in parts)
    wanted = lines + _ends_with_newline(parts)
    if not lines:
        return position
    for part in reversed(parts):
        at = part.length
        while at:
            block = os.pread(part.fd, min(_BLOCK, at), max(0, at - _BLOCK))
            found = block.count(b"\n")
            if found >= wanted:
                return position - len(block) + _nth_from_end(block, wanted) + 1
            wanted -= found
            at -= len(block)
            position -= len(block)
    return 0


def _ends_with_newline(parts: list[Part]) -> bool:
    last = next((part for part in reversed(parts) if part.length), None)
    return last is not None and os.pread(last.fd, 1, last.length - 1) == b"\n"


def _nth_from_end(block: bytes, count: int) -> int:
    at = len(block)
    for _ in range(count):
        at = block.rindex(b"\n", 0, at)
    return at


def _copy(fd: int, start: int, end: int, write: Write) -> int:
    """Hand the bytes from `start` to `end` to `write`; how far that came."""
    while start < end and (block := os.pread(fd, min(_BLOCK, end - start), start)):
        write(block)
        start += len(block)
    return start
