"""What is imported before a script runs: a start must stay light, so the list is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
import click, msgspec
before = set(sys.modules)
import ckptrun.cli, ckptrun.cli.train, ckptrun.config
import os
ckptrun.config.load({"grace": "90s"}, os.environ, "/")
print(*sorted(set(sys.modules) - before))
"""
# Beyond click and msgspec, and what these two bring along.
ALLOWED = {
    *("ckptrun", "ckptrun.names", "ckptrun.errors", "ckptrun.units", "ckptrun.model"),
    *(
        "ckptrun.config",
        *(f"ckptrun.config.{name}" for name in ("keeping", "keys", "kinds", "layers", "load", "strategies")),
    ),
    *(
        "ckptrun.cli",
        *(f"ckptrun.cli.{name}" for name in ("boundary", "command", "group", "help", "params", "train", "words")),
    ),
    *("ckptrun.report", "ckptrun.report.text", "ckptrun.runs", "ckptrun.runs.durable"),
    *("signal", "_signal"),
}


def loaded(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return set(done.stdout.split())


def test_only_what_is_on_the_list_is_imported():
    assert loaded(CODE) - ALLOWED == set()


@pytest.mark.parametrize(
    "heavy", ["yaml", "rich", "psutil", "difflib", "logging", "dataclasses", "asyncio", "subprocess", "pathlib"]
)
def test_heavy_things_wait_until_they_are_needed(heavy):
    assert heavy not in loaded(CODE.replace("import click, msgspec", "")) - loaded(
        "import sys, click, msgspec; print(*sys.modules)"
    )
