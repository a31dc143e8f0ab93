"""CRC-32, as zip archives have it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Crc = Callable[[bytes | memoryview, int], int]


@functools.cache
def crc32() -> Crc:
    """The fastest there is: ISA-L's is ten times as fast as zlib's, which then is what a whole `verify --deep` waits for."""
    try:
        from isal import isal_zlib  # noqa: PLC0415  # 9 ms, and only there with the extra `fast`
    except ImportError:
        import zlib  # noqa: PLC0415  # as above

        return zlib.crc32
    return isal_zlib.crc32
