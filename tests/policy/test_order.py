"""policy.order: which of two is later, and that the answer never depends on the order of asking."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun import names
from ckptrun.model import Checkpoint
from ckptrun.policy import order


def item(name, step=None, attempt=None, time=0.0, layout="own", **more):
    return Checkpoint(
        name=name, path=f"/r/{name}", directory="/r", layout=layout, step=step, attempt=attempt, time=time, **more
    )


@pytest.mark.parametrize(
    "oldest_first",
    [
        [item("a", step=9), item("b", step=10), item("c", step=100)],
        [item("a", step=10, attempt=1, time=9), item("b", step=10, attempt=2, time=3)],
        [item("a", step=10, attempt=1, time=3), item("b", step=10, attempt=1, time=9)],
        [item("a", time=900, layout="single"), item("b", step=0, time=1)],
        [item("a", time=3, layout="single"), item("b", time=9, layout="single")],
        [item("a", step=1, layout="series"), item("b", step=2)],
        [item("a", step=2), item("b", step=3, layout="series")],  # in checkpoints/: nobody knows which attempt wrote it
    ],
)
def test_table(oldest_first):
    assert [found.name for found in order.arrange(reversed(oldest_first))] == [found.name for found in oldest_first]


def test_a_guess_does_not_outrank_what_the_script_says_itself():
    """Predictions of step 1000 beside checkpoints: `preds_1000.npz` is no state, whatever its number says."""
    own = item("step-00000050", step=50, attempt=2)
    guess = item("preds_1000.npz", step=1000, attempt=2, layout="series")
    assert order.arrange([guess, own])[-1] is own


def test_a_script_that_no_longer_speaks_is_guessed_at_again():
    own = item("step-00000050", step=50, attempt=2)
    guess = item("model_60.pt", step=60, attempt=3, layout="series")
    assert order.arrange([guess, own])[-1] is guess


def test_a_clock_that_was_set_back_does_not_make_an_earlier_attempt_later():
    first = item("ckpt.pt", attempt=1, time=5000, layout="single")
    second = item("ckpt.pt", attempt=2, time=100, layout="single")
    third = item("ckpt.pt", attempt=3, time=200, layout="single")
    assert order.arrange([third, first, second]) == [first, second, third]


def test_a_result_does_not_outrank_a_state():
    state = item("ckpt.pt", attempt=1, time=1, layout="single", likeness=2)
    best = item("best.pt", attempt=2, time=9, layout="single", likeness=0)
    assert order.arrange([best, state])[-1] is state


ITEMS = st.builds(
    item,
    name=st.uuids().map(str),
    step=st.one_of(st.none(), st.integers(0, 5)),
    attempt=st.one_of(st.none(), st.integers(1, 4)),
    time=st.floats(0, 10),
    layout=st.sampled_from(["own", "series", "single", "lightning"]),
    likeness=st.integers(0, 2),
    state=st.sampled_from([names.COMPLETE, names.PARTIAL, names.CORRUPT]),
)


@given(st.lists(ITEMS, max_size=15), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_they_were_listed(items, rng):
    shuffled = list(items)
    random.Random(rng.random()).shuffle(shuffled)
    assert order.arrange(items) == order.arrange(shuffled)


@given(st.lists(ITEMS, max_size=15))
def test_what_always_holds(items):
    arranged = order.arrange(items)
    assert sorted(found.name for found in arranged) == sorted(found.name for found in items)
    steps = [found.step for found in arranged if found.layout not in order.GUESSES and found.step is not None]
    assert steps == sorted(steps)
    unknown = [found.step is None for found in arranged]
    assert unknown == sorted(unknown, reverse=True)


def test_a_file_rewritten_with_every_save_comes_after_what_is_not_newer():
    """Lightning keeps the best few and `last.ckpt`: to go on from the best would lose all that came after it."""
    best = item("epoch=3.ckpt", step=3, time=1000, layout="lightning")
    last = item("last.ckpt", time=9000, layout="lightning", follows=True)
    assert order.arrange([last, best])[-1] is last


def test_a_file_of_one_save_with_another_is_after_it():
    for moment in (940, 1000, 1060):
        newest = item("epoch3.pt", step=3, time=1000, layout="ultralytics")
        last = item("last.pt", time=moment, layout="ultralytics", follows=True)
        assert order.arrange([last, newest])[-1] is last


def test_a_stale_one_keeps_its_place():
    items = [item(f"step={step}.ckpt", step=step, time=step * 1000, layout="lightning") for step in (1, 2, 3)]
    stale = item("last.ckpt", time=2500, layout="lightning", follows=True)
    assert [found.name for found in order.arrange([stale, *items])] == [
        "step=1.ckpt",
        "step=2.ckpt",
        "last.ckpt",
        "step=3.ckpt",
    ]


def test_of_two_guesses_the_later_must_be_later_by_its_time():
    number = item("epoch_3.pt", step=3, time=1000, layout="series")
    same, later = (item("last.pt", time=moment, layout="single", follows=True) for moment in (999, 1001))
    assert order.arrange([same, number])[-1] is number
    assert order.arrange([later, number])[-1] is later


def test_an_epoch_s_end_is_after_the_steps_of_that_epoch():
    """fairseq's checkpoint2.pt is written when epoch 2 is over, whatever a copy did to its time."""
    middle = [
        item(f"checkpoint_{e}_{s}.pt", step=s, epoch=e, time=9, layout="fairseq")
        for e, s in ((1, 500), (2, 1000), (3, 1500))
    ]
    end = item("checkpoint2.pt", epoch=2, time=1, layout="fairseq")
    assert [found.name for found in order.arrange([end, *middle])] == [
        "checkpoint_1_500.pt",
        "checkpoint_2_1000.pt",
        "checkpoint2.pt",
        "checkpoint_3_1500.pt",
    ]
