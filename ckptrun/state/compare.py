"""Where two checkpoints differ: tensors that only one has, of another shape or kind, or with other numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ckptrun.model import Noun
from ckptrun.state import dtypes, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckptrun.state.tensor import Tensor

ONLY_A, ONLY_B, SHAPE, DTYPE, VALUES = "only in A", "only in B", "shape", "dtype", "values"


class Difference(Noun, frozen=True, kw_only=True):
    """One tensor. Of other numbers: how many of its elements, the largest change, and the change's RMS over that of A."""

    name: str
    what: str
    before: str = ""  # dtype and shape
    after: str = ""
    elements: int = 0
    changed: int = 0
    largest: float | None = None  # None: neither is finite anywhere
    relative: float | None = None  # None: all of A is 0, or not finite


def tensors(before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[Difference]:
    """What differs, in A's order, then what only B has; numbers are read a block at a time.

    Raises:
        UsageError, Broken, OSError: as the tensors' data, and numbers.decoded.
    """
    there = {each.name: each for each in after}
    for old in before:
        new = there.pop(old.name, None)
        found = Difference(name=old.name, what=ONLY_A, before=old.described) if new is None else _difference(old, new)
        if found is not None:
            yield found
    for new in there.values():
        yield Difference(name=new.name, what=ONLY_B, after=new.described)


def _difference(old: Tensor, new: Tensor) -> Difference | None:
    what = SHAPE if old.shape != new.shape else DTYPE if old.dtype != new.dtype else ""
    if what:
        return Difference(name=old.name, what=what, before=old.described, after=new.described)
    return _values(old, new)


def _values(old: Tensor, new: Tensor) -> Difference | None:
    """The tensors' numbers against each other; blocks with the same bytes only count for A's size."""
    sums = _Sums()
    for left, right in zip(old.data.blocks(), new.data.blocks(), strict=True):
        sums.add(left, right, old.dtype, known=old.kind != dtypes.OTHER)
    if not sums.changed:
        return None
    return Difference(
        name=old.name,
        what=VALUES,
        before=old.described,
        after=new.described,
        elements=old.elements,
        changed=sums.changed,
        largest=sums.largest if sums.finite else None,
        relative=math.sqrt(sums.change / sums.size) if sums.finite and sums.size > 0 else None,
    )


class _Sums:
    def __init__(self) -> None:
        self.changed, self.finite = 0, False
        self.largest = self.change = self.size = 0.0

    def add(self, left: bytes, right: bytes, dtype: str, *, known: bool) -> None:
        """One block of each; of kinds that cannot be read only the bytes are counted."""
        if not known:
            self.changed += sum(a != b for a, b in zip(left, right, strict=True)) if left != right else 0
            return
        np = numbers.numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            a = _wide(np, numbers.decoded(left, dtype))
            self.size += float(np.square(np.abs(a[np.isfinite(a)])).sum())
            if left != right:
                self._differ(np, a, _wide(np, numbers.decoded(right, dtype)))

    def _differ(self, np: Any, a: Any, b: Any) -> None:
        self.changed += int(((a != b) & ~(np.isnan(a) & np.isnan(b))).sum())
        both = np.isfinite(a) & np.isfinite(b)
        change = np.abs(b[both] - a[both])
        if change.size:
            self.finite = True
            self.largest = max(self.largest, float(change.max()))
            self.change += float(np.square(change).sum())


def _wide(np: Any, values: Any) -> Any:
    """In double precision, integers too: a difference must not run over."""
    return values.astype("c16" if np.iscomplexobj(values) else "f8")
