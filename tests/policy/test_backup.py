"""What backups are called, which are made, and when a start fetches one: cases as data."""

from __future__ import annotations

import pytest

from ckptrun import names
from ckptrun.model import Checkpoint
from ckptrun.policy import backup


def item(name="step-00000007", layout="own", step=7, **more):
    return Checkpoint(name=name, path=f"/d/{name}", directory="/d", layout=layout, step=step, time=1795675280.255, **more)


@pytest.mark.parametrize(
    ("what", "inside", "home"),
    [
        (item(), "checkpoints/step-00000007", "step-00000007"),
        (item(), "", "step-00000007"),
        (
            item(name="m_7.pt", layout="series", place="output", attempt=3),
            "attempts/0003/output/m_7.pt",
            "attempt-0003-m_7.pt",
        ),
        (item(name="ckpt.pt", layout="single", step=None), "", "ckpt.pt-20261126T064120"),
        (item(name="ckpt.pt", layout="single"), "", "ckpt.pt-20261126T064120"),
        (item(name="last", layout="x", step=None, place="output", attempt=1), "", "attempt-0001-last-20261126T064120"),
        (item(name=".hidden"), "", "hidden"),
        (item(name="step-1", layout="x"), "checkpoints/a b/step-1", "a-b-step-1"),
        (item(name="n" * 250), "", "n" * 180),
    ],
)
def test_a_backup_s_name(what, inside, home):
    assert backup.home(what, inside) == home


def test_only_what_is_written_once_is_linked():
    assert [
        name
        for name in ("own", "orbax", "single", "series", "ultralytics", "deepspeed", "transformers", "?")
        if backup.may_link(name)
    ] == [
        "own",
        "orbax",
    ]
    assert not backup.WRITTEN_ONCE & backup.REWRITTEN


def test_only_what_is_whole_is_backed_up():
    found = [item(roles=["best"]), item(step=8, state=names.PARTIAL), item(step=9, roles=["latest"])]
    assert [each.step for each in backup.chosen(found, backup.ALL)] == [7, 9]
    assert [each.step for each in backup.chosen(found, backup.BEST)] == [7]
    assert [each.step for each in backup.chosen(found, backup.LATEST)] == [9]


@pytest.mark.parametrize(
    ("holds", "fresh", "elsewhere", "wanted"),
    [
        (False, False, "", True),
        (True, False, "", False),
        (False, True, "", False),
        (False, False, "--from", False),
        (True, True, "--resume-at", False),
    ],
)
def test_a_start_fetches_where_there_is_nothing_and_nothing_else_was_asked(holds, fresh, elsewhere, wanted):
    decided = backup.fetch(holds=holds, fresh=fresh, elsewhere=elsewhere)
    assert decided.wanted == wanted
    assert decided.why


def test_the_newest_of_several_is_what_a_run_goes_on_from():
    assert backup.newest([]) is None
    assert backup.newest([item(step=9), item(step=12), item(step=None, name="x")]).step == 12
