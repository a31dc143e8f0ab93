"""The three regimes: every file is loaded, and the one that stands in the code as well is the same there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
import support

from ckptrun import config, errors, units
from ckptrun.config import keys, strategies

CONFIGS = os.path.join(support.REPO, "configs")


def test_there_is_one_file_for_each_strategy():
    assert sorted(os.listdir(CONFIGS)) == sorted(f"{name}.yaml" for name in config.STRATEGIES)


@pytest.mark.parametrize("name", config.STRATEGIES)
def test_a_strategy_is_loaded(tmp_path, name):
    loaded = config.load({"strategy": name}, {}, str(tmp_path))
    assert loaded.sources["every"] == f"strategy {name}"
    assert loaded.sources["max_failures"] == f"strategy {name}"
    assert units.parse_every(loaded.every)
    assert strategies.read(name)


@pytest.mark.parametrize("name", config.STRATEGIES)
def test_a_strategy_s_file_is_a_configuration_file_as_well(tmp_path, name):
    path = os.path.join(CONFIGS, f"{name}.yaml")
    written = config.load({"config": path}, {}, str(tmp_path))
    chosen = config.load({"strategy": name}, {}, str(tmp_path))
    assert (written.every, written.max_failures) == (chosen.every, chosen.max_failures)


def test_normal_is_the_same_in_the_code_and_in_its_file():
    assert strategies.read("normal") == strategies.NORMAL
    assert {key: setting.source for key, setting in strategies.settings("normal").items()} == dict.fromkeys(
        ("every", "max_failures"), "strategy normal"
    )


def test_the_longer_the_training_the_less_often_it_saves():
    kinds = [units.parse_every(strategies.read(name)["every"]) for name in config.STRATEGIES]
    assert kinds[0] == ("epochs", 1.0)
    assert kinds[1] < kinds[2]


def test_an_installed_package_brings_the_files_inside(tmp_path):
    """Laid out as the wheel lays it out: ckptrun/configs inside the package, and somebody else's configs/ beside it."""
    shutil.copytree(
        os.path.join(support.REPO, "ckptrun"), tmp_path / "ckptrun", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(CONFIGS, tmp_path / "ckptrun" / "configs", dirs_exist_ok=True)
    support.write_files(tmp_path, {"configs/long.yaml": "every: 1"})
    code = "from ckptrun.config import strategies as s; print(s.file_of('long')); print(s.read('long')['every'])"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert said.stdout.split() == [str(tmp_path / "ckptrun" / "configs" / "long.yaml"), "30m"]


def test_a_strategy_that_was_edited_into_nonsense_is_told(tmp_path, monkeypatch):
    support.write_files(tmp_path, {"configs/long.yaml": "evry: 1\n"})
    monkeypatch.setattr(strategies, "_PACKAGE", str(tmp_path))
    with pytest.raises(errors.ConfigError, match=r"long.yaml:1:1: unknown setting 'evry'; did you mean 'every'\?"):
        strategies.settings("long")


def test_a_strategy_may_set_only_what_a_file_may():
    for name in config.STRATEGIES:
        assert all(not keys.BY_PATH[path].why_not_in_file for path in strategies.read(name))
