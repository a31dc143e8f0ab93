"""What can be said of a tensor's numbers, read a block at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ckptrun.model import Noun
from ckptrun.state import numbers

if TYPE_CHECKING:
    from ckptrun.state.tensor import Tensor


class Stats(Noun, frozen=True, kw_only=True):
    """Of the finite numbers: root of the mean square, largest distance from 0, mean (None where there are none); and the others."""

    rms: float | None = None
    largest: float | None = None
    mean: float | None = None
    nan: int = 0
    inf: int = 0


def of(tensor: Tensor) -> Stats:
    """Read all of it; sums are kept in double precision. Of complex numbers the mean is that of their sizes.

    Raises:
        UsageError: numpy is missing, or the numbers are of a kind that is not read.
        Broken, OSError: as its data.
    """
    np = numbers.numpy()
    count = nan = 0
    total = squares = largest = 0.0
    for block in tensor.data.blocks():
        values = numbers.decoded(block, tensor.dtype)
        values = np.abs(values) if np.iscomplexobj(values) else values.astype("f8")
        finite = values[np.isfinite(values)]
        nan += int(np.isnan(values).sum())
        count += finite.size
        if finite.size:
            with np.errstate(over="ignore"):
                total, squares = total + float(finite.sum()), squares + float(np.square(finite).sum())
            largest = max(largest, float(np.abs(finite).max()))
    inf = tensor.elements - count - nan
    if not count:
        return Stats(nan=nan, inf=inf)
    return Stats(rms=math.sqrt(squares / count), largest=largest, mean=total / count, nan=nan, inf=inf)
