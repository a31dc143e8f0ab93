"""What is shipped: the wheel is built and looked into."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
import zipfile

import pytest
import support

from ckptrun import names


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=support.REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.iterdir()
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_types_configs_and_licence_are_in_the_wheel(wheel):
    held = set(wheel.namelist())
    assert {
        "ckptrun/py.typed",
        "ckptrun/configs/short.yaml",
        "ckptrun/configs/normal.yaml",
        "ckptrun/configs/long.yaml",
    } <= held
    assert f"ckptrun-{names.VERSION}.dist-info/licenses/LICENSE" in held


def test_every_module_is_in_the_wheel_and_nothing_else(wheel):
    shipped = {name for name in wheel.namelist() if name.endswith(".py")}
    there = {
        os.path.relpath(os.path.join(folder, name), support.REPO)
        for folder, _, files in os.walk(os.path.join(support.REPO, "ckptrun"))
        for name in files
        if name.endswith(".py")
    }
    assert shipped == there
    assert {name.split("/")[0] for name in wheel.namelist()} == {"ckptrun", f"ckptrun-{names.VERSION}.dist-info"}


def test_the_command_is_called_ckptrun(wheel):
    entry = configparser.ConfigParser()
    entry.read_string(wheel.read(f"ckptrun-{names.VERSION}.dist-info/entry_points.txt").decode())
    assert dict(entry["console_scripts"]) == {"ckptrun": "ckptrun.cli:main"}


def test_the_licence_is_apache_2():
    with open(os.path.join(support.REPO, "LICENSE"), encoding="utf-8") as file:
        assert re.search(r"Apache License\s+Version 2\.0, January 2004", file.read())


def test_the_version_stands_once():
    """In names.py; the CHANGELOG speaks of versions, everything else asks."""
    holders = [path for path in _python_files("ckptrun") if f'"{names.VERSION}"' in _read(path)]
    assert holders == [os.path.join("ckptrun", "names.py")]
    assert names.VERSION not in _read("pyproject.toml")
    assert f"## {names.VERSION}" in _read("CHANGELOG.md")


def test_names_imports_nothing():
    tree = ast.parse(_read("ckptrun/names.py"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _python_files(folder):
    for where, _, files in os.walk(os.path.join(support.REPO, folder)):
        yield from (os.path.relpath(os.path.join(where, name), support.REPO) for name in files if name.endswith(".py"))


def _read(path):
    with open(os.path.join(support.REPO, path), encoding="utf-8") as file:
        return file.read()
