"""torch.save's files: a zip archive with a pickle (data.pkl) and one member of raw bytes for each storage (torch/serialization.py).

The pickle is read by `unpickle`; a storage's bytes are read from the archive by their place, when somebody asks for the numbers.
"""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING, Any

from ckptrun import names
from ckptrun.checkpoints.kinds import zips
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun
from ckptrun.state import dtypes, pickled, unpickle
from ckptrun.state.data import Data, Held, Packed, Piece, View, opened
from ckptrun.state.flat import Flat
from ckptrun.state.pickled import StorageType
from ckptrun.state.tensor import Contents, Tensor
from ckptrun.state.unpickle import Foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.checkpoints.kinds.file import File
    from ckptrun.checkpoints.kinds.zips import Member
    from ckptrun.state.unpickle import Meaning

    Members = list[tuple[Member, int]]

PICKLE = "data.pkl"
_MOST_DIMENSIONS = 64


class Storage(Noun, frozen=True, kw_only=True):
    """What a persistent id refers to."""

    dtype: str
    key: str


class Archive:
    """One archive of torch.save, in a file or in a part of one that begins at byte `begin`."""

    def __init__(self, file: File, path: str, found: Members) -> None:
        self.file, self.path = file, path
        main = next((member for member, _ in found if _is_pickle(member.name)), None)
        if main is None:
            raise file.wrong(f"it has no {PICKLE}")
        self.prefix = main.name.removesuffix(PICKLE)
        self.members = {member.name: (member, begin) for member, begin in found}

    def root(self) -> tuple[Any, list[str]]:
        """What was saved, with tensors in the place of tensors, and what was refused."""
        if self._small("byteorder", b"little") != b"little":
            raise self.file.wrong("its numbers are big-endian, which is not read here")
        data = self._small(PICKLE, b"")
        return unpickle.load(data, self.file.name, {**pickled.KNOWN, **_known(self)}, _persistent)

    def tensor(self, storage: Any, dtype: str, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Tensor:
        """A view of a storage; offset and strides count elements."""
        kind = dtypes.BY_NAME.get(dtype)
        if not isinstance(storage, Storage) or kind is None:
            raise TypeError(f"a tensor of {dtype or 'no known kind'} is built on what is no storage")
        _require_shape(shape, strides, offset)
        whole, place = self._member(f"data/{storage.key}")
        extent = 0 if 0 in shape else sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True)) + 1
        offset = offset if extent else 0  # of nothing it may lie behind the end
        if (offset + extent) * kind.width > whole.size:
            raise self.file.wrong(
                f"a tensor reaches to byte {(offset + extent) * kind.width} of the {whole.size} of its storage"
            )
        span = self._span(whole, place, offset * kind.width, extent * kind.width)
        data = span if _in_order(shape, strides) else View(span, kind.width, shape, strides)
        return Tensor(
            name="",
            dtype=dtype,
            shape=tuple(shape),
            bytes=data.size,
            data=data,
            store=f"{self.path}:{self.file.begin}:{storage.key}",
            stored=whole.size,
        )

    def _member(self, name: str) -> tuple[Member, int]:
        found = self.members.get(self.prefix + name)
        if found is None:
            raise self.file.wrong(f"{name} is missing in it")
        return found

    def _small(self, name: str, default: bytes) -> bytes:
        if default and self.prefix + name not in self.members:
            return default
        member, begin = self._member(name)
        if member.size > unpickle.LARGEST:
            raise self.file.wrong(f"its {name} would have {member.size} bytes")
        return b"".join(zips.unpacked(self.file, member, begin))

    def _span(self, member: Member, begin: int, offset: int, size: int) -> Data:
        if member.method == zips.STORED:
            return Piece(self.path, self.file.begin + begin + offset, size)
        if not size or (offset == 0 and size == member.size):
            return Packed(self.path, member, begin) if size else Held(b"")
        raise self.file.wrong("its storages are packed, and a part of one cannot be read")


def contents(path: str, found: Members) -> Contents:
    """The tensors and plain values of a file, under the names that lead to them.

    Raises:
        Broken: it is damaged.
    """
    with opened(path) as file:
        root, refused = Archive(file, path, found).root()
    found_in = Flat(root, os.path.basename(path))
    return Contents(format="torch", tensors=found_in.tensors, values=found_in.values, refused=refused)


def holds_pickle(found: Members) -> bool:
    """Whether a zip archive is one of torch.save."""
    return any(_is_pickle(member.name) for member, _ in found)


def _is_pickle(name: str) -> bool:
    return name == PICKLE or (name.endswith(f"/{PICKLE}") and name.count("/") == 1)


def _known(archive: Archive) -> dict[str, Meaning]:
    """Names of torch, and what they make here (torch/_utils.py); of a kind of storage that is not read nothing is made."""

    def rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Any:
        return rebuild_v3(storage, offset, shape, strides, None, None, getattr(storage, "dtype", ""))

    def rebuild_v3(storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any) -> Any:
        if isinstance(storage, Foreign) or isinstance(dtype, Foreign):
            return storage
        return archive.tensor(storage, str(dtype), offset, shape, strides)

    return {
        "torch._utils._rebuild_tensor": rebuild,
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch._utils._rebuild_tensor_v3": rebuild_v3,
    }


def _persistent(found: Any) -> Any:
    if not isinstance(found, tuple) or len(found) < 3 or found[0] != "storage":
        raise TypeError("it refers to something that is no storage")
    kind = found[1]
    return Storage(dtype=kind.dtype, key=str(found[2])) if isinstance(kind, StorageType) else Foreign("a storage")


def _require_shape(shape: Any, strides: Any, offset: Any) -> None:
    numbers = [*shape, *strides, offset]
    if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS or any(type(n) is not int or n < 0 for n in numbers):
        raise Broken(names.CORRUPT, "a tensor has a shape that is none")


def _in_order(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements lie one behind the other; the stride of an axis with one element means nothing."""
    if 0 in shape:
        return True
    return all(
        side == 1 or stride == prod(shape[axis + 1 :])
        for axis, (side, stride) in enumerate(zip(shape, strides, strict=True))
    )
