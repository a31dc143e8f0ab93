"""XXH3-128 of files, at the speed of memory. Without xxhash digests are "", and a manifest has sizes only."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BUFFER = 1 << 20  # bytes: fits a core's own cache, so that hashing reads what the copy left there
_WINDOW = 16 << 20  # bytes mapped at once
_LARGE = 8 << 20  # bytes
_TMPFS = 0x01021994  # statfs(2)


def final(fd: int, size: int) -> str:
    """The digest of a file that nobody writes to any more."""
    return mapped(fd, size) if size >= _LARGE and is_memory(fd) else digest(fd)


def digest(fd: int) -> str:
    """XXH3-128 of a file, in hex; "" without xxhash. Others may write to it meanwhile."""
    new_hash = _hasher()
    if new_hash is None:
        return ""
    found = new_hash()
    buffer = memoryview(bytearray(min(_BUFFER, os.fstat(fd).st_size + 1)))
    at = 0
    while count := os.preadv(fd, [buffer], at):
        found.update(buffer[:count])
        at += count
    return str(found.hexdigest())


def mapped(fd: int, size: int) -> str:
    """The same without copying: for memory only, where reading cannot fail, and for files that nobody truncates any more (SIGBUS)."""
    import mmap  # noqa: PLC0415  # for large saves only

    new_hash = _hasher()
    if new_hash is None:
        return ""
    found = new_hash()
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    for at in range(0, size, _WINDOW):
        with mmap.mmap(fd, min(_WINDOW, size - at), flags=flags, prot=mmap.PROT_READ, offset=at) as window:
            found.update(window)
    return str(found.hexdigest())


def is_memory(fd: int) -> bool:
    """Does the file lie in a tmpfs?"""
    try:
        import ctypes  # noqa: PLC0415  # for large saves only

        state = ctypes.create_string_buffer(256)  # struct statfs begins with f_type
        return ctypes.CDLL(None).fstatfs(fd, state) == 0 and int.from_bytes(state.raw[:4], sys.byteorder) == _TMPFS
    except (ImportError, AttributeError, OSError):
        return False


def can_hash() -> bool:
    """Is xxhash there? Without it a manifest has sizes only."""
    return _hasher() is not None


def _hasher() -> Callable[[], Any] | None:
    try:
        import xxhash  # noqa: PLC0415  # 2 ms that are not needed before the first save
    except ImportError:
        return None
    return xxhash.xxh3_128
