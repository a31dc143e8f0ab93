"""Many looks: in order, and at once only where each has to wait."""

import threading
import time

import pytest

from ckptrun.checkpoints import abreast


def test_quick_looks_are_made_by_the_caller_alone():
    threads = abreast.over(lambda _: threading.get_ident(), range(1000))
    assert set(threads) == {threading.get_ident()}


def test_looks_that_wait_are_made_at_once():
    """The later ones wait for each other: one after the other they would never end."""
    together = threading.Barrier(8, timeout=30)

    def look(thing):
        if thing < 16:
            time.sleep(0.005)  # as long as a far server takes
        else:
            together.wait()
        return thing

    assert abreast.over(look, range(16 + 8 * 5)) == list(range(16 + 8 * 5))


@pytest.mark.parametrize("seconds", [0, 0.005])
def test_what_goes_wrong_is_raised(seconds):
    def look(thing):
        time.sleep(seconds)
        return 1 / (30 - thing)

    with pytest.raises(ZeroDivisionError):
        abreast.over(look, range(100))


@pytest.mark.parametrize("count", [0, 1, 16, 17])
def test_of_few_nothing_is_lost(count):
    assert abreast.over(str, range(count)) == [str(each) for each in range(count)]
