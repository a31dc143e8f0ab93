"""policy.space: a sentence with figures, or nothing."""

import pytest

from ckptrun.policy import space


@pytest.mark.parametrize(("free", "size", "warns"), [(200, 100, False), (199, 100, True), (0, 0, False), (0, 1, True)])
def test_less_than_twice_the_last_checkpoint_is_said(free, size, warns):
    assert bool(space.warning(free, size, "/c")) is warns


def test_the_figures_are_in_it():
    said = space.warning(3_000_000_000, 2_000_000_000, "/c")
    assert "only 3.0 GB are free in /c" in said
    assert "takes 2.0 GB" in said
    assert "free at least 1.0 GB" in said
