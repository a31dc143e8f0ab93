"""A tensor as it lies in a file, and all that a file holds."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from ckptrun.model import Noun
from ckptrun.state import dtypes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckptrun.state.data import Data

    Plain = int | float | str | bool | None


class Tensor(Noun, frozen=True, kw_only=True):
    """One tensor; its numbers are read when `data` is asked for them."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    data: Any  # state.data.Data
    store: str = ""  # what its bytes are a part of, where several tensors may share it
    stored: int = 0  # bytes of that
    file: str = ""

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def described(self) -> str:
        """`float32 2×3`; of a single number `int64 ()`."""
        return f"{self.dtype} {self.sides}"

    @property
    def sides(self) -> str:
        """`2×3`; of a single number `()`."""
        return "×".join(map(str, self.shape)) or "()"

    @property
    def kind(self) -> str:
        """Whether it can be averaged, and how: dtypes.FLOAT, INTEGER, COMPLEX or OTHER."""
        known = dtypes.BY_NAME.get(self.dtype)
        return known.kind if known else dtypes.OTHER


class Contents(Noun, frozen=True, kw_only=True):
    """What a file holds: tensors, plain values beside them, what was not looked into and why, and the file's own notes."""

    format: str
    tensors: list[Tensor] = []
    values: dict[str, Any] = {}  # numbers and texts by their dotted names
    refused: list[str] = []  # classes and functions that a pickle asks for and that are not called
    notes: dict[str, str] = {}  # safetensors' __metadata__


def simple(name: str, dtype: str, shape: Iterable[int], data: Data) -> Tensor:
    """A tensor whose bytes lie one behind the other."""
    return Tensor(name=name, dtype=dtype, shape=tuple(shape), bytes=data.size, data=data)


def total(tensors: Iterable[Tensor]) -> int:
    """Bytes of all together; what several share counts once."""
    shared: dict[str, tuple[int, int]] = {}
    alone = 0
    for each in tensors:
        if each.store:
            shared[each.store] = (shared.get(each.store, (0, 0))[0] + each.bytes, each.stored)
        else:
            alone += each.bytes
    return alone + sum(min(used, stored) for used, stored in shared.values())
