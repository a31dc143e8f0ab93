"""policy.resume: tables of worlds, and what must hold for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun import errors, names
from ckptrun.model import Checkpoint
from ckptrun.policy import resume

COMPLETE, PARTIAL, CORRUPT, UNKNOWN = names.COMPLETE, names.PARTIAL, names.CORRUPT, names.UNKNOWN


def world(*states):
    """Checkpoints of steps 10, 20, … in these states, oldest first."""
    return [
        Checkpoint(
            name=f"step-{i * 10 + 10}",
            path=f"/r/step-{i * 10 + 10}",
            directory="/r",
            layout="own",
            step=i * 10 + 10,
            state=s,
            reason=s,
        )
        for i, s in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "chosen", "aside"),
    [
        ((), None, []),
        ((COMPLETE,), 10, []),
        ((COMPLETE, COMPLETE), 20, []),
        ((COMPLETE, PARTIAL), 10, [20]),
        ((COMPLETE, CORRUPT, PARTIAL), 10, [30, 20]),
        ((PARTIAL, COMPLETE), 20, []),
        ((CORRUPT, PARTIAL), None, [20, 10]),
        ((COMPLETE, names.SOFT_DELETED), 10, []),
    ],
)
def test_the_newest_complete_is_taken_and_what_is_later_is_set_aside(states, chosen, aside):
    plan = resume.decide(world(*states))
    assert (plan.chosen.step if plan.chosen else None) == chosen
    assert [item.step for item in plan.set_aside] == aside
    assert plan.label == ("fallback" if aside else "")
    assert plan.why


def test_one_that_cannot_be_read_is_neither_taken_nor_passed():
    plan = resume.decide(world(COMPLETE, UNKNOWN, CORRUPT))
    assert plan.chosen is None
    assert [item.step for item in plan.unknown] == [20]
    assert plan.set_aside == []


def test_one_that_cannot_be_read_does_not_matter_when_a_newer_one_is_whole():
    assert resume.decide(world(UNKNOWN, COMPLETE)).chosen.step == 20


def test_fresh_sets_everything_aside_newest_first():
    plan = resume.decide(world(COMPLETE, PARTIAL, COMPLETE), fresh=True)
    assert plan.chosen is None
    assert [item.step for item in plan.set_aside] == [30, 20, 10]


def test_rewind_sets_later_ones_aside():
    plan = resume.decide(world(COMPLETE, COMPLETE, COMPLETE), at_step=10)
    assert plan.chosen.step == 10
    assert [item.step for item in plan.set_aside] == [30, 20]
    assert plan.label == "rewind"


def test_rewind_to_a_step_that_is_not_there_lists_those_that_are():
    with pytest.raises(errors.UsageError) as caught:
        resume.decide(world(COMPLETE, PARTIAL, COMPLETE), at_step=20)
    assert "10, 30" in caught.value.hint


@given(st.lists(st.sampled_from([COMPLETE, PARTIAL, CORRUPT, UNKNOWN, names.SOFT_DELETED]), max_size=12))
def test_nothing_complete_is_ever_set_aside_by_a_fallback(states):
    plan = resume.decide(world(*states))
    assert all(item.state in (PARTIAL, CORRUPT) for item in plan.set_aside)
    if plan.chosen:
        assert plan.chosen.state == COMPLETE
        later = [item for item in world(*states) if item.step > plan.chosen.step]
        assert all(item.state not in (COMPLETE, UNKNOWN) for item in later)
    if COMPLETE in states and not plan.unknown:
        assert plan.chosen is not None
