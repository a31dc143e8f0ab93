"""session.environment: templates and the child's variables."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun import names
from ckptrun.session import environment
from ckptrun.session.environment import Given

BASE = {
    "run": "r",
    "run_dir": "/runs/r",
    "attempt": 2,
    "attempt_id": "id",
    "checkpoint_dir": "/runs/r/checkpoints",
    "output_dir": "/o",
    "input_dir": "/i",
    "local_dir": "/tmp/l",
}
FIRST = Given(**BASE)
RESUMED = Given(**BASE, resume_from="/c p/step-1", resume_step=1)


@pytest.mark.parametrize(
    ("argument", "filled"),
    [
        ("--out={output_dir}/x", "--out=/o/x"),
        ("{run}-{attempt}", "r-2"),
        ("ckpt-{epoch:02d}", "ckpt-{epoch:02d}"),
        ("{{run}", "{r"),
        ("{", "{"),
        ("{unknown}{run}", "{unknown}r"),
        ("{resume_from}", "/c p/step-1"),
        ("{resume_step}", "1"),
        ('{"run": {run}}', '{"run": r}'),
    ],
)
def test_templates(argument, filled):
    assert environment.fill([argument], RESUMED) == [filled]


def test_values_that_hold_braces_are_not_looked_at_again():
    odd = Given(**{**BASE, "output_dir": "/x/{run}"})
    assert environment.fill(["{output_dir}"], odd) == ["/x/{run}"]


@given(st.text())
def test_text_without_our_names_is_untouched(text):
    if not any("{" + name + "}" in text for name in names.TEMPLATES):
        assert environment.fill([text], RESUMED) == [text]


def test_on_resume_adds_arguments_only_when_there_is_something():
    assert environment.command_of(["t.py"], ["--resume", "{resume_from}", "--n", "a b"], FIRST) == ["t.py"]
    assert environment.command_of(["t.py"], ["--resume", "{resume_from}", "--n", "a b"], RESUMED) == [
        "t.py",
        "--resume",
        "/c p/step-1",
        "--n",
        "a b",
    ]


def test_a_surrounding_ckptrun_is_not_inherited():
    outer = dict.fromkeys(names.CHILD_ENV, "outer") | {"HOME": "/h", "CKPTRUN_ROOT": "/r"}
    child = environment.child_environment(outer, FIRST)
    assert "outer" not in child.values()
    assert child["HOME"] == "/h"
    assert child["CKPTRUN_ROOT"] == "/r"
    assert names.ENV_RESUME_FROM not in child


def test_defaults_never_replace_the_users_own():
    child = environment.child_environment(
        {"PYTHONUNBUFFERED": "0"}, Given(**BASE, grace=90.0, tracker_ids={"WANDB_RUN_ID": "a"})
    )
    assert child["PYTHONUNBUFFERED"] == "0"
    assert child["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] == "90"
    assert child["WANDB_RUN_ID"] == "a"


def test_a_sweep_keeps_its_own_tracker_ids():
    child = environment.child_environment({"WANDB_SWEEP_ID": "s"}, Given(**BASE, tracker_ids={"WANDB_RUN_ID": "a"}))
    assert "WANDB_RUN_ID" not in child


@pytest.mark.parametrize(
    ("caller", "path"),
    [({"PATH": "/a:/b"}, "/tmp/l:/a:/b"), ({}, f"/tmp/l:{os.defpath}"), ({"PATH": ""}, "/tmp/l:")],  # empty: this directory
)
def test_our_programs_go_before_all_others(caller, path):
    assert environment.child_environment(caller, Given(**BASE, programs="/tmp/l"))["PATH"] == path
    assert environment.child_environment(caller, FIRST).get("PATH") == caller.get("PATH")
