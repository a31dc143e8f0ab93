"""`ckptrun show --tensors`, as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from runmaker import Made
from safetensors.torch import save
from support import run_ckptrun


@pytest.fixture
def here(tmp_path):
    run = Made(tmp_path / "runs", "digits")
    weights = {"layer.w": torch.full((2, 3), 2.0), "layer.b": torch.tensor([1.0, float("nan"), float("-inf")])}
    with run.attempt() as attempt:
        attempt.save(10, {"model.safetensors": save({"layer.w": torch.zeros(2, 3)})}, loss=1.0)
        attempt.save(20, {"model.safetensors": save(weights), "notes.txt": b"hello"}, loss=2.0, acc=0.9)
    torch.save({"w": torch.ones(3, dtype=torch.bfloat16), "lr": float("inf")}, tmp_path / "a.pt")
    return tmp_path


def show(here, *args):
    done = run_ckptrun("show", *args, cwd=here)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_of_a_checkpoint(here):
    about, table = show(here, "--tensors", "digits@20").split("\n\ntensors\n")
    assert dict(line.split("\t") for line in about.splitlines()) == {
        "checkpoint": "step-00000020",
        "path": str(here / "runs/digits/checkpoints/step-00000020"),
        "format": "safetensors",
        "tensors": "2",
        "numbers": "9",
        "size": "36 B",
    }
    file = "step-00000020/model.safetensors"
    assert table.splitlines() == [
        "tensor\tdtype\tshape\tsize\tfile",
        f"layer.b\tfloat32\t3\t12 B\t{file}",
        f"layer.w\tfloat32\t2×3\t24 B\t{file}",
    ]


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("digits", "step-00000020"),
        ("digits/1", "step-00000020"),
        ("digits@best:loss", "step-00000010"),
        ("digits@best:acc", "step-00000020"),
        ("runs/digits@10", "step-00000010"),
        ("./runs/digits/checkpoints@best:loss", "step-00000010"),
        ("runs/digits/checkpoints@latest", "step-00000020"),
        ("runs/digits/checkpoints/latest", "step-00000020"),
        ("runs/digits/checkpoints/step-00000010/model.safetensors", "model.safetensors"),
        ("a.pt", "a.pt"),
    ],
)
def test_whatever_a_reference_leads_to(here, ref, name):
    assert json.loads(show(here, "--tensors", "--json", ref))["checkpoint"] == name


def test_statistics(here):
    rows = show(here, "--tensors", "--stats", "digits@20").splitlines()[-2:]
    assert [row.split("\t")[4:9] for row in rows] == [["1", "1", "1", "1", "1"], ["2", "2", "2", "0", "0"]]


def test_for_programs(here):
    told = json.loads(show(here, "--stats", "--json", "a.pt"))
    assert (told["format"], told["kind"], told["formats"]) == (1, "tensors", ["torch"])
    assert (told["elements"], told["bytes"], told["values"], told["refused"]) == (3, 6, {"lr": "inf"}, [])
    (tensor,) = told["tensors"]
    assert tensor == {
        "name": "w", "dtype": "bfloat16", "shape": [3], "elements": 3, "bytes": 6, "file": "a.pt",
        "rms": 1.0, "max_abs": 1.0, "mean": 1.0, "nan": 0, "inf": 0,
    }  # fmt: skip


def test_some_of_them(here):
    told = json.loads(show(here, "--only", "*.w", "--json", "digits@20"))
    assert [each["name"] for each in told["tensors"]] == ["layer.w"]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--only", "x*", "digits@20"], 2, "no tensor of digits@20 matches x*"),
        (["--tensors", "runs/digits/checkpoints/step-00000020/notes.txt"], 2, "holds no tensors that can be read here"),
        (["--tensors", "digits@best:f1"], 2, "no complete checkpoint has a metric 'f1'"),
        (["--tensors", "runs/digits/checkpoints@7"], 2, "complete: 10, 20"),
    ],
)
def test_what_cannot_be_shown(here, args, code, says):
    done = run_ckptrun("show", *args, cwd=here)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr


def test_of_a_checkpoint_that_is_damaged(here):
    with open(here / "runs/digits/checkpoints/step-00000020/model.safetensors", "r+b") as file:
        file.truncate(20)
    done = run_ckptrun("show", "--tensors", "digits@20", cwd=here)
    assert done.returncode == 74
    assert "step-00000020 is corrupt" in done.stderr


def test_names_and_sizes_need_no_numpy(here):
    (here / "numpy.py").write_text("raise ImportError")
    np.savez(here / "a.npz", x=np.ones(3))
    env = {"PYTHONPATH": str(here)}
    done = run_ckptrun("show", "--tensors", "a.npz", cwd=here, env=env)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "x\tfloat64\t3\t24 B\ta.npz")
    done = run_ckptrun("show", "--stats", "a.npz", cwd=here, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: pip install 'ckptrun[state]'" in done.stderr


def test_odd_names_do_not_reach_the_terminal(here):
    torch.save({"a\x1b[31m\n": torch.ones(1)}, here / "odd.pt")
    text = show(here, "--tensors", "odd.pt")
    assert "\x1b" not in text
    assert "a\\x1b[31m\\n\tfloat32" in text


def test_a_run_comes_before_a_file_of_its_name(here):
    (here / "digits").write_bytes(save({"x": torch.ones(1)}))
    assert json.loads(show(here, "--tensors", "--json", "digits"))["checkpoint"] == "step-00000020"
    assert json.loads(show(here, "--tensors", "--json", "./runs/digits"))["checkpoint"] == "step-00000020"
