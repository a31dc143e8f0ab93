"""msgpack, which flax's older files are: every object says how long it is (msgpack.org, "spec"), so that a missing end shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckptrun.checkpoints.kinds.file import File

_MOST = 200_000  # objects: a state has some thousand; a list of a million numbers is not worth a walk
_BLOCK = 4096  # bytes read at once
_WIDTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # bytes and text: a length of so many bytes
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}  # the same, and one byte for the type
_FIXED = {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
_FIXED.update({0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18, 0xC0: 1, 0xC2: 1, 0xC3: 1})
_HOLDERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}  # arrays and maps: width of the count, objects for each


def check(file: File, _deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """One object fills the file; what is in it is skipped, not read."""
    at, left, begin, block = 0, 1, 0, b""
    for _ in range(_MOST):
        if not left:
            break
        if not begin <= at <= begin + len(block) - 9:
            begin, block = at, file.at(at, _BLOCK)
        head = block[at - begin : at - begin + 9]
        if not head:
            raise file.cut_short(f"{left} objects are missing")
        length, inside = _object(head)
        if not length:
            raise file.wrong(f"byte {at} begins no object")
        at, left = at + length, left - 1 + inside
        if at > file.size:
            raise file.cut_short(f"an object ends at byte {at}, and the file at {file.size}")
    if not left and at < file.size:
        raise file.wrong(f"{file.size - at} bytes follow its state")


def _object(head: bytes) -> tuple[int, int]:
    """How many bytes an object has before the objects that it holds, and how many these are; 0 bytes: it is none."""
    first = head[0]
    if first < 0x80 or first >= 0xE0 or first in _FIXED:
        return _FIXED.get(first, 1), 0
    if first < 0xA0:
        return 1, (first & 0x0F) * (2 if first < 0x90 else 1)
    if first < 0xC0:
        return 1 + (first & 0x1F), 0
    if first in _HOLDERS:
        width, each = _HOLDERS[first]
        return 1 + width, int.from_bytes(head[1 : 1 + width], "big") * each
    width = _WIDTHS.get(first) or _EXTENSIONS.get(first, 0)
    return (1 + width + int.from_bytes(head[1 : 1 + width], "big") + (first in _EXTENSIONS) if width else 0), 0
