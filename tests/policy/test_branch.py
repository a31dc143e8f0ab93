"""What --set means: cases as data."""

from __future__ import annotations

import pytest

from ckptrun import errors
from ckptrun.model import Setting
from ckptrun.policy import branch

COMMAND = ["{python}", "train.py", "--lr", "{lr}", "--out={output_dir}/{width}.npz", "--odd", "{free}"]
VALUES = {"lr": 0.1, "width": 64, "flag": True}


@pytest.mark.parametrize(
    ("asked", "command", "overrides"),
    [
        ([], ["--lr", "0.1", "--out={output_dir}/64.npz", "--odd", "{free}"], {}),
        (["lr=1e-3"], ["--lr", "1e-3", "--out={output_dir}/64.npz", "--odd", "{free}"], {}),
        (["width=a=b", "free="], ["--lr", "0.1", "--out={output_dir}/a=b.npz", "--odd", ""], {}),
        (["every=20", "restart.max_failures=5"], ["--lr", "0.1", "--out={output_dir}/64.npz", "--odd", "{free}"], {"every": "20", "max_failures": "5"}),
    ],
)  # fmt: skip
def test_settings_and_values_of_the_command(asked, command, overrides):
    plan = branch.plan(COMMAND, VALUES, asked, "/")
    assert (plan.command[2:], plan.overrides) == (command, overrides)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("every", "'every' is not a setting; write key=value"),
        ("evry=20", "evry: there is no such setting, and the command does not hold {evry}; did you mean 'every'?"),
        ("widht=3", "did you mean 'width'?"),
        ("flag=false", "flag: the command does not hold {flag}; give another command after --"),
        ("every=often", "every: 'often' is not a cadence"),
        ("fresh=yes", "fresh cannot be set for a run"),
        ("run=x", "run cannot be set for a run"),
        ("from=x", "from cannot be set for a run"),
        ("output_dir=x", "output_dir: there is no such setting"),
    ],
)
def test_what_cannot_be_set(asked, says):
    with pytest.raises(errors.UsageError) as caught:
        branch.plan(COMMAND, VALUES, [asked], "/")
    assert caught.value.message.startswith("--set ")
    assert says in caught.value.message


def test_all_mistakes_are_told_at_once():
    with pytest.raises(errors.UsageError) as caught:
        branch.plan(COMMAND, VALUES, ["evry=20", "every=often", "lr=1"], "/")
    assert len(caught.value.message.split("\n")) == 2


def test_what_the_parent_was_given_on_its_command_line_is_kept():
    given = {
        "every": Setting(value="20", source="option --every"),
        "grace": Setting(value="90s", source="ckptrun.yaml:3"),
        "on_resume": Setting(value=["--resume", "{resume_from}", "a b"], source="option --on-resume"),
        "tracker_ids": Setting(value=False, source="option --tracker-ids"),
        "run": Setting(value="digits", source="option --run"),
        "from": Setting(value="x@1", source="option --from"),
        "of.tomorrow": Setting(value=1, source="option --of-tomorrow"),
    }
    assert branch.inherited(given) == {
        "every": "20",
        "on_resume": "--resume '{resume_from}' 'a b'",
        "tracker_ids": "no",
    }
