"""HDF5 (.h5, .hdf5, old Keras): the superblock says where the file ends (HDF5 File Format Specification 3.0, II.A)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckptrun.checkpoints.kinds.file import File

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OPEN_FOR_WRITING = 1


def check(file: File, _deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """The file reaches to its end-of-file address; only chunks that were written with a filter have checksums, and no index to them."""
    head = file.at(0, 64)
    if not head.startswith(_SIGNATURE):
        raise file.wrong("it does not begin as an HDF5 file does")
    if len(head) < 64:
        raise file.cut_short(f"it has {file.size} bytes")
    version = head[8]
    if version >= 2 and head[11] & _OPEN_FOR_WRITING:
        raise file.cut_short("it was not closed")
    end = _end(head, version)
    if end is None:
        raise file.wrong(f"its superblock has version {version}")
    if end > file.size:
        raise file.cut_short(f"it should end at byte {end} and ends at {file.size}")


def _end(head: bytes, version: int) -> int | None:
    """The end-of-file address; None where the superblock is of no known version."""
    if version in (0, 1):
        width, at = head[13], 24 + 4 * version
    elif version in (2, 3):
        width, at = head[9], 12
    else:
        return None
    place = at + 2 * width  # after the base address and one other
    return int.from_bytes(head[place : place + width], "little") if width in (2, 4, 8) else None
