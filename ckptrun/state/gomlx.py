"""GoMLX: a .json that says what and where, a .bin with the bytes, packed by gzip or not (gomlx ml/model/checkpoint/checkpoint.go)."""

from __future__ import annotations

import os
import zlib
from math import prod
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import names
from ckptrun.checkpoints import reading
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun
from ckptrun.state import dtypes
from ckptrun.state.data import Piece, opened, rechunked
from ckptrun.state.tensor import Contents, Tensor, simple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckptrun.state.data import Data

_HEADER = b"gomlx_checkpoints"
_LARGEST = 64 << 20  # bytes of .json
_AT_ONCE = 1 << 20


class _Variable(Noun, frozen=True, kw_only=True, rename="pascal"):
    parameter_name: str
    dimensions: list[int] | None = None
    d_type: str = msgspec.field(name="DType")
    pos: int
    length: int


class _Parameter(Noun, frozen=True, kw_only=True, rename="pascal"):
    scope: str = ""
    key: str = ""
    value: Any = None


class _Json(Noun, frozen=True, kw_only=True, rename="pascal"):
    params: list[_Parameter] | None = None
    variables: list[_Variable]


def is_pair(path: str) -> bool:
    """Whether `path` is a .json with a .bin beside it."""
    return path.endswith(".json") and os.path.isfile(_binary(path))


def contents(path: str) -> Contents | None:
    """The variables of a pair, by the path of its .json; None if that is some other JSON.

    Raises:
        Broken: it is damaged.
    """
    try:
        found = msgspec.json.decode(reading.small(os.path.realpath(path), _LARGEST), type=_Json)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    name, binary = os.path.basename(_binary(path)), _binary(path)
    with opened(binary) as file:
        packed = file.at(0, len(_HEADER)) == _HEADER
        width = file.at(len(_HEADER), 1) if packed else b""
        begin = len(_HEADER) + 1 + width[0] if width else 0
        method = file.at(len(_HEADER) + 1, begin - len(_HEADER) - 1) if packed else b""
        size = file.size
    if packed and method != b"gzip":
        raise Broken(names.CORRUPT, f"{name} is packed by {method[:20]!r}, which is not known here")
    stream = _Stream(binary, begin) if packed else None
    tensors = [_tensor(each, stream or binary, size) for each in found.variables]
    values = {".".join([*each.scope.strip("/").split("/"), each.key]).lstrip("."): each.value for each in found.params or []}
    return Contents(format="gomlx", tensors=tensors, values=values)


def _binary(path: str) -> str:
    return path.removesuffix(".json") + ".bin"


def _tensor(variable: _Variable, source: _Stream | str, size: int) -> Tensor:
    kind, shape = dtypes.named(variable.d_type), variable.dimensions or []
    most = size * 1032 if isinstance(source, _Stream) else size  # deflate cannot shrink more
    if variable.pos < 0 or variable.length < 0 or variable.pos + variable.length > most:
        raise Broken(names.PARTIAL, f"{variable.parameter_name} needs bytes that are not there")
    if kind and (any(side < 0 for side in shape) or prod(shape) * kind.width != variable.length):
        raise Broken(names.CORRUPT, f"{variable.parameter_name} has {variable.length} bytes, not what its shape needs")
    data: Data
    if isinstance(source, _Stream):
        data = _Packed(source, variable.pos, variable.length)
    else:
        data = Piece(source, variable.pos, variable.length)
    return simple(
        variable.parameter_name.removeprefix("var:").lstrip("/").replace("/", "."),
        kind.name if kind else variable.d_type,
        shape,
        data,
    )


class _Stream:
    """A gzip stream that is read forwards; who wants an earlier place begins anew. Tensors lie in it in their order."""

    def __init__(self, path: str, begin: int) -> None:
        self.path, self.begin = path, begin
        self._at, self._pieces = 0, iter(())  # type: tuple[int, Iterator[bytes]]
        self._rest = b""

    def read(self, place: int, size: int) -> Iterator[bytes]:
        """`size` bytes from `place`, as far as there are so many."""
        if place < self._at:
            self._at, self._rest, self._pieces = 0, b"", self._unpacked()
        elif self._at == 0 and not self._rest:
            self._pieces = self._unpacked()
        while size:
            piece = self._rest or next(self._pieces, b"")
            if not piece:
                return
            skipped = min(max(place - self._at, 0), len(piece))
            taken = piece[skipped : skipped + size]
            self._at += skipped + len(taken)
            self._rest = piece[skipped + len(taken) :]
            size -= len(taken)
            if taken:
                yield taken

    def _unpacked(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        with opened(self.path) as file:
            for block in file.blocks(self.begin, file.size - self.begin):
                data = block
                while data and not unpacker.eof:
                    try:
                        yield unpacker.decompress(data, _AT_ONCE)
                    except zlib.error as error:
                        raise file.wrong(f"it cannot be unpacked: {error}") from error
                    data = unpacker.unconsumed_tail


class _Packed:
    whole = False

    def __init__(self, stream: _Stream, begin: int, size: int) -> None:
        self.stream, self.begin, self.size = stream, begin, size

    def blocks(self) -> Iterator[bytes]:
        yield from rechunked(self.stream.read(self.begin, self.size), self.size, self.stream.path)
