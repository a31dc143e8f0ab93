"""Averages against torch's own arithmetic; memory; what is written, and what is left when writing is cut short."""

from __future__ import annotations

import functools
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ckptrun import errors
from ckptrun.state import compare, mean, reading, stats, writing

ABOUT = {"made_by": "a test"}


def columns_of(*paths):
    return mean.columns([(os.path.basename(path), reading.one(str(path))) for path in paths])


def averaged(target, *paths, force=False):
    found = [
        writing.Column(
            name=each[-1].name, dtype=each[-1].dtype, shape=each[-1].shape, blocks=functools.partial(mean.average, each)
        )
        for each in columns_of(*paths)
    ]
    writing.write(str(target), found, ABOUT, notes={"format": "pt"}, force=force)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8) if tensor.element_size() == 1 else tensor


KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def test_every_kind_of_float_and_views_and_integers(tmp_path):
    torch.manual_seed(1)
    states = []
    for count in range(3):
        state = {str(kind).removeprefix("torch."): torch.randn(50, 7).to(kind) for kind in KINDS}
        state |= {"t": torch.randn(4, 300_000).t(), "steps": torch.tensor(count), "mask": torch.tensor([True, count > 1])}
        torch.save({"model": state, "epoch": count}, tmp_path / f"{count}.pt")
        states.append(state)
    averaged(tmp_path / "mean.safetensors", *(tmp_path / f"{count}.pt" for count in range(3)))
    found = load_file(tmp_path / "mean.safetensors")
    assert set(found) == {f"model.{name}" for name in states[0]}
    for name, newest in states[-1].items():
        wanted = newest
        if newest.is_floating_point():
            wanted = (sum(state[name].double() for state in states) / 3).to(newest.dtype)
        assert torch.equal(bits(found[f"model.{name}"]), bits(wanted)), name
        assert found[f"model.{name}"].dtype == newest.dtype
    with safe_open(tmp_path / "mean.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "ckptrun": json.dumps(ABOUT).replace(": ", ":")}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), min_size=1, max_size=6))
def test_the_mean_is_the_rounded_mean(tmp_path_factory, rows):
    place = tmp_path_factory.getbasetemp()
    for index, row in enumerate(rows):
        np.savez(place / f"{index}.npz", x=np.array(row, "f4"), z=np.array(row, "f4") * 1j)
    averaged(place / "mean.npz", *(place / f"{index}.npz" for index in range(len(rows))), force=True)
    with np.load(place / "mean.npz") as found:
        exact = np.array(rows, "f8").sum(axis=0) / len(rows)
        np.testing.assert_array_equal(found["x"], exact.astype("f4"))
        np.testing.assert_allclose(found["z"].imag, found["x"], rtol=1e-6, atol=1e-30)
    with zipfile.ZipFile(place / "mean.npz") as archive:
        assert json.loads(archive.read("ckptrun.json")) == ABOUT


def test_other_tensors_are_an_error_with_the_list(tmp_path):
    torch.save({"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(1)}, tmp_path / "old.pt")
    torch.save({"b": torch.ones(4), "c": torch.ones(1).half(), "d": torch.ones(1)}, tmp_path / "new.pt")
    with pytest.raises(errors.CkptrunError) as caught:
        columns_of(tmp_path / "old.pt", tmp_path / "new.pt")
    assert caught.value.message.split("\n       ")[1:] == [
        "b is float32 3 in old.pt and float32 4 in new.pt",
        "c is float32 1 in old.pt and float16 1 in new.pt",
        "old.pt lacks d, which new.pt has",
        "new.pt lacks a, which old.pt has",
    ]


@pytest.mark.parametrize("kind", ["safetensors", "npz", "torch", "view"])
def test_memory_is_two_tensors_and_a_constant_whatever_the_number(tmp_path, kind):
    one = 32 << 20
    for index in range(4):
        tensors = {name: torch.full((one // 4,), float(index)) for name in ("a", "b")}
        if kind == "safetensors":
            save_file(tensors, tmp_path / f"{index}.{kind}")
        elif kind == "npz":
            np.savez(tmp_path / f"{index}.npz", **{name: each.numpy() for name, each in tensors.items()})
        else:
            view = {name: each.reshape(4, -1).t() if kind == "view" else each for name, each in tensors.items()}
            torch.save(view, tmp_path / f"{index}.torch")
    paths = sorted(tmp_path.iterdir())
    tracemalloc.start()
    averaged(tmp_path / ("mean.npz" if kind == "npz" else "mean.safetensors"), *paths)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20 if kind != "view" else peak < 2 * 2 * one + (24 << 20)  # in double precision
    found = reading.one(str(tmp_path / ("mean.npz" if kind == "npz" else "mean.safetensors")))
    assert {each.name: stats.of(each).mean for each in found.tensors} == {"a": 1.5, "b": 1.5}


# --- writing -----------------------------------------------------------------------------------------------------------
def ones(count, dtype="float32"):
    block = np.ones(count, "f4").tobytes() if dtype == "float32" else b"\0" * count
    return [writing.Column(name="w", dtype=dtype, shape=(count,), blocks=lambda: iter([block]))]


def test_what_is_there_is_not_overwritten(tmp_path):
    target = tmp_path / "a.safetensors"
    target.write_text("precious")
    with pytest.raises(errors.UsageError, match="is there already"):
        writing.write(str(target), ones(3), ABOUT, notes={}, force=False)
    assert target.read_text() == "precious"
    writing.write(str(target), ones(3), ABOUT, notes={}, force=True)
    assert load_file(target)["w"].tolist() == [1, 1, 1]
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_what_came_meanwhile_is_not_overwritten_either(tmp_path):
    target = tmp_path / "a.safetensors"

    def blocks():
        target.write_text("precious")
        yield np.ones(3, "f4").tobytes()

    column = writing.Column(name="w", dtype="float32", shape=(3,), blocks=blocks)
    with pytest.raises(errors.UsageError, match="is there already"):
        writing.write(str(target), [column], ABOUT, notes={}, force=False)
    assert target.read_text() == "precious"
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize(
    ("name", "dtype", "says"),
    [("a.pt", "float32", "does not say what to write"), ("a.npz", "bfloat16", "cannot hold bfloat16"), ("a.safetensors", "complex128", "cannot hold complex128")],
)  # fmt: skip
def test_what_cannot_be_written(tmp_path, name, dtype, says):
    with pytest.raises(errors.UsageError, match=says):
        writing.write(str(tmp_path / name), ones(1, dtype), ABOUT, notes={}, force=False)
    assert os.listdir(tmp_path) == []


def test_a_failure_while_reading_leaves_nothing(tmp_path):
    def blocks():
        yield b"\0" * 4
        raise OSError(5, "Input/output error")

    column = writing.Column(name="w", dtype="float32", shape=(3,), blocks=blocks)
    with pytest.raises(errors.IoFailure, match="Input/output error"):
        writing.write(str(tmp_path / "a.npz"), [column], ABOUT, notes={}, force=False)
    assert os.listdir(tmp_path) == []


# --- comparing ----------------------------------------------------------------------------------------------------------
def differences(tmp_path, before, after):
    torch.save(before, tmp_path / "a.pt")
    torch.save(after, tmp_path / "b.pt")
    a, b = (reading.one(str(tmp_path / name)).tensors for name in ("a.pt", "b.pt"))
    return {each.name: each for each in compare.tensors(a, b)}


def test_where_two_states_differ(tmp_path):
    nan = float("nan")
    before = {"same": torch.tensor([1.0, nan]), "old": torch.ones(1), "shape": torch.ones(2), "kind": torch.ones(2)}
    before |= {"some": torch.tensor([3.0, 4.0, nan, 1.0]), "int": torch.tensor([2**62, 1]), "zero": torch.zeros(2)}
    after = {"same": torch.tensor([1.0, nan]), "shape": torch.ones(3), "kind": torch.ones(2).half(), "new": torch.ones(1)}
    after |= {"some": torch.tensor([3.0, 4.5, nan, nan]), "int": torch.tensor([2**62, 5]), "zero": torch.tensor([0.0, 1.0])}
    found = differences(tmp_path, before, after)
    assert {name: each.what for name, each in found.items()} == {
        "old": "only in A", "shape": "shape", "kind": "dtype", "some": "values", "int": "values", "zero": "values", "new": "only in B",
    }  # fmt: skip
    assert (found["shape"].before, found["shape"].after) == ("float32 2", "float32 3")
    assert (found["some"].changed, found["some"].elements, found["some"].largest) == (2, 4, 0.5)
    assert found["some"].relative == pytest.approx(0.5 / 26**0.5)
    assert (found["int"].changed, found["int"].largest) == (1, 4.0)
    assert (found["zero"].largest, found["zero"].relative) == (1.0, None)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 10, width=32), st.floats(-10, 10, width=32)), min_size=1, max_size=50))
def test_differences_are_what_numpy_says(tmp_path_factory, pairs):
    a, b = (np.array(side, "f4") for side in zip(*pairs, strict=True))
    found = differences(tmp_path_factory.getbasetemp(), {"x": torch.from_numpy(a)}, {"x": torch.from_numpy(b)}).get("x")
    change = np.abs(b.astype("f8") - a.astype("f8"))
    assert (found.changed if found else 0) == int((a != b).sum())
    if found:
        assert found.largest == change.max()
        size = np.sqrt(np.square(a.astype("f8")).sum())
        assert found.relative == (pytest.approx(np.sqrt(np.square(change).sum()) / size) if size else None)
