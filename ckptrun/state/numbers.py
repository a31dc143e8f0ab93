"""Bytes of any kind of number ↔ numpy's arrays. bfloat16 and the small floats, which numpy lacks, are read as float32."""

from __future__ import annotations

import functools
from typing import Any

from ckptrun import errors
from ckptrun.state import dtypes

EXTRA = "pip install 'ckptrun[state]'"


def numpy() -> Any:
    """The module numpy.

    Raises:
        UsageError: it is not installed, with the line that installs it.
    """
    try:
        import numpy as np  # noqa: PLC0415  # an extra, and 100 ms: only where numbers are looked at
    except ImportError:
        raise errors.UsageError(
            "this looks at the numbers in tensors, which needs numpy, and that is not installed", EXTRA
        ) from None
    return np


def decoded(raw: bytes, dtype: str) -> Any:
    """The numbers in `raw`, little-endian, as a flat array.

    Raises:
        UsageError: nobody here knows this kind.
    """
    np, kind = numpy(), dtypes.BY_NAME.get(dtype)
    if kind is not None and kind.array:
        return np.frombuffer(raw, f"<{kind.array}")
    if dtype == "bfloat16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    if dtype in _SMALL:
        return _small(dtype)[np.frombuffer(raw, "u1")]
    raise errors.UsageError(
        f"numbers of the kind {dtype} cannot be read here", "their names, shapes and sizes can: `ckptrun show --tensors`"
    )


def encoded(values: Any, dtype: str) -> bytes:
    """Numbers as little-endian bytes, each rounded to the nearest that there is."""
    np, kind = numpy(), dtypes.BY_NAME[dtype]
    with np.errstate(over="ignore", invalid="ignore"):
        if kind.array:
            return bytes(values.astype(f"<{kind.array}").tobytes())
        if dtype == "bfloat16":
            return bytes(_to_bfloat16(np, values).tobytes())
        return bytes(_to_small(np, values, dtype).tobytes())


def _to_bfloat16(np: Any, values: Any) -> Any:
    """The upper half of a float32, to the nearest, ties to even.

    A float32 that had to be rounded itself has its last bit set, so that rounding twice gives what rounding once would.
    """
    narrow = values.astype("<f4")
    back = narrow.astype("f8")
    bits = narrow.view("<u4").copy()
    away = np.abs(back) > np.abs(values)
    inexact = (back != values) & np.isfinite(values) & np.isfinite(back)
    bits = np.where(inexact & away, bits - 1, bits)
    bits = np.where(inexact, bits | 1, bits).astype("<u4")
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded).astype("<u2")


_SMALL = {"float8_e4m3fn": (4, 3), "float8_e5m2": (5, 2)}  # bits of exponent and mantissa (OCP 8-bit Floating Point, 1.0)


@functools.cache
def _small(dtype: str) -> Any:
    """The value of each of the 256 codes."""
    np = numpy()
    exponent_bits, mantissa_bits = _SMALL[dtype]
    codes = np.arange(256)
    exponent, mantissa = (codes & 127) >> mantissa_bits, codes & ((1 << mantissa_bits) - 1)
    bias = (1 << (exponent_bits - 1)) - 1
    fraction = mantissa / (1 << mantissa_bits)
    size = np.where(exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent.astype(float) - bias))
    if dtype == "float8_e5m2":
        size = np.where(exponent == 31, np.where(mantissa == 0, np.inf, np.nan), size)
    else:  # no infinities; only all ones is NaN
        size = np.where((codes & 127) == 127, np.nan, size)
    return np.where(codes < 128, size, -size).astype("f4")


def _to_small(np: Any, values: Any, dtype: str) -> Any:
    """The nearest code, of two that are equally near the even one; beyond the largest: the largest, but infinity stays where it is known."""
    known = _small(dtype)[:128]
    finite = known[np.isfinite(known)].astype("f8")  # ascending, as the codes are
    size = np.minimum(np.abs(values.astype("f8")), finite[-1])
    upper = np.clip(np.searchsorted(finite, size), 1, len(finite) - 1)
    below, above = size - finite[upper - 1], finite[upper] - size
    code = np.where((below < above) | ((below == above) & (upper % 2 == 1)), upper - 1, upper).astype("u1")
    code = np.where(np.isnan(values), np.uint8(127), code)
    code = np.where(np.isinf(values) & bool(np.isinf(known).any()), np.uint8(0x7C), code)
    return (code | (np.signbit(values).astype("u1") << 7)).astype("u1")
