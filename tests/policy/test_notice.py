"""When to save once an end is known: each row of the table is a notice, and what follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun.model import Learned
from ckptrun.policy import notice

FAST = Learned(step=0.5, save=2.0, first_save=2.0, exit=0.5)
SLOW = Learned(step=10.0, save=60.0, first_save=60.0, exit=5.0)
NOTHING = Learned()


@pytest.mark.parametrize(
    ("lead", "learned", "goes_on", "save_now", "stop_in", "short"),
    [
        (None, FAST, True, False, 0, False),  # nobody knows the end
        (120, FAST, True, True, 120 - (0.5 + 3 + 0.5), False),
        (120, FAST, False, False, 0, False),  # it would exit after the first save anyway
        (120, NOTHING, True, True, 120 - (3 + 22.5 + 3), False),
        (40, NOTHING, True, False, 0, False),  # too little for two saves
        (240, SLOW, True, True, 240 - (10 + 90 + 5), False),
        (120, SLOW, True, False, 0, False),
        (69, SLOW, True, False, 0, True),  # not even for one
        (-5, FAST, True, False, 0, True),
        (10, NOTHING, False, False, 0, True),
    ],
)
def test_plan(lead, learned, goes_on, save_now, stop_in, short):
    plan = notice.plan(1000.0, None if lead is None else 1000.0 + lead, learned, goes_on=goes_on)
    assert (plan.save_now, plan.short) == (save_now, short)
    assert plan.stop_at == pytest.approx(1000 + stop_in)
    assert plan.why


def test_a_short_lead_is_said():
    assert notice.plan(0, 30, SLOW, goes_on=True).why == "30 s are left, a step and a save take 1m 10s: they may not fit"


@pytest.mark.parametrize(
    ("learned", "goes_on", "grace", "lead"),
    [
        (FAST, True, 27, 1.5 * (2 + 0.5 + 2)),
        (FAST, False, 27, 1.5 * (0.5 + 2 + 0.5)),
        (SLOW, True, 27, 1.5 * (60 + 10 + 60)),
        (NOTHING, True, 27, 1.5 * (15 + 3 + 15)),
        (NOTHING, True, 90, 90),  # nothing was measured: the user's word for how long a save may take
        (FAST, True, 90, 6.75),  # measured: the grace says nothing more
        (Learned(first_save=4), True, 1, 1.5 * (4 + 3 + 15)),
    ],
)
def test_raise_at(learned, goes_on, grace, lead):
    assert notice.raise_at(1000, learned, goes_on=goes_on, grace=grace) == pytest.approx(1000 - lead)


# As durations are measured: to the microsecond. A thousandth of that is lost in the rounding of large clocks.
seconds = st.one_of(st.none(), st.floats(0, 1000).map(lambda value: round(value, 6)))
experience = st.builds(Learned, step=seconds, save=seconds, first_save=seconds, exit=seconds)


@given(now=st.floats(0, 1e6), lead=st.one_of(st.none(), st.floats(-100, 1e5)), learned=experience, goes_on=st.booleans())
def test_a_plan_never_asks_too_late(now, lead, learned, goes_on):
    end = None if lead is None else now + lead
    plan = notice.plan(now, end, learned, goes_on=goes_on)
    assert plan.stop_at >= now
    if plan.save_now:
        assert goes_on
        assert end is not None
        assert plan.stop_at == notice.last_call(end, learned)
        assert end - plan.stop_at >= notice.needs(learned).save  # a save fits behind the last call
        assert plan.stop_at - now >= notice.needs(learned).first_save  # and one before it
    else:
        assert plan.stop_at == now


@given(learned=experience, goes_on=st.booleans(), grace=st.floats(0, 1000))
def test_a_notice_of_our_own_leaves_time_for_what_it_asks(learned, goes_on, grace):
    at = notice.raise_at(0, learned, goes_on=goes_on, grace=grace)
    need = notice.needs(learned)
    assert -at >= need.step + need.save
