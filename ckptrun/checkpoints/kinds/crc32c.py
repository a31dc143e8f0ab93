"""CRC-32C (Castagnoli, RFC 3720 B.4), which zlib has not: by a table, a byte at a time; with numpy many lanes at once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_POLYNOMIAL = 0x82F63B78  # reflected
_ONES = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8  # leveldb, util/crc32c.h: a checksum that is stored beside what it is of is masked
_DEPTH = 256  # bytes of each lane
_LEAST = 16 * _DEPTH  # bytes for which lanes are worth their setting up


def of(blocks: Iterable[bytes | memoryview]) -> int:
    """The checksum of the blocks, one behind the other."""
    state = _ONES
    for block in blocks:
        state = _extended(state, memoryview(block))
    return state ^ _ONES


def masked(checksum: int) -> int:
    """As it is stored in LevelDB's and TensorFlow's files."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & _ONES


def _extended(state: int, data: memoryview) -> int:
    numpy = _numpy() if len(data) >= _LEAST else None
    while numpy is not None and len(data) >= _LEAST:
        lanes = 1 << ((len(data) // _DEPTH).bit_length() - 1)
        state = _by_lanes(numpy, state, data[: lanes * _DEPTH], lanes)
        data = data[lanes * _DEPTH :]
    table = _table()
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


# --- many lanes --------------------------------------------------------------------------------------------------------
@functools.cache
def _numpy() -> Any:
    try:
        import numpy  # noqa: PLC0415, ICN001  # an extra; without it, bytes are counted one by one
    except ImportError:
        return None
    return numpy


def _by_lanes(numpy: Any, state: int, data: memoryview, lanes: int) -> int:
    """Each lane by itself from 0, the first from `state`; then neighbours are joined, until one is left."""
    table = numpy.array(_table(), dtype=numpy.uint32)
    columns = numpy.ascontiguousarray(numpy.frombuffer(data, dtype=numpy.uint8).reshape(lanes, _DEPTH).T)
    states = numpy.zeros(lanes, dtype=numpy.uint32)
    states[0] = state
    for column in columns:
        states = table[(states ^ column) & 0xFF] ^ (states >> 8)
    shift = _shift(numpy)
    while len(states) > 1:
        states = _applied(numpy, shift, states[0::2]) ^ states[1::2]
        shift = _applied(numpy, shift, shift)
    return int(states[0])


def _shift(numpy: Any) -> Any:
    """What becomes of each bit of a state when as many zeros follow as a lane is long."""
    table = numpy.array(_table(), dtype=numpy.uint32)
    bits = numpy.uint32(1) << numpy.arange(32, dtype=numpy.uint32)
    shift = table[bits & 0xFF] ^ (bits >> 8)  # one zero
    for _ in range(_DEPTH.bit_length() - 1):
        shift = _applied(numpy, shift, shift)
    return shift


def _applied(numpy: Any, shift: Any, states: Any) -> Any:
    found = numpy.zeros_like(states)
    for bit in range(32):
        found ^= numpy.where((states >> bit) & 1, shift[bit], numpy.uint32(0))
    return found
