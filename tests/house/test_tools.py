"""The tools that keep the house, run by the one test command."""

from __future__ import annotations

import subprocess
import sys

import pytest
import support

TOOLS = {
    "ruff check": ["-m", "ruff", "check"],
    "ruff format": ["-m", "ruff", "format", "--check"],
    "mypy": ["-m", "mypy"],
    "import-linter": ["-c", "from importlinter.cli import lint_imports_command as command; command()", "--no-cache"],
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_has_nothing_to_say(tool):
    said = subprocess.run([sys.executable, *TOOLS[tool]], cwd=support.REPO, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
