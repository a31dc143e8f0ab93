"""`ckptrun mean`, as a user types it."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest
import torch
from runmaker import Made
from safetensors import safe_open
from safetensors.torch import load_file, save
from support import run_ckptrun


@pytest.fixture
def here(tmp_path):
    run = Made(tmp_path / "runs", "digits")
    with run.attempt() as attempt:
        for step, loss in ((10, 0.5), (20, 0.1), (30, 0.3)):
            tensors = {"model.w": torch.full((2,), float(step)), "steps": torch.tensor(step)}
            attempt.save(step, {"model.safetensors": save(tensors, {"format": "pt"})}, loss=loss)
    return tmp_path


def mean(here, *args, code=0):
    done = run_ckptrun("mean", *args, cwd=here)
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize(
    ("args", "average", "newest"),
    [
        (["digits", "--last", "2"], 25.0, 30),
        (["digits", "--last", "3"], 20.0, 30),
        (["runs/digits/checkpoints", "--last", "2"], 25.0, 30),
        (["digits", "--best", "2"], 25.0, 30),
        (["digits", "--best", "1:loss"], 20.0, 20),
        (["digits", "--best", "2:loss", "--mode", "max"], 20.0, 30),
        (["digits@30", "digits@10"], 20.0, 30),  # in the order of their steps
    ],
)
def test_which_are_averaged(here, args, average, newest):
    mean(here, *args, "--to", "m.safetensors")
    found = load_file(here / "m.safetensors")
    assert found["model.w"].tolist() == [average, average]
    assert found["steps"] == newest
    assert sorted(os.listdir(here)) == ["m.safetensors", "runs"]


def test_what_is_written_down(here):
    told = json.loads(mean(here, "digits", "--last", "2", "--to", "m.safetensors", "--json").stdout)
    with safe_open(here / "m.safetensors", "pt") as file:
        notes = file.metadata()
    about = json.loads(notes["ckptrun"])
    assert notes["format"] == "pt"
    assert told == {**about, "to": str(here / "m.safetensors"), "bytes": 16, "dry_run": False}
    assert (about["averaged"], about["from_newest"]) == (1, ["steps"])
    assert [each["step"] for each in about["sources"]] == [20, 30]
    manifest = json.loads((here / "runs/digits/checkpoints/step-00000030/checkpoint.json").read_text())
    assert list(about["sources"][1]["files"].values()) == [manifest["files"][0]["xxh3_128"]]


def test_npz(here):
    mean(here, "digits@10", "digits@20", "--only", "model.*", "--to", "m.npz")
    with np.load(here / "m.npz") as found:
        assert {name: found[name].tolist() for name in found.files if name != "ckptrun.json"} == {"model.w": [15.0, 15.0]}
    with zipfile.ZipFile(here / "m.npz") as archive:
        assert json.loads(archive.read("ckptrun.json"))["made_by"] == "ckptrun mean"


def test_for_people(here):
    about, table = mean(here, "digits", "--last", "2", "--to", "m.safetensors").stdout.split("\n\naveraged\n")
    assert about.splitlines()[1] == "tensors\t1 averaged, 1 taken from the newest, 16 B"
    assert [line.split("\t")[:2] for line in table.splitlines()[1:]] == [["step-00000020", "20"], ["step-00000030", "30"]]


def test_a_dry_run_writes_nothing(here):
    assert "would write\t" in mean(here, "digits", "--last", "2", "--to", "m.safetensors", "--dry-run").stdout
    assert os.listdir(here) == ["runs"]


def test_what_is_there_stays_there(here):
    (here / "m.npz").write_text("precious")
    assert "is there already" in mean(here, "digits", "--last", "2", "--to", "m.npz", code=2).stderr
    assert (here / "m.npz").read_text() == "precious"
    mean(here, "digits", "--last", "2", "--to", "m.npz", "--force")
    assert np.load(here / "m.npz")["model.w"].tolist() == [25.0, 25.0]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["digits", "--last", "5", "--to", "m.npz"], 2, "digits has 3 complete checkpoints, and 5 are asked for"),
        (["digits@10", "--last", "2", "--to", "m.npz"], 2, "digits@10 is none"),
        (["digits", "--best", "2:f1", "--to", "m.npz"], 2, "no complete checkpoint has a metric 'f1'"),
        (["digits", "--best", "x", "--to", "m.npz"], 2, "write 3 or 3:val_loss"),
        (["digits", "--best", "2", "--last", "2", "--to", "m.npz"], 2, "contradict each other"),
        (["digits@10", "digits@10", "--to", "m.npz"], 2, "is named twice"),
        (["digits@10", "x.pt", "--to", "m.npz"], 1, "x.pt lacks steps, which digits@10 has"),
        (["digits", "--to", "m.pt"], 2, "hint: name it m.safetensors or .npz"),
        (["digits", "--to", "no/m.npz"], 73, "No such file or directory"),
        (["digits", "--to", "runs/digits/checkpoints/m.npz"], 2, "taken for a checkpoint of run digits"),
    ],
)
def test_what_cannot_be_averaged(here, args, code, says):
    torch.save({"model.w": torch.ones(2)}, here / "x.pt")
    assert says in mean(here, *args, code=code).stderr
    assert sorted(os.listdir(here)) == ["runs", "x.pt"]


def test_a_bit_that_has_turned_is_noticed(here):
    path = here / "runs/digits/checkpoints/step-00000020/model.safetensors"
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    assert "is not what was saved" in mean(here, "digits", "--last", "2", "--to", "m.npz", code=74).stderr
