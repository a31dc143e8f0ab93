"""Is this program written in Go? Its runtime catches every signal itself, so that SigCgt says nothing about the program."""

from __future__ import annotations

import os
import struct

_SECTIONS = (b".go.buildinfo", b".note.go.buildid")
_MOST_SECTIONS = 4096
_known: dict[tuple[int, int, int], bool] = {}  # by device, inode and mtime


def is_go(pid: int, proc: str = "/proc") -> bool:
    """From the names of the sections of its executable; False when that cannot be read."""
    try:
        fd = os.open(f"{proc}/{pid}/exe", os.O_RDONLY)
    except OSError:
        return False
    try:
        info = os.fstat(fd)
        key = (info.st_dev, info.st_ino, info.st_mtime_ns)
        if key not in _known:
            _known[key] = has_go_section(fd)
        return _known[key]
    except (OSError, struct.error, IndexError):
        return False
    finally:
        os.close(fd)


def has_go_section(fd: int) -> bool:
    """Whether an ELF file (any class, any byte order) bears Go's build information."""
    head = os.pread(fd, 64, 0)
    if head[:4] != b"\x7fELF":
        return False
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    (table,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 40 if wide else 32)
    size, count, names_at = struct.unpack_from(order + "HHH", head, 58 if wide else 46)
    if not 0 < count <= _MOST_SECTIONS:
        return False
    headers = os.pread(fd, size * count, table)
    names = _section(fd, headers, names_at * size, order, wide=wide)
    offsets = [struct.unpack_from(order + "I", headers, index * size)[0] for index in range(count)]
    return any(names[offset:].split(b"\0", 1)[0] in _SECTIONS for offset in offsets)


def _section(fd: int, headers: bytes, at: int, order: str, *, wide: bool) -> bytes:
    offset, size = struct.unpack_from(order + ("QQ" if wide else "II"), headers, at + (24 if wide else 16))
    return os.pread(fd, min(size, 1 << 20), offset)
