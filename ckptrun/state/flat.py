"""Nested dicts and lists as one flat list of dotted names: `model.layers.0.weight`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import names
from ckptrun.checkpoints.reading import Broken
from ckptrun.state.tensor import Tensor
from ckptrun.state.unpickle import Late

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 1_000_000  # parts: a pickle of a few bytes can refer to itself until the end of time
_DEEPEST = 100
_LONGEST_LIST = 64  # plain values in a list: a longer one is data, not settings
_LONGEST_TEXT = 4096


class Flat:
    """All tensors and plain values below `root`; a root that is a tensor itself is called `alone`.

    Raises:
        Broken: it is nested deeper, or has more in it, than a state can.
    """

    def __init__(self, root: Any, alone: str) -> None:
        self.tensors: list[Tensor] = []
        self.values: dict[str, Any] = {}
        self._alone, self._left = alone, _MOST
        self._walk(root, "", 0)

    def _walk(self, item: Any, path: str, depth: int) -> None:
        item = item.value if isinstance(item, Late) else item
        if isinstance(item, Tensor):
            self.tensors.append(msgspec.structs.replace(item, name=path or self._alone))
        elif item is None or isinstance(item, (bool, int, float)) or (isinstance(item, str) and len(item) <= _LONGEST_TEXT):
            self.values[path or self._alone] = item
        elif isinstance(item, (dict, list, tuple)):
            self._spend(len(item) + 1, depth, path)
            for key, value in _items(item):
                self._walk(value, f"{path}.{key}" if path else key, depth + 1)

    def _spend(self, parts: int, depth: int, path: str) -> None:
        self._left -= parts
        if self._left < 0 or depth > _DEEPEST:
            how = (
                "it has more than a million parts"
                if depth <= _DEEPEST
                else f"{path[:60]}… is nested too deeply to be a state"
            )
            raise Broken(names.CORRUPT, f"{self._alone} is damaged: {how}")


def _items(item: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(item, dict):
        return ((key if isinstance(key, str) else str(key)[:_LONGEST_TEXT], value) for key, value in item.items())
    if len(item) <= _LONGEST_LIST or any(isinstance(each, (Tensor, Late, dict, list, tuple)) for each in item):
        return ((str(index), value) for index, value in enumerate(item))
    return ()
