"""policy.cadence: a table, and what must hold for every cadence and every way of stepping."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun.policy.cadence import EVERY, FINAL, Every, Last, due


def ask(every, step, *, last=None, last_epoch=None, epoch=None, total=None, seconds=0.0):
    return due(Every(every), Last(last, last_epoch, 0.0), step=step, epoch=epoch, total=total, seconds=seconds)


@pytest.mark.parametrize(
    ("every", "step", "more", "why"),
    [
        ("20", 0, {}, ""),
        ("20", 19, {}, ""),
        ("20", 20, {}, EVERY),
        ("20", 25, {}, EVERY),  # 20 was missed: nobody asked then
        ("20", 25, {"last": 20}, ""),
        ("20", 39, {"last": 25}, ""),
        ("20", 40, {"last": 25}, EVERY),  # a save on request between does not shift the rhythm
        ("20", 20, {"last": 20}, ""),
        ("20", 7, {"last": 40}, ""),  # behind what is saved
        ("1", 0, {}, ""),
        ("1", 1, {}, EVERY),
        ("20", 9, {"total": 10}, FINAL),
        ("20", 8, {"total": 10}, ""),
        ("20", 9, {"total": 10, "last": 9}, ""),
        ("20", 0, {"total": 1}, FINAL),
        ("10m", 5, {"seconds": 599.9}, ""),
        ("10m", 5, {"seconds": 600.0}, EVERY),
        ("2epochs", 50, {"epoch": 1}, ""),
        ("2epochs", 50, {"epoch": 2}, EVERY),
        ("2epochs", 50, {"epoch": 2.5, "last_epoch": 2.0, "last": 40}, ""),
        ("2epochs", 50, {"epoch": 4.0, "last_epoch": 2.5, "last": 40}, EVERY),
        ("2epochs", 50, {}, ""),
    ],
)
def test_table(every, step, more, why):
    assert ask(every, step, **more) == why


@pytest.mark.parametrize("text", ["", "0", "-1", "ten", "0s", "2lightyears"])
def test_a_text_that_is_no_cadence_is_named(text):
    with pytest.raises(ValueError, match=r"cadence|duration"):
        Every(text)


@given(every=st.integers(1, 50), start=st.integers(0, 200), strides=st.lists(st.integers(1, 30), max_size=60))
def test_between_two_saves_lies_a_multiple_and_no_multiple_is_passed_unsaved(every, start, strides):
    """Whatever the stride between two looks, the state saved after a multiple was passed is the first that was looked at."""
    last, step = Last(start or None, None, 0.0), start
    for stride in strides:
        before, step = step, step + stride
        why = due(Every(str(every)), last, step=step, epoch=None, total=None, seconds=0.0)
        passed = step // every > max(before, last.step or 0) // every
        assert bool(why) == passed
        if why:
            last = Last(step, None, 0.0)


@given(
    every=st.one_of(
        st.integers(1, 50).map(str), st.integers(1, 9).map("{}s".format), st.integers(1, 5).map("{}epochs".format)
    ),
    last=st.one_of(st.none(), st.integers(0, 100)),
    step=st.integers(0, 200),
    total=st.one_of(st.none(), st.integers(1, 200)),
    epoch=st.one_of(st.none(), st.integers(0, 20), st.floats(0, 20)),
    seconds=st.floats(0, 100),
)
def test_what_always_holds(*, every, last, step, total, epoch, seconds):
    why = due(Every(every), Last(last, None, 0.0), step=step, epoch=epoch, total=total, seconds=seconds)
    assert why in ("", EVERY, FINAL)
    if last is not None and step <= last:
        assert why == ""
    elif total is not None and step >= total - 1:
        assert why == FINAL
    if why == EVERY and "e" not in every and "s" not in every:
        assert step > 0


def test_it_loads_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import ckptrun.policy.cadence; "
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('ckptrun')))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() in ("[]", "['__future__']")
