"""Shards by their list: `model.safetensors.index.json` names the file of every tensor (transformers, diffusers, accelerate).

torch's `.metadata` is a pickle that has the names of its `.distcp` files in it as they are; Orbax's `manifest.ocdbt` stands for files in
`d/`, and for `_METADATA` beside it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.checkpoints import reading
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUFFIX = ".index.json"
_METADATA, _MANIFEST = ".metadata", "manifest.ocdbt"
_DISTCP = re.compile(rb"__\d{1,9}_\d{1,9}\.distcp")
_LARGEST = 64 << 20  # bytes: 400,000 tensors


class _Index(Noun, frozen=True, kw_only=True):
    weight_map: dict[str, str]


def require_all(directory: str, files: Iterable[str], patience: Patience) -> None:
    """Return if every file that a list among `files` names is there.

    Raises:
        Broken: one is missing, or the list leads out of its directory. What is wrong with the list itself is not said here.
    """
    files = list(files)
    for name in files:
        if os.path.basename(name) == _METADATA:
            for shard in _distcp(os.path.join(directory, name), patience):
                _require(directory, name, shard)
        if os.path.basename(name) == _MANIFEST:
            _require_arrays(name, files)
        if name.endswith(_SUFFIX):
            for shard in _named(os.path.join(directory, name), patience):
                _require(directory, name, shard)


def _distcp(path: str, patience: Patience) -> list[str]:
    """The names of `.distcp` files that a `.metadata` holds; of one in another format none."""
    try:
        data = patience.read(lambda: reading.small(path, _LARGEST), os.path.basename(path))
    except Broken:
        return []
    return sorted({found.decode() for found in _DISTCP.findall(data)})


def _require_arrays(manifest: str, files: list[str]) -> None:
    """Orbax: what a manifest is for lies in `d/` beside it or in those of its processes, and in an item `_METADATA` says what it is."""
    where = os.path.dirname(manifest)
    if not any(name.startswith(f"{where}/") and "/d/" in name[len(where) :] for name in files):
        raise Broken(names.PARTIAL, f"{manifest} is there, and the files of {where}/d that it stands for are not")
    item = not os.path.basename(where).startswith("ocdbt.process_")
    if item and f"{where}/_METADATA" not in files and f"{where}/metadata.json" not in files:
        raise Broken(names.PARTIAL, f"{where}/_METADATA is missing")


def _require(directory: str, name: str, shard: str) -> None:
    if os.sep in shard or "\0" in shard or shard in ("", ".", ".."):
        raise Broken(names.CORRUPT, f"{name} names {shard!r}, which is no file beside it")
    if not os.path.lexists(os.path.join(directory, os.path.dirname(name), shard)):
        raise Broken(names.PARTIAL, f"{shard} is missing, which {name} names")


def _named(path: str, patience: Patience) -> list[str]:
    try:
        real = os.path.realpath(path)  # a hub's cache holds links
        data = patience.read(lambda: reading.small(real, _LARGEST), os.path.basename(path))
        return sorted(set(msgspec.json.decode(data, type=_Index).weight_map.values()))
    except (Broken, msgspec.MsgspecError, RecursionError, ValueError):
        return []  # another kind of list, or damaged: the check of JSON says so
