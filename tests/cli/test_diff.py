"""`ckptrun diff`, as a user types it."""

from __future__ import annotations

import json

import pytest
import torch
from runmaker import Made
from safetensors.torch import save
from support import run_ckptrun

from ckptrun.model import Setting


def model(step, **more):
    return save({"w": torch.full((2, 3), float(step)), "n": torch.tensor(step), "same": torch.ones(3), **more})


@pytest.fixture
def here(tmp_path):
    for name, every in (("a", "10m"), ("b", "20")):
        run = Made(
            tmp_path / "runs", name, ["train.py", "--lr", name], {"every": Setting(value=every, source="option --every")}
        )
        with run.attempt() as attempt:
            attempt.save(10, {"model.safetensors": model(10), "only-10.txt": b"x"}, loss=0.5)
            attempt.save(20, {"model.safetensors": model(20)}, loss=float("nan"))
    torch.save({"w": torch.ones(2), "epoch": 3, "lr": 0.1}, tmp_path / "x.pt")
    torch.save({"w": torch.ones(2), "epoch": 4, "lr": 0.1}, tmp_path / "y.pt")
    return tmp_path


def diff(here, *args, code=1):
    done = run_ckptrun("diff", *args, cwd=here)
    assert (done.returncode, done.stderr) == (code, ""), done.stderr
    return done.stdout


def test_two_checkpoints_of_a_run(here):
    about, *sections = diff(here, "a@10", "a@20").split("\n\n")
    facts = dict(line.split("\t") for line in about.splitlines())
    assert facts["A"].endswith("runs/a/checkpoints/step-00000010")
    assert (facts["metrics"], facts["settings"], facts["files"]) == ("2 differences", "the same", "2 differences")
    assert facts["tensors"] == "2 other numbers, 1 the same"
    told = {section.splitlines()[0]: section.splitlines()[2:] for section in sections}
    assert told["metrics"] == ["step\t10\t20", "loss\t0.5\tnan"]
    assert told["files"][-1].startswith("only-10.txt\t1 B, ")
    assert told["files"][-1].endswith("\t-")
    assert told["tensors"] == [
        "n\tvalues\tint64 ()\t\t1 of 1\t10\t1",
        "w\tvalues\tfloat32 2×3\t\t6 of 6\t10\t1",
    ]


def test_two_runs_that_were_asked_for_differently(here):
    assert "every\t10m\t20\n" in diff(here, "a", "b")
    diff(here, "--tensors", "--metrics", "--files", "--values", "a", "b", code=0)
    assert diff(here, "--settings", "--summary", "a/1", "b/1").splitlines()[2:] == ["settings\t1 difference"]


def test_two_files(here):
    told = json.loads(diff(here, "--json", "x.pt", "y.pt"))
    assert (told["format"], told["same"], told["tensors"], told["tensors_same"]) == (1, False, [], 1)
    assert told["values"] == [{"name": "epoch", "a": 3, "b": 4}]
    assert [each["name"] for each in told["files"]] == ["the file"]
    assert json.loads(diff(here, "--json", "x.pt", "x.pt", code=0))["same"]


def test_for_programs(here):
    told = json.loads(diff(here, "--json", "--tensors", "--only", "[wn]*", "a@10", "a@20"))
    assert set(told) == {"format", "a", "b", "same", "tensors", "tensors_same"}
    assert told["tensors"][1] == {
        "name": "w", "what": "values", "a": "float32 2×3", "b": "float32 2×3",
        "elements": 6, "changed": 6, "max_abs": 10.0, "relative_rms": 1.0,
    }  # fmt: skip
    metrics = json.loads(diff(here, "--json", "--metrics", "a@10", "a@20"))["metrics"]
    assert metrics[1] == {"name": "loss", "a": 0.5, "b": "nan"}


def test_what_is_not_there(here):
    done = run_ckptrun("diff", "a@10", "a@11", cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert "complete: 10, 20" in done.stderr
