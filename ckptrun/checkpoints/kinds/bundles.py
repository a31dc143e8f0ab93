"""TensorFlow's checkpoints: `.index` is a sorted table as LevelDB writes it, which says where in the `.data-…` files each tensor lies.

Its blocks and the tensors have checksums (CRC-32C, masked): tensorflow/core/util/tensor_bundle/tensor_bundle.cc, tsl/lib/io/table.cc.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.checkpoints.kinds import crc32c
from ckptrun.checkpoints.kinds.file import File
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INDEX = ".index"
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER, _TRAILER = 48, 5  # bytes: at the end of the file, and behind each block: its compression, its checksum
_PLAIN = 0  # TensorFlow compresses none of its indexes
_LARGEST_BLOCK = 64 << 20  # bytes
_NO_CHECKSUM = frozenset((7, 20, 21))  # strings, resources, variants: theirs is not of the bytes as they lie
_DTYPE, _SHARD, _OFFSET, _SIZE, _CHECKSUM = 1, 3, 4, 5, 6  # fields of BundleEntryProto


class Place(Noun, frozen=True, kw_only=True):
    """Where one tensor lies."""

    name: str
    dtype: int = 0
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int | None = None


def check(file: File, _deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """Every block of the table has its checksum."""
    places(file)


def require_data(path: str, file: File, *, deep: bool, tell: Callable[[int], None] | None) -> None:
    """Return if the files beside the index at `path` hold what it says; `deep`: each tensor has its checksum.

    Raises:
        Broken: one is missing, or ends too early, or a tensor is damaged.
    """
    shards, found = places(file)
    by_shard: dict[int, list[Place]] = {}
    for place in found:
        by_shard.setdefault(place.shard, []).append(place)
    for shard, mine in sorted(by_shard.items()):
        data = f"{path.removesuffix(INDEX)}.data-{shard:05d}-of-{shards:05d}"
        try:
            fd = os.open(data, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Broken(names.PARTIAL, f"{os.path.basename(data)} is missing, which {file.name} names") from error
        try:
            _require(File(fd, os.path.basename(data), os.fstat(fd).st_size, tell), mine, deep=deep)
        finally:
            os.close(fd)


def _require(data: File, mine: list[Place], *, deep: bool) -> None:
    end = max(place.offset + place.size for place in mine)
    if end > data.size:
        raise data.cut_short(f"its tensors end at byte {end}, and it at {data.size}")
    for place in sorted(mine, key=lambda place: place.offset) if deep else ():
        if place.checksum is None or place.dtype in _NO_CHECKSUM:
            continue
        found = crc32c.masked(crc32c.of(data.views(place.offset, place.size)))
        if found != place.checksum:
            raise data.wrong(f"{place.name} has checksum {found:08x}, not {place.checksum:08x}")


# --- the table ---------------------------------------------------------------------------------------------------------
def places(file: File) -> tuple[int, list[Place]]:
    """How many data files there are, and where each tensor lies; slices are listed as tensors of their own.

    Raises:
        Broken: it is not whole.
    """
    footer = file.at(max(file.size - _FOOTER, 0), _FOOTER)
    if len(footer) < _FOOTER or not footer.endswith(_MAGIC):
        raise file.cut_short("it does not end as a table does")
    beside, at = _handle(file, footer, 0)  # a block for what is no entry: TensorFlow has none
    _block(file, *beside)
    shards, found = 1, []
    for _, handle in _entries(file, *_handle(file, footer, at)[0]):
        for key, value in _entries(file, *_handle(file, handle, 0)[0]):
            fields = dict(_fields(file, value))
            if key:
                found.append(_place(key, fields))
            else:
                shards = fields.get(1, 1)
    return shards, found


def _place(key: bytes, fields: dict[int, int]) -> Place:
    return Place(
        name=key.decode("utf-8", "replace"),
        dtype=fields.get(_DTYPE, 0),
        shard=fields.get(_SHARD, 0),
        offset=fields.get(_OFFSET, 0),
        size=fields.get(_SIZE, 0),
        checksum=fields.get(_CHECKSUM),
    )


def _handle(file: File, data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and how long it is; and where that ends in `data`."""
    offset, at = _varint(file, data, at)
    size, at = _varint(file, data, at)
    return (offset, size), at


def _entries(file: File, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block; a key is stored as what it adds to the one before."""
    block = _block(file, offset, size)
    restarts = int.from_bytes(block[-4:], "little")
    end, at, key = len(block) - 4 * (restarts + 1), 0, b""
    if end < 0:
        raise file.wrong(f"the block at byte {offset} is none")
    while at < end:
        shared, at = _varint(file, block, at)
        added, at = _varint(file, block, at)
        length, at = _varint(file, block, at)
        if at + added + length > end:
            raise file.wrong(f"an entry runs out of the block at byte {offset}")
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _block(file: File, offset: int, size: int) -> bytes:
    if size > _LARGEST_BLOCK or offset + size + _TRAILER > file.size:
        raise file.wrong(f"it has no block of {size} bytes at byte {offset}")
    raw = file.at(offset, size + _TRAILER)
    checksum = crc32c.masked(crc32c.of([raw[: size + 1]]))
    if checksum != int.from_bytes(raw[size + 1 :], "little"):
        raise file.wrong(f"the block at byte {offset} has another checksum")
    if raw[size] != _PLAIN:
        raise Broken(names.UNKNOWN, f"{file.name} is compressed")
    return raw[:size]


# --- protocol buffers --------------------------------------------------------------------------------------------------
def _varint(file: File, data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, min(at + 10, len(data))):
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            return value, place + 1
        shift += 7
    raise file.wrong("a number in it does not end")


def _fields(file: File, data: bytes) -> Iterator[tuple[int, int]]:
    """The fields that are numbers; texts and messages are skipped."""
    at = 0
    while at < len(data):
        tag, at = _varint(file, data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(file, data, at)
            yield tag >> 3, value
        elif kind == 5:
            yield tag >> 3, int.from_bytes(data[at : at + 4], "little")
            at += 4
        elif kind == 2:
            length, at = _varint(file, data, at)
            at += length
        elif kind == 1:
            at += 8
        else:
            raise file.wrong("an entry in it is none")
