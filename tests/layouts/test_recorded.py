"""What 38 directories that libraries wrote are taken for, against what was seen in each. See expected.json for who wrote them."""

import json
import os

import layouts_trees as trees
import pytest

from ckptrun.report import gather
from ckptrun.report.gather import Wish

with open(os.path.join(trees.HERE, "expected.json"), encoding="utf-8") as _file:
    EXPECTED = json.load(_file)
TREES = trees.recorded()
# Where the name of a number is in nobody's file: the user's template says it.
PATTERNS = {
    "keras_epoch_metric": "ckpt-{epoch:02d}-{val_loss:.2f}.keras",
    "keras_best_only_history": "{epoch:02d}-{val_loss:.2f}.weights.h5",
}


RESULTS = {"best_model.zip"}  # listed, and counted as no checkpoint by whoever recorded it


def test_every_directory_is_recorded():
    assert set(TREES) == set(EXPECTED)


@pytest.mark.parametrize("case", EXPECTED)
@pytest.mark.parametrize("sizes", [True, False], ids=["sizes", "names"])
def test_what_is_in_it(case, sizes, tmp_path):
    trees.plant(tmp_path, TREES[case])
    wanted = EXPECTED[case]
    listing = gather.directory_listing(str(tmp_path), Wish(sizes=sizes, patterns=_patterns(case)))
    complete = [item for item in listing.checkpoints if item.state == "complete" and item.name not in RESULTS]
    partial = [item for item in listing.checkpoints if item.state != "complete"]
    assert len(complete) == len(wanted["checkpoints"])
    assert [one for one in wanted["checkpoints"] if not any(_is(item, one, tmp_path) for item in complete)] == []
    assert sorted(item.name for item in partial) == sorted(name.split(" ")[0] for name in wanted["incomplete"])
    assert all(item.reason for item in partial)
    if wanted["latest"] is not None:
        latest = [item for item in listing.checkpoints if "latest" in item.roles]
        assert any(_is(item, _first(wanted["latest"]), tmp_path) for item in latest)
    if wanted["best"] is not None and (sizes or case != "timm_saver"):  # a hard link is seen by its inode
        best = [item for item in listing.checkpoints if "best" in item.roles]
        assert any(_is(item, _first(wanted["best"]), tmp_path) for item in best) or case in NOT_BY_NAME


# The callback knew that the last one was best; nothing on the disk says so.
NOT_BY_NAME = {"lightning_all_link"}


@pytest.mark.parametrize("case", [case for case in EXPECTED if "metrics" in EXPECTED[case] and case != "timm_saver"])
def test_metrics_are_found_again(case, tmp_path):
    """timm's are inside of its pickles only."""
    trees.plant(tmp_path, TREES[case])
    listing = gather.directory_listing(str(tmp_path))
    for name, by_step in EXPECTED[case]["metrics"].items():
        found = {item.step: item.metrics[name] for item in listing.checkpoints}
        assert found == {step: by_step[str(step)] for step in found}


@pytest.mark.parametrize("case", [case for case in EXPECTED if EXPECTED[case]["pointers"] and not case.startswith("hf")])
def test_pointers_are_followed(case, tmp_path):
    trees.plant(tmp_path, TREES[case])
    listing = gather.directory_listing(str(tmp_path))
    assert [item for item in listing.checkpoints if "pointer" in item.roles] == [
        item for item in listing.checkpoints if "latest" in item.roles
    ]


def _patterns(case):
    from ckptrun.layouts import patterns

    return (patterns.layout(PATTERNS[case]),) if case in PATTERNS else ()


def _is(item, wanted, root):
    if isinstance(wanted, int):
        return item.step == wanted
    return os.path.relpath(os.path.join(item.directory, item.name), root).endswith(wanted.rstrip("/"))


def _first(wanted):
    if isinstance(wanted, dict):
        return wanted["step"]
    return wanted.split(" (")[0] if isinstance(wanted, str) else wanted
