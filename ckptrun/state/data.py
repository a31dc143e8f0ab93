"""Where the bytes of a tensor are. `blocks` hands them out in C order, BLOCK at a time, so that no tensor need fit into memory.

All blocks but the last have BLOCK bytes: blocks of equal tensors from different files hold the same elements.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from ckptrun import names
from ckptrun.checkpoints.kinds import zips
from ckptrun.checkpoints.kinds.file import File
from ckptrun.checkpoints.reading import Broken
from ckptrun.state import numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckptrun.checkpoints.kinds.zips import Member

BLOCK = 1 << 20  # bytes; a multiple of every width
_LARGEST_OVERLAP = 256 << 20  # bytes that a view may have more than what it is a view of: one number, stretched, is a bomb


class Data(Protocol):
    """The bytes of one tensor. `whole`: they are in memory all at once while they are read."""

    size: int
    whole: bool

    def blocks(self) -> Iterator[bytes]:
        """All bytes, BLOCK at a time.

        Raises:
            Broken: they are not there, or damaged.
            OSError: they cannot be read.
        """


@contextmanager
def opened(path: str, name: str = "") -> Iterator[File]:
    """The file at `path` for reading; links are followed, as `last.ckpt` often is one."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield File(fd, name or os.path.basename(path), os.fstat(fd).st_size)
    finally:
        os.close(fd)


class Piece:
    """A part of a file, as it is."""

    whole = False

    def __init__(self, path: str, begin: int, size: int) -> None:
        self.path, self.begin, self.size = path, begin, size

    def blocks(self) -> Iterator[bytes]:
        """See Data."""
        with opened(self.path) as file:
            yield from rechunked(file.blocks(self.begin, self.size), self.size, self.path)


class Packed:
    """A member of a zip archive that is packed, from byte `skip` of what it unpacks to."""

    whole = False

    def __init__(self, path: str, member: Member, begin: int, skip: int = 0) -> None:
        self.path, self.member, self.begin, self.skip = path, member, begin, skip
        self.size = member.size - skip

    def blocks(self) -> Iterator[bytes]:
        """See Data."""
        with opened(self.path) as file:
            yield from rechunked(zips.unpacked(file, self.member, self.begin), self.size, self.path, self.skip)


class Held:
    """Bytes that are in memory already: small ones."""

    whole = False

    def __init__(self, raw: bytes) -> None:
        self.raw, self.size = raw, len(raw)

    def blocks(self) -> Iterator[bytes]:
        """See Data."""
        yield from rechunked([self.raw], self.size, "")


class View:
    """A tensor whose elements do not lie one behind the other in what it is a view of. Needs numpy, and memory for both."""

    whole = True

    def __init__(self, base: Data, width: int, shape: Sequence[int], strides: Sequence[int]) -> None:
        self.base, self.width, self.shape, self.strides = base, width, tuple(shape), tuple(strides)
        self.size = prod(shape) * width

    def blocks(self) -> Iterator[bytes]:
        """See Data."""
        if self.size > self.base.size + _LARGEST_OVERLAP:
            raise Broken(names.CORRUPT, f"a tensor of {self.size} bytes is said to be a view of {self.base.size}")
        np = numbers.numpy()
        flat = np.frombuffer(b"".join(self.base.blocks()), f"V{self.width}")
        seen = np.lib.stride_tricks.as_strided(
            flat, self.shape, [stride * self.width for stride in self.strides], writeable=False
        )
        yield from rechunked([memoryview(np.ascontiguousarray(seen)).cast("B")], self.size, "")


class Parts:
    """A tensor of which several files, or several places, hold a block each. `parts` are (where it begins, its shape, its bytes)."""

    whole = True

    def __init__(self, width: int, shape: Sequence[int], parts: Sequence[tuple[Sequence[int], Sequence[int], Data]]) -> None:
        self.width, self.shape, self.parts = width, tuple(shape), parts
        self.size = prod(shape) * width

    def blocks(self) -> Iterator[bytes]:
        """See Data."""
        np = numbers.numpy()
        joined: Any = np.zeros(self.shape, f"V{self.width}")
        for begin, shape, data in self.parts:
            place = tuple(slice(at, at + side) for at, side in zip(begin, shape, strict=True))
            joined[place] = np.frombuffer(b"".join(data.blocks()), joined.dtype).reshape(shape)
        yield from rechunked([memoryview(joined).cast("B")], self.size, "")


def rechunked(pieces: Iterable[bytes | memoryview], size: int, path: str, skip: int = 0) -> Iterator[bytes]:
    """`size` bytes of the pieces, after the first `skip`, in blocks of BLOCK.

    Raises:
        Broken: there are fewer, or more.
    """
    held, left = bytearray(), size
    for piece in pieces:
        skipped = min(skip, len(piece))
        skip -= skipped
        if len(piece) - skipped + len(held) > left:
            raise Broken(names.CORRUPT, f"{os.path.basename(path)} is damaged: more bytes come out of it than it declares")
        if skipped == 0 and not held and len(piece) == BLOCK:  # as most are
            left -= BLOCK
            yield bytes(piece)
            continue
        for at in range(skipped, len(piece), BLOCK):
            held += piece[at : min(at + BLOCK, len(piece))]
            while len(held) >= BLOCK:
                yield bytes(held[:BLOCK])
                del held[:BLOCK]
                left -= BLOCK
    if len(held) != left or skip:
        raise Broken(
            names.PARTIAL, f"{os.path.basename(path)} is cut short: {left - len(held)} bytes of a tensor are missing"
        )
    if held:
        yield bytes(held)
