"""An open file as the checks see it: bytes at a place, in bounded pieces."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.checkpoints.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 1 << 20  # bytes read at once


class File:
    """A file of `size` bytes, called `name` in sentences; or the part of one that begins at byte `begin`."""

    __slots__ = ("_fd", "_tell", "begin", "name", "size")

    def __init__(self, fd: int, name: str, size: int, tell: Callable[[int], None] | None = None, begin: int = 0) -> None:
        self._fd = fd
        self._tell = tell
        self.name = name
        self.size = size
        self.begin = begin

    def until(self, size: int) -> File:
        """The same file as if it ended there."""
        return File(self._fd, self.name, size, self._tell, self.begin)

    def part(self, begin: int, size: int) -> File:
        """`size` bytes of it from `begin`, as a file of their own.

        Raises:
            Broken: the file ends before.
        """
        if begin < 0 or size < 0 or begin + size > self.size:
            raise self.cut_short(f"{size} bytes from {begin} are needed, {self.size} are there")
        return File(self._fd, self.name, size, self._tell, self.begin + begin)

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`: fewer where the file ends."""
        count = min(count, self.size - offset)
        place = self.begin + offset
        data = os.pread(self._fd, count, place) if count > 0 else b""
        while data and len(data) < count and (more := os.pread(self._fd, count - len(data), place + len(data))):
            data += more
        return data

    def blocks(self, offset: int, count: int) -> Iterator[bytes]:
        """`count` bytes from `offset`, piece by piece.

        Raises:
            Broken: the file ends before.
        """
        for view in self.views(offset, count):
            yield bytes(view)

    def views(self, offset: int, count: int) -> Iterator[memoryview]:
        """`count` bytes from `offset`, piece by piece; each piece is good until the next: all lie in one buffer.

        Raises:
            Broken: the file ends before.
        """
        buffer = memoryview(bytearray(min(count, BLOCK)))
        while count:
            got = os.preadv(self._fd, [buffer[:count]], self.begin + offset)
            if not got:
                raise self.cut_short(f"it ends at byte {offset}")
            if self._tell is not None:
                self._tell(got)
            yield buffer[:got]
            offset += got
            count -= got

    def cut_short(self, how: str) -> Broken:
        """The finding that the end of the file is missing."""
        return Broken(names.PARTIAL, f"{self.name} is cut short: {how}")

    def wrong(self, how: str) -> Broken:
        """The finding that bytes are not what they must be."""
        return Broken(names.CORRUPT, f"{self.name} is damaged: {how}")
