"""torch's distributed checkpoints: `.metadata` says which part of which tensor is where in the .distcp files, each a torch.save of its own.

`.metadata` is a pickle and is read as one: nothing in it is executed (torch/distributed/checkpoint/metadata.py, filesystem.py).
"""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING, Any

from ckptrun import names
from ckptrun.checkpoints import reading
from ckptrun.checkpoints.kinds import zips
from ckptrun.checkpoints.reading import Broken
from ckptrun.state import dtypes, pickled, unpickle
from ckptrun.state.data import Parts, opened, rechunked
from ckptrun.state.flat import Flat
from ckptrun.state.tensor import Contents, Tensor, simple
from ckptrun.state.torchfile import Archive
from ckptrun.state.unpickle import Late

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckptrun.state.unpickle import Meaning

METADATA = ".metadata"


class _Index(Late):
    """MetadataIndex, the key of what is stored."""


_MODULE = "torch.distributed.checkpoint"
_KNOWN: dict[str, Meaning] = {
    **{
        f"{_MODULE}.metadata.{name}": Late
        for name in (
            "Metadata",
            "TensorStorageMetadata",
            "TensorProperties",
            "ChunkStorageMetadata",
            "BytesStorageMetadata",
            "StorageMeta",
        )
    },
    f"{_MODULE}.metadata.MetadataIndex": _Index,
    f"{_MODULE}.metadata._MEM_FORMAT_ENCODING": lambda *_: None,
    f"{_MODULE}.filesystem._StorageInfo": Late,
    "pathlib.PosixPath": lambda *parts: os.path.join(*map(str, parts)) if parts else "",
}


def contents(path: str) -> Contents:
    """The tensors and plain values of the checkpoint whose `.metadata` is at `path`.

    Raises:
        Broken: it is damaged.
    """
    data = reading.small(os.path.realpath(path), unpickle.LARGEST)
    root, refused = unpickle.load(data, METADATA, {**pickled.KNOWN, **_KNOWN}, _no_storage)
    directory = os.path.dirname(path)
    try:
        stored = _stored(root.value["storage_data"])
        found = root.value["state_dict_metadata"].items()
        tensors = [_tensor(name, each.value, stored, directory) for name, each in found if _is_tensor(each)]
        values: dict[str, Any] = {}
        for name, each in found:
            if not _is_tensor(each):
                values.update(_plain(name, stored.get((name, ())), directory))
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise Broken(names.CORRUPT, f"{METADATA} is damaged: it does not say what is where: {error!r}") from error
    return Contents(format="dcp", tensors=tensors, values=values, refused=refused)


class _Chunk:
    """One part of a tensor: the archive at a place of a .distcp."""

    whole = False

    def __init__(self, directory: str, info: Mapping[str, Any], size: int) -> None:
        if info.get("transform_descriptors"):
            raise ValueError("its parts are packed")
        self.path, self.size = _inside(directory, info["relative_path"]), size
        self.begin, self.length = int(info["offset"]), int(info["length"])

    def root(self) -> Any:
        """What was saved there."""
        with opened(self.path) as file:
            part = file.part(self.begin, self.length)
            return Archive(part, self.path, zips.members(part)).root()[0]

    def blocks(self) -> Iterator[bytes]:
        tensor = self.root()
        if not isinstance(tensor, Tensor) or tensor.bytes != self.size:
            raise Broken(names.CORRUPT, f"{os.path.basename(self.path)} holds another tensor than {METADATA} says")
        yield from rechunked(tensor.data.blocks(), self.size, self.path)


def _stored(found: Mapping[_Index, Late]) -> dict[tuple[str, tuple[int, ...]], Any]:
    """Where each part is, by the tensor's name and where the part begins in it; what is no tensor begins nowhere."""
    return {(key.value["fqn"], tuple(key.value.get("offset") or ())): info.value for key, info in found.items()}


def _is_tensor(found: Late) -> bool:
    return isinstance(found.value, dict) and "chunks" in found.value


def _tensor(name: str, about: Mapping[str, Any], stored: Mapping[Any, Any], directory: str) -> Tensor:
    properties, shape = about["properties"].value, tuple(about["size"])
    dtype = str(properties[0] if isinstance(properties, tuple) else properties["dtype"])
    kind = dtypes.BY_NAME[dtype]
    parts = []
    for each in about["chunks"]:
        begin, sides = tuple(each.value["offsets"]), tuple(each.value["sizes"])
        _require_inside(name, begin, sides, shape)
        parts.append((begin, sides, _Chunk(directory, stored[name, begin], prod(sides) * kind.width)))
    if sum(prod(sides) for _, sides, _ in parts) != prod(shape):
        raise ValueError(f"the parts of {name} are not all of it")
    data: Any = parts[0][2] if len(parts) == 1 else Parts(kind.width, shape, parts)
    return simple(name, dtype, shape, data)


def _require_inside(name: str, begin: tuple[int, ...], sides: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if any(at < 0 or side < 0 or at + side > whole for at, side, whole in zip(begin, sides, shape, strict=True)):
        raise ValueError(f"a part of {name} lies outside of it")


def _plain(name: str, info: Any, directory: str) -> dict[str, Any]:
    """What is stored as bytes: a pickle of its own, numbers and texts mostly."""
    if info is None:
        return {}
    found = Flat({name: _Chunk(directory, info, 0).root()}, name)
    return found.values


def _inside(directory: str, name: Any) -> str:
    """A .distcp beside `.metadata`, and nowhere else."""
    parts = str(name).split("/")
    if str(name).startswith("/") or ".." in parts:
        raise ValueError(f"{name} lies outside of the checkpoint")
    return os.path.join(directory, *parts)


def _no_storage(_: Any) -> Any:
    raise TypeError("it refers to something outside of it")
