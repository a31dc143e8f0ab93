"""Retention as other managers test it: their cases, restated as checkpoints + policy → survivors, with where ours differ and why.

In `retention_cases.json`: `options` as settings of ours; `theirs` who survives there; `ours`, where it is somebody else, with `why`;
`not_ours` why a case cannot be asked of ckptrun at all. `@restic` stands for the snapshots that all of restic's cases share.
"""

import json
import os

import pytest

from ckptrun import errors
from ckptrun.config import keeping as kinds
from ckptrun.model import Checkpoint
from ckptrun.policy import gates, keeping, order, retention, roles

with open(os.path.join(os.path.dirname(__file__), "retention_cases.json"), encoding="utf-8") as _file:
    _DATA = json.load(_file)
CASES = [case for case in _DATA["cases"] if "not_ours" not in case]


KINDS = {
    "keep_best": kinds.best,
    "keep_every": kinds.every,
    "keep_within": kinds.within,
    "without_metric": lambda text, _: text,
}


def policy(options):
    """As the settings are read: texts to values."""
    values = {}
    for name, text in options.items():
        kind = KINDS.get(name, kinds.count)
        values[name] = [kind(each, "") for each in text] if isinstance(text, list) else kind(text, "")
    return keeping.policy_of(values.items())


def checkpoints(case):
    rows = _DATA["restic"] if case["checkpoints"] == "@restic" else case["checkpoints"]
    return order.arrange(_checkpoint(row, case) for row in rows)


def _checkpoint(row, case):
    name, directory = row["name"], f"/run-{row.get('run', 1)}"
    pinned = name in case.get("pinned", ())
    return Checkpoint(
        name=name,
        path=f"{directory}/{name}",
        directory=directory,
        layout="series",
        step=row.get("step"),
        time=row["time"],
        metrics=row.get("metrics", {}),
        size=1,
        pinned=pinned,
        roles=[roles.PINNED] * pinned + [roles.BEST] * (name in case.get("best", ())),
    )


def survivors(case):
    asked, found = policy(case["options"]), checkpoints(case)
    in_use = {item.path: "resumed from" for item in found if item.name in case.get("in_use", ())}
    if case["apply"] == "once":
        return left(found, asked, in_use)
    there = []
    for item in sorted(
        found, key=lambda item: next(i for i, row in enumerate(case["checkpoints"]) if row["name"] == item.name)
    ):
        there = left(order.arrange([*there, item]), asked, in_use)
    return there


def left(found, asked, in_use):
    around = gates.Around(now=max(item.time for item in found) + 3600, in_use=in_use)
    return [judged.checkpoint for judged in retention.decide(found, asked, around).keep]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_who_survives(case):
    if case.get("refused"):
        with pytest.raises(errors.UsageError, match="nothing says what to keep"):
            survivors(case)
        return
    assert sorted(item.name for item in survivors(case)) == sorted(case.get("ours", case["theirs"]))


def test_every_difference_has_its_reason():
    for case in _DATA["cases"]:
        assert case["source"]
        differs = "ours" in case or case.get("refused")
        assert bool(differs) == ("why" in case), case["id"]
        assert case.get("ours") != case.get("theirs", ()), case["id"]
    assert len(_DATA["cases"]) == 91
