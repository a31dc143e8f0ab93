""".npy: a header that says how many bytes follow (numpy.lib.format)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckptrun.checkpoints.kinds import pickles

if TYPE_CHECKING:
    from ckptrun.checkpoints.kinds.file import File

_DTYPE = re.compile(rb"'descr':\s*'[<>|=]?([a-zA-Z])(\d*)(?:\[[^\]]*\])?'")
_SHAPE = re.compile(rb"'shape':\s*\(([\d\s,]{0,2000})\)")
_LARGEST_HEADER = 1 << 20  # bytes
_MOST_DIGITS = 20


def check(file: File, deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """The file has as many bytes as its header says; an array of objects ends as a pickle does."""
    head = file.at(0, 12)
    if not head.startswith(b"\x93NUMPY"):
        raise file.wrong("it does not begin as a .npy file does")
    if len(head) < 12:
        raise file.cut_short("its header is not whole")
    wide = head[6] >= 2
    length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
    begin = (12 if wide else 10) + length
    if length > _LARGEST_HEADER or begin > file.size:
        raise file.cut_short(f"its header needs {begin} bytes, {file.size} are there")
    _check_size(file, deep, file.at(begin - length, length), begin)


def _check_size(file: File, deep: bool, header: bytes, begin: int) -> None:  # noqa: FBT001  # as above
    dtype, shape = _DTYPE.search(header), _SHAPE.search(header)
    if not header.rstrip().endswith(b"}") or not shape:
        raise file.wrong("its header is not one")
    if not dtype:
        return  # a record array: its size is not worth a parser of dtypes
    if dtype[1] == b"O":
        pickles.check(file, deep)
        return
    sides = [part.strip() for part in shape[1].split(b",") if part.strip()]
    if any(len(side) > _MOST_DIGITS for side in sides):
        raise file.wrong("its shape is not one")
    needed = int(dtype[2] or 1) * (4 if dtype[1] == b"U" else 1)
    for side in sides:
        needed *= int(side)
    if begin + needed > file.size:
        raise file.cut_short(f"its array needs {needed} bytes, {file.size - begin} are there")
    if begin + needed < file.size:
        raise file.wrong(f"{file.size - begin - needed} bytes follow its array")
