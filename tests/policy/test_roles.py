import math

import pytest

from ckptrun import errors, names
from ckptrun.model import Checkpoint
from ckptrun.policy import roles


def checkpoint(step, state=names.COMPLETE, pinned=False, called=(), **metrics):
    name = f"step-{step:08d}"
    return Checkpoint(
        name=name,
        path=f"/r/checkpoints/{name}",
        directory="/r/checkpoints",
        layout="own",
        step=step,
        state=state,
        pinned=pinned,
        called=tuple(called),
        metrics=metrics,
    )


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("eval/perplexity", "min"),
        ("valid-top1", "max"),
        ("val.accuracy", "max"),
        ("Validation ACC", "max"),
        ("reward", "max"),
        ("accuracy_loss", "min"),
        ("glossy", ""),
        ("lr", ""),
        ("", ""),
    ],
)
def test_a_name_tells_its_better_end_or_does_not(metric, way):
    assert roles.direction(metric) == way


# (what the checkpoints hold by step, metric, mode, the best step, why)
BEST = [
    ({1: {"loss": 3.0}, 2: {"loss": 1.0}, 3: {"loss": 2.0}}, "", "auto", 2, "lowest loss"),
    ({1: {"loss": 3.0}, 2: {"loss": 1.0}, 3: {"loss": 1.0}}, "", "auto", 3, "lowest loss"),  # of equals the later
    ({1: {"loss": 3.0}, 2: {"loss": math.nan}, 3: {"loss": -math.inf}}, "", "auto", 1, "lowest loss"),
    ({1: {"loss": math.nan}}, "", "auto", None, "lowest loss"),
    ({1: {"loss": 3.0}, 2: {"loss": 1.0}}, "loss", "max", 1, "highest loss"),
    ({1: {"loss": 1.0, "val_acc": 0.5}, 2: {"loss": 2.0, "val_acc": 0.6}}, "", "auto", 2, "highest val_acc"),
    ({1: {"acc": 0.5, "loss": 1.0}, 2: {"acc": 0.6, "loss": 2.0}}, "", "auto", 1, "lowest loss"),
    ({1: {"lr": 0.1}, 2: {"lr": 0.2}}, "", "auto", None, "no metric whose better end is known"),
    ({1: {"lr": 0.1}, 2: {"lr": 0.2}}, "lr", "max", 2, "highest lr"),
    ({1: {}, 2: {}}, "", "auto", None, "no checkpoint has a metric"),
    ({}, "", "auto", None, "no checkpoint has a metric"),
    ({1: {}, 2: {"loss": 1.0}, 3: {}}, "", "auto", 2, "lowest loss"),
]


@pytest.mark.parametrize(("held", "metric", "mode", "step", "why"), BEST)
def test_the_best(held, metric, mode, step, why):
    found = roles.best([checkpoint(at, **metrics) for at, metrics in held.items()], metric, mode)
    assert (found.checkpoint and found.checkpoint.step, found.why) == (step, why)


def test_a_checkpoint_that_is_not_whole_is_never_best():
    assert roles.best([checkpoint(1, loss=2.0), checkpoint(2, state=names.PARTIAL, loss=1.0)]).checkpoint.step == 1


@pytest.mark.parametrize(
    ("metric", "says", "hint"),
    [
        ("acc", "no complete checkpoint has a metric 'acc'", "there are: loss, lr"),
        ("lr", "cannot be told by its name", "--mode min"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused_with_what_there_is(metric, says, hint):
    with pytest.raises(errors.UsageError, match=says) as caught:
        roles.best([checkpoint(1, loss=2.0, lr=0.1)], metric)
    assert hint in caught.value.hint


def test_what_a_framework_calls_its_best_is_it_unless_a_metric_is_asked_for():
    found = [checkpoint(1, loss=1.0), checkpoint(2, loss=2.0, called=[roles.BEST]), checkpoint(3, loss=3.0)]
    assert roles.best(found).checkpoint.step == 2
    assert roles.best(found, "loss").checkpoint.step == 1
    broken = [found[0], checkpoint(2, state=names.PARTIAL, called=[roles.BEST])]
    assert roles.best(broken).checkpoint.step == 1


def test_each_bears_its_roles():
    found = [
        checkpoint(1, pinned=True),
        checkpoint(2, loss=1.0),
        checkpoint(3, called=[roles.POINTER]),
        checkpoint(4, state=names.CORRUPT),
    ]
    newest = roles.latest(found)
    marked = roles.marked(
        found,
        latest=newest,
        best=roles.best(found).checkpoint,
        resumed={found[1].path, "/elsewhere"},
    )
    assert [item.roles for item in marked] == [["pinned"], ["best", "resumed-from"], ["latest", "pointer"], []]
    assert [item.step for item in marked] == [1, 2, 3, 4]


def test_nothing_has_no_roles():
    assert roles.marked([]) == []
    assert roles.latest([]) is None
