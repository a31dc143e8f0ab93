"""Shards by their list: `model.safetensors.index.json` names the file of every tensor (transformers, diffusers, accelerate)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.checkpoints import reading
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUFFIX = ".index.json"
_LARGEST = 64 << 20  # bytes: 400,000 tensors


class _Index(Noun, frozen=True, kw_only=True):
    weight_map: dict[str, str]


def require_all(directory: str, files: Iterable[str], patience: Patience) -> None:
    """Return if every file that a list among `files` names is there.

    Raises:
        Broken: one is missing, or the list leads out of its directory. What is wrong with the list itself is not said here.
    """
    for name in files:
        if name.endswith(_SUFFIX):
            for shard in _named(os.path.join(directory, name), patience):
                _require(directory, name, shard)


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
