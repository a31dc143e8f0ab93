"""From a file, or the files of a checkpoint, to their tensors."""

from __future__ import annotations

import fnmatch
import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.checkpoints import reading
from ckptrun.checkpoints.kinds import zips
from ckptrun.checkpoints.reading import Broken
from ckptrun.state import arrays, dcp, gomlx, hdf5, pickled, safetensors, torchfile
from ckptrun.state.data import opened
from ckptrun.state.tensor import Contents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.state.tensor import Tensor

INDEX = ".safetensors.index.json"
_LARGEST_INDEX = 64 << 20  # bytes


def one(path: str) -> Contents | None:
    """What is in the file at `path`; None for a file that holds no tensors by its format.

    Raises:
        IoFailure: it is damaged, or cannot be read.
        UsageError: what reads its format is not installed.
    """
    try:
        return _one(path)
    except Broken as broken:
        raise errors.IoFailure(f"{broken.reason}: {path}") from broken


def of(directory: str, files: Sequence[str]) -> Contents:
    """The tensors of all `files` in `directory`, together; a name that two files have is told apart by the file.

    Raises:
        IoFailure, UsageError: as `one`; or a file that an index names is not there.
    """
    found: list[tuple[str, Contents]] = []
    for name in _worth_reading(files):
        contents = one(os.path.join(directory, name))
        if contents is not None:
            found.append((name, contents))
    for name in files:
        if name.endswith(INDEX):
            _require_shards(os.path.join(directory, name), found)
    return _joined(found)


def chosen(contents: Contents, patterns: Sequence[str]) -> Contents:
    """Those tensors and values whose names match one of `patterns`, all where there are none."""
    if not patterns:
        return contents
    return msgspec.structs.replace(
        contents,
        tensors=[each for each in contents.tensors if _matches(each.name, patterns)],
        values={name: value for name, value in contents.values.items() if _matches(name, patterns)},
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _one(path: str) -> Contents | None:
    name = os.path.basename(path)
    try:
        if name == dcp.METADATA:
            return dcp.contents(path)
        if name.endswith(".json"):
            return gomlx.contents(path) if gomlx.is_pair(path) else None
        with opened(path) as file:
            head = file.at(0, 8)
            members = zips.members(file) if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else None
    except OSError as error:
        raise errors.IoFailure(f"cannot read {path}: {error.strerror}") from error
    if members is not None:
        return _archive(path, members)
    if name.endswith(".safetensors"):
        return safetensors.contents(path)
    if head.startswith(arrays.MAGIC):
        return arrays.contents(path)
    if head.startswith(b"\x89HDF"):
        return hdf5.contents(path)
    return pickled.contents(path) if head.startswith(b"\x80") and not name.endswith(".distcp") else None


def _archive(path: str, members: torchfile.Members) -> Contents | None:
    if torchfile.holds_pickle(members):
        return torchfile.contents(path, members) if not path.endswith(".distcp") else None
    return arrays.archived(path, members) if any(member.name.endswith(".npy") for member, _ in members) else None


def _worth_reading(files: Sequence[str]) -> list[str]:
    """Not what `.metadata` speaks for, not our own manifest."""
    return [name for name in files if os.path.basename(name) != names.MANIFEST and not name.endswith((".distcp", INDEX))]


def _require_shards(path: str, found: Sequence[tuple[str, Contents]]) -> None:
    """Every tensor of a sharded model is in the file that the index names for it (huggingface_hub, split_torch_state_dict).

    Raises:
        IoFailure: one is not.
    """
    try:
        index = msgspec.json.decode(reading.small(os.path.realpath(path), _LARGEST_INDEX))["weight_map"]
        wanted = {(str(shard), str(name)) for name, shard in index.items()}
    except (msgspec.MsgspecError, KeyError, AttributeError, TypeError, Broken, RecursionError) as error:
        raise errors.IoFailure(f"{os.path.basename(path)} is no index: {error}: {path}") from error
    there = {(os.path.basename(name), each.name) for name, contents in found for each in contents.tensors}
    if lacks := sorted(wanted - there):
        shard, name = lacks[0]
        more = f", and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        raise errors.IoFailure(f"{os.path.basename(path)} names {name} in {shard}, where it is not{more}: {path}")


def _joined(found: Sequence[tuple[str, Contents]]) -> Contents:
    seen: set[str] = set()
    twice: set[str] = set()
    for _, contents in found:
        for name in {*(each.name for each in contents.tensors), *contents.values}:
            (twice if name in seen else seen).add(name)
    tensors: list[Tensor] = []
    values = {}
    for file, contents in found:
        short = _short(file, [name for name, _ in found])
        tensors += [
            msgspec.structs.replace(each, file=file, name=f"{short}:{each.name}" if each.name in twice else each.name)
            for each in contents.tensors
        ]
        values.update({f"{short}:{name}" if name in twice else name: value for name, value in contents.values.items()})
    return Contents(
        format=", ".join(dict.fromkeys(contents.format for _, contents in found)),
        tensors=tensors,
        values=values,
        refused=[f"{_short(file, [file])}: {name}" for file, contents in found for name in contents.refused],
        notes={key: value for _, contents in found for key, value in contents.notes.items()},
    )


def _short(file: str, others: Sequence[str]) -> str:
    """A file's name without the directory that all of them lie in: the checkpoint's own, which another one has not."""
    if len(others) == 1:
        return os.path.basename(file)
    common = os.path.commonpath([os.path.dirname(name) for name in others])
    return os.path.relpath(file, common) if common else file
