"""numpy's files: .npy, and .npz, a zip archive of them. Arrays of objects are pickles and are not looked into."""

from __future__ import annotations

import ast
import os
from math import prod
from typing import TYPE_CHECKING

from ckptrun.checkpoints.kinds import zips
from ckptrun.state import dtypes
from ckptrun.state.data import Packed, Piece, View, opened
from ckptrun.state.tensor import Contents, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.checkpoints.kinds.file import File
    from ckptrun.checkpoints.kinds.zips import Member
    from ckptrun.state.data import Data

MAGIC = b"\x93NUMPY"
_LARGEST_HEADER = 1 << 16  # bytes
_MOST_DIMENSIONS = 64


def contents(path: str) -> Contents:
    """The one array of a .npy, under the file's name.

    Raises:
        Broken: it is not whole.
    """
    with opened(path) as file:
        head = file.at(0, 12 + _LARGEST_HEADER)
    name = os.path.splitext(os.path.basename(path))[0]
    return _collected("npy", [_array(file, head, file.size, name, lambda skip: Piece(path, skip, file.size - skip))])


def archived(path: str, found: list[tuple[Member, int]]) -> Contents:
    """The arrays of a .npz; what else the archive holds is not looked at.

    Raises:
        Broken: it is not whole.
    """
    arrays = []
    with opened(path) as file:
        for member, begin in found:
            if member.name.endswith(".npy"):
                arrays.append(_member(file, path, member, begin))
    return _collected("npz", arrays)


def _member(file: File, path: str, member: Member, begin: int) -> Tensor | str:
    head = b""
    for block in zips.unpacked(file, member, begin):
        head += block[: 12 + _LARGEST_HEADER - len(head)]
        if len(head) == 12 + _LARGEST_HEADER:
            break
    stored = member.method == zips.STORED

    def data(skip: int) -> Data:
        return Piece(path, begin + skip, member.size - skip) if stored else Packed(path, member, begin, skip)

    return _array(file, head, member.size, member.name.removesuffix(".npy"), data)


def _collected(format_: str, found: list[Tensor | str]) -> Contents:
    return Contents(
        format=format_,
        tensors=[each for each in found if isinstance(each, Tensor)],
        refused=[each for each in found if isinstance(each, str)],
    )


def _array(file: File, head: bytes, size: int, name: str, data: Callable[[int], Data]) -> Tensor | str:
    """The array that begins with `head`; a sentence where it is of a kind that is not read."""
    begin, descr, fortran, shape = _header(file, head, name)
    known = dtypes.BY_ARRAY.get(descr.lstrip("<|=")) if isinstance(descr, str) else None
    if known is None:
        return f"{name} (numpy dtype {descr})"
    if size - begin != prod(shape) * known.width:
        raise file.wrong(f"array {name} has {size - begin} bytes, not what its shape needs")
    bytes_ = data(begin)
    if fortran and len(shape) > 1:
        strides = [prod(shape[:axis]) for axis in range(len(shape))]
        bytes_ = View(bytes_, known.width, shape, strides)
    return Tensor(name=name, dtype=known.name, shape=shape, bytes=bytes_.size, data=bytes_)


def _header(file: File, head: bytes, name: str) -> tuple[int, object, bool, tuple[int, ...]]:
    """Where the numbers begin, the dtype as it is written, whether the first axis runs fastest, and the shape."""
    wide = head[6:7] >= b"\x02"
    length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
    begin = (12 if wide else 10) + length
    if not head.startswith(MAGIC) or length > _LARGEST_HEADER or begin > len(head):
        raise file.wrong(f"array {name} has no header of numpy's")
    try:
        found = ast.literal_eval(head[begin - length : begin].decode("latin1").strip())
        shape = tuple(found["shape"])
        sound = len(shape) <= _MOST_DIMENSIONS and all(type(side) is int and side >= 0 for side in shape)
        if sound:
            return begin, found["descr"], bool(found["fortran_order"]), shape
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        pass
    raise file.wrong(f"array {name} has a header that is none")
