"""Arrays as sbatch writes them, a --signal that comes too early, and what scontrol says of many jobs at once. No Slurm is needed."""

from __future__ import annotations

import shlex

import pytest

from ckptrun.platforms.slurm import array, early, options


@pytest.mark.parametrize(
    ("spec", "numbers"),
    [
        ("0", [0]),
        ("0-3", [0, 1, 2, 3]),
        ("0-3%2", [0, 1, 2, 3]),
        ("7,1,3-5", [1, 3, 4, 5, 7]),
        ("0-10:4,2%1", [0, 2, 4, 8]),
        ("3,3", [3]),
        *((spec, None) for spec in ("", "a", "3-1", "1-", "-1", "1-9:0", "0-99999", "1;2", "1 2", "٣")),
    ],
)
def test_the_tasks_of_an_array(spec: str, numbers: list[int] | None) -> None:
    assert array.numbers(spec) == numbers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 300),
        ("5:30", 330),
        ("1:00:00", 3600),
        ("2-1", 2 * 86400 + 3600),
        ("1-2:3", 86400 + 2 * 3600 + 180),
        ("1-2:3:4", 86400 + 2 * 3600 + 184),
        ("UNLIMITED", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_time_limit(text: str, seconds: float | None) -> None:
    assert early.seconds(text) == seconds


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("--signal=USR1@240 --time=5", "(--signal=USR1@239)"),
        ("--signal=B:USR1@300 -t 5", "(--signal=B:USR1@239)"),
        ("--signal=USR1 --time=2", "(--signal=USR1@59)"),
        ("--signal=USR1@1 --time=1", "leave --signal out"),
        ("--signal=USR1@10 --time=60 --time=1", "leave --signal out"),  # the last one counts
        ("--signal=USR1@239 --time=5", ""),
        ("--signal=USR1@0 --time=1", ""),  # never sent
        ("--signal=USR1@3000", ""),  # the partition's limit is not known here
        ("--signal=USR1@x --time=1", ""),  # sbatch says what is wrong
        ("--time=1", ""),
    ],
)
def test_a_signal_before_anybody_hears_it(given: str, remedy: str) -> None:
    said = early.warning(options.parse(shlex.split(given)))
    assert (remedy in said) if remedy else not said
