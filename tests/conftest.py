"""Fixtures of every room."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest
import support
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIRD = 'it\'s a "weird" path\n\t$HOME; äß 目 *'

settings.register_profile("ckptrun", deadline=None)  # how long one example of hypothesis takes is the machine's business
settings.load_profile("ckptrun")

# `pytest &` in a script, or nohup, ignores these. We go on doing so, but what the tests start is not to inherit it.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


# --- which tests run side by side ----------------------------------------------------------------------------------------
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A single file, or tests of one, run in this process; else twice as many as cores work: most tests wait for something."""
    files = {arg.partition("::")[0] for arg in config.args}
    return 0 if len(files) == 1 and os.path.isfile(*files) else 2 * len(os.sched_getaffinity(0))


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups next
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A file's tests stay together, those that were given more time than usual are by themselves; what takes long begins first."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        alone = item.get_closest_marker("timeout") is not None
        item.add_marker(pytest.mark.xdist_group(item.nodeid if alone else item.nodeid.partition("::")[0]))
    items.sort(key=_length, reverse=True)


def _length(item: pytest.Item) -> float:
    """Roughly, to begin with the longest: the time it was given, or, on a real cluster, that of its file."""
    given = item.get_closest_marker("timeout")
    return given.args[0] if given else 400 * ("slurm" in getattr(item, "fixturenames", ()))


# --- fixtures ------------------------------------------------------------------------------------------------------------
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
