"""Zip archives, which .npz, torch.save's .pt and .ckpt, .keras and others are: the directory at the end, and CRC-32 of every member.

Read by hand (APPNOTE 6.3.10, §4.3) with everything bounded by the file's own size: nothing that the archive declares is believed.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from ckptrun.checkpoints.kinds import crc as checksums
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckptrun.checkpoints.kinds.file import File

_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_LARGEST_DIRECTORY = 256 << 20  # bytes: two million members
STORED, DEFLATED = 0, 8
_MOST_DEFLATED = 1032  # deflate cannot shrink more than 1032 : 1 (zlib's technical details)
_ENCRYPTED = 1


class Member(Noun, frozen=True, kw_only=True):
    """One file of an archive, as the central directory has it."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int  # bytes in the archive
    size: int  # bytes unpacked
    offset: int  # of its local header, from the beginning of the file


def check(file: File, deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """The central directory is there and describes the file; `deep`: every member has its CRC-32.

    Archives may stand one behind the other, as in torch's .distcp: each is checked, from the last to the first.
    """
    start = _check_last(file, deep)
    while start > 0 and _ends_file(file.at(max(start - _END.size, 0), _END.size), 0):
        start = _check_last(file.until(start), deep)


def members(file: File) -> list[tuple[Member, int]]:
    """The members of the archive that `file` ends with, and where the bytes of each begin.

    Raises:
        Broken: it is not whole.
    """
    return _placed(file)[1]


def _check_last(file: File, deep: bool) -> int:  # noqa: FBT001  # as above
    """Check the archive that `file` ends with: where it begins."""
    start, found = _placed(file)
    for member, begin in found if deep else ():
        _check_crc(file, member, begin)
    return start


def _placed(file: File) -> tuple[int, list[tuple[Member, int]]]:
    start, length, end = _directory(file)
    found = sorted(_members(file, start, length, end), key=lambda member: member.offset)
    limits = [member.offset for member in found[1:]] + [end - length]
    # an empty archive has no member, and one limit
    return start, [(member, _data(file, member, limit)) for member, limit in zip(found, limits, strict=False)]


def _directory(file: File) -> tuple[int, int, int]:
    """Where offsets count from, the central directory's length, and where it ends."""
    tail_at = max(file.size - _END.size - _LONGEST_COMMENT, 0)
    tail = file.at(tail_at, file.size - tail_at)
    place = tail.rfind(b"PK\x05\x06")
    while place >= 0 and not _ends_file(tail, place):
        place = tail.rfind(b"PK\x05\x06", 0, place)
    if place < 0:
        raise file.cut_short("the zip directory at its end is missing")
    *_, length, offset, _ = _END.unpack_from(tail, place)
    end = tail_at + place
    length, offset, end = _zip64(file, end, length, offset)
    if length > min(end, _LARGEST_DIRECTORY) or offset > end - length:
        raise file.wrong("the zip directory does not fit into it")
    return end - length - offset, length, end


def _ends_file(tail: bytes, place: int) -> bool:
    """Is there an end record at `place`, and is nothing but its comment behind it?"""
    if len(tail) - place < _END.size or not tail.startswith(b"PK\x05\x06", place):
        return False
    comment: int = _END.unpack_from(tail, place)[-1]
    return place + _END.size + comment == len(tail)


def _zip64(file: File, end: int, length: int, offset: int) -> tuple[int, int, int]:
    """The same from the zip64 record before the end, if there is one; torch.save writes one into small archives too."""
    place = end - _END64_PLACE.size
    raw = file.at(max(place, 0), _END64_PLACE.size)
    if place < 0 or not raw.startswith(b"PK\x06\x07"):
        return length, offset, end
    at = place - _END64.size  # not where the archive says it is: that is wrong when something stands before it
    record = file.at(max(at, 0), _END64.size)
    if at < 0 or not record.startswith(b"PK\x06\x06"):
        raise file.wrong("the zip64 directory is not where it should be")
    *_, length, offset = _END64.unpack(record)
    return length, offset, at


def _members(file: File, start: int, length: int, end: int) -> Iterator[Member]:
    data = file.at(end - length, length)
    at = 0
    while at < length:
        if data[at : at + 4] != b"PK\x01\x02" or at + _ENTRY.size > length:
            raise file.wrong("its zip directory is not one")
        fields = _ENTRY.unpack_from(data, at)
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_length, extra_length, comment_length, offset = fields[10], fields[11], fields[12], fields[16]
        begin = at + _ENTRY.size
        extra = data[begin + name_length : begin + name_length + extra_length]
        size, packed, offset = _large(file, extra, size, packed, offset)
        name = data[begin : begin + name_length].decode("utf-8", "replace")
        yield Member(name=name, method=method, flags=flags, crc=crc, packed=packed, size=size, offset=start + offset)
        at = begin + name_length + extra_length + comment_length


def _large(file: File, extra: bytes, *numbers: int) -> list[int]:
    """The numbers, those that did not fit into 32 bits from the zip64 field."""
    if 0xFFFFFFFF not in numbers:
        return list(numbers)
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{length // 8}Q", extra[at + 4 : at + 4 + length].ljust(length, b"\0")))
            return [next(wide, number) if number == 0xFFFFFFFF else number for number in numbers]
        at += 4 + length
    raise file.wrong("a zip64 size is missing")


def _data(file: File, member: Member, limit: int) -> int:
    """Where the member's bytes begin, once its header is right and they end before the next member."""
    raw = file.at(member.offset, _LOCAL.size)
    if not raw.startswith(b"PK\x03\x04") or len(raw) < _LOCAL.size:
        raise file.wrong(f"{member.name} is not where its zip directory says")
    *_, name_length, extra_length = _LOCAL.unpack(raw)
    begin: int = member.offset + _LOCAL.size + name_length + extra_length
    if begin + member.packed > limit:
        raise file.wrong(f"{member.name} runs into what follows it")
    if member.method == STORED and member.size != member.packed and not member.flags & _ENCRYPTED:
        raise file.wrong(f"{member.name} has two sizes")
    if member.method == DEFLATED and member.size > member.packed * _MOST_DEFLATED:
        raise file.wrong(f"{member.name} declares {member.size} bytes in {member.packed}")
    return begin


def _check_crc(file: File, member: Member, begin: int) -> None:
    if member.flags & _ENCRYPTED or member.method not in (STORED, DEFLATED):
        return  # what is packed in another way can be checked by its structure only
    add, crc, size = checksums.crc32(), 0, 0
    stored = member.method == STORED
    for block in file.views(begin, member.packed) if stored else unpacked(file, member, begin):
        crc = add(block, crc)
        size += len(block)
    if size != member.size or crc != member.crc:
        raise file.wrong(f"{member.name} has checksum {crc:08x} and {size} bytes, not {member.crc:08x} and {member.size}")


def unpacked(file: File, member: Member, begin: int) -> Iterator[bytes]:
    """The member's bytes, piece by piece, at most one more than it declares.

    Raises:
        Broken: it cannot be unpacked.
    """
    blocks = file.blocks(begin, member.packed)
    if member.method == STORED:
        yield from blocks
        return
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    left = member.size + 1  # one more than declared is enough to know
    try:
        for block in blocks:
            data = block
            while data and left:
                out = unpacker.decompress(data, min(left, 1 << 20))
                left -= len(out)
                yield out
                data = unpacker.unconsumed_tail
        yield unpacker.flush()[: max(left, 0)]
    except zlib.error as error:
        raise file.wrong(f"{member.name} cannot be unpacked: {error}") from error
