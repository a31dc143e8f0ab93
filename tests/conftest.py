"""Fixtures of every room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil
import pytest
import support

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIRD = 'it\'s a "weird" path\n\t$HOME; äß 目 *'


@pytest.fixture
def weird_path(tmp_path: Path) -> Path:
    """A directory whose name has spaces, both quotes, a newline, a tab, a dollar, a star and non-ASCII letters."""
    path = tmp_path / WEIRD
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ckptrun and no scheduler around the tests."""
    for key in set(os.environ) - set(support.clean_env()):
        monkeypatch.delenv(key)


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """A test that leaves a child process behind fails, and the process is ended."""
    before = set(_children())
    yield
    left = [child for child in _children() if child not in before and child.status() != psutil.STATUS_ZOMBIE]
    named = [f"{child.pid}: {' '.join(child.cmdline())}" for child in left]
    support.kill_all(lambda: left)
    assert not left, "left running: " + "; ".join(named)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if not _is_helper(child)]


def _is_helper(child: psutil.Process) -> bool:
    try:
        return "resource_tracker" in " ".join(child.cmdline())
    except psutil.NoSuchProcess:
        return True
