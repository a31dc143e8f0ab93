"""The kinds of numbers that numpy lacks, against torch."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from ckptrun import errors
from ckptrun.state import dtypes, numbers

SMALL = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


def bits(tensor):
    return tensor.view(torch.uint8 if tensor.element_size() == 1 else torch.int16).numpy().tobytes()


@pytest.mark.parametrize("name", SMALL)
def test_all_codes_of_the_small_floats(name):
    codes = torch.arange(256, dtype=torch.uint8)
    np.testing.assert_array_equal(numbers.decoded(codes.numpy().tobytes(), name), codes.view(SMALL[name]).float().numpy())


def test_all_codes_of_bfloat16():
    codes = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16)
    np.testing.assert_array_equal(numbers.decoded(bits(codes), "bfloat16"), codes.view(torch.bfloat16).float().numpy())


def trials():
    chance = np.random.default_rng(20261120)
    spread = chance.standard_normal(100_000) * 10.0 ** chance.integers(-12, 3, 100_000)
    halves = (np.arange(-600, 600) / 2.0)[:, None] * 2.0 ** np.arange(-12, 2)
    return np.concatenate([spread, halves.ravel(), [0.0, -0.0, np.nan]])


@pytest.mark.parametrize("name", SMALL)
def test_rounding_to_the_small_floats(name):
    largest = torch.finfo(SMALL[name]).max
    values = trials()
    values = values[~(np.abs(values) > largest)]  # beyond it torch saturates or not, as its version likes
    ours = numbers.decoded(numbers.encoded(values, name), name)
    np.testing.assert_array_equal(ours, torch.from_numpy(values).float().to(SMALL[name]).float().numpy())
    assert numbers.decoded(numbers.encoded(np.array([1e9, -1e9]), name), name).tolist() == [largest, -largest]


def test_rounding_to_bfloat16_is_to_the_nearest_even_and_once_only():
    values = trials()[:-1]  # there are many NaN
    assert numbers.encoded(values.astype("f4"), "bfloat16") == bits(torch.from_numpy(values.astype("f4")).bfloat16())
    near = np.array([1 + 2**-8 + 2**-40, 1 + 2**-8 - 2**-40, 1 + 3 * 2**-8 - 2**-40, -1 - 2**-8 - 2**-40, 1 + 2**-8])
    assert numbers.decoded(numbers.encoded(near, "bfloat16"), "bfloat16").tolist() == [
        1.0078125,
        1.0,
        1.0078125,
        -1.0078125,
        1.0,
    ]
    odd = np.array([np.inf, -np.inf, np.nan, 1e300])
    np.testing.assert_array_equal(
        numbers.decoded(numbers.encoded(odd, "bfloat16"), "bfloat16"), [np.inf, -np.inf, np.nan, np.inf]
    )


def test_infinity_stays_where_there_is_one():
    odd = np.array([np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(numbers.decoded(numbers.encoded(odd, "float8_e5m2"), "float8_e5m2"), odd)
    np.testing.assert_array_equal(
        numbers.decoded(numbers.encoded(odd, "float8_e4m3fn"), "float8_e4m3fn"), [448, -448, np.nan]
    )


def test_kinds_that_nobody_can_read_are_an_error():
    with pytest.raises(errors.UsageError, match="float8_e8m0fnu"):
        numbers.decoded(b"\0", "float8_e8m0fnu")


def test_without_numpy_the_line_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(errors.UsageError, match="needs numpy") as caught:
        numbers.decoded(b"", "float32")
    assert caught.value.hint == "pip install 'ckptrun[state]'"


def test_names_of_other_frameworks():
    assert [dtypes.named(name).name for name in ("Float32", "F8E4M3FN", "pred", "BFloat16", "int64")] == [
        "float32",
        "float8_e4m3fn",
        "bool",
        "bfloat16",
        "int64",
    ]
    assert dtypes.named("quaternion") is None
