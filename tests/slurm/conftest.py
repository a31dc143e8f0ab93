"""The cluster of the session, and whatever a test left on it ended before the next one begins."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, os.path.dirname(__file__))  # cluster.py and software.py are this room's own

import cluster as clusters  # after the path

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _cluster() -> Iterator[clusters.Cluster]:
    why = clusters.missing()
    if why:
        pytest.skip(why)
    made = clusters.Cluster()
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # or the daemons would stay
    try:
        made.start()
        yield made
    finally:
        made.stop()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def slurm(_cluster: clusters.Cluster) -> Iterator[clusters.Cluster]:
    """A real Slurm with no jobs on it."""
    yield _cluster
    _cluster.clear()
