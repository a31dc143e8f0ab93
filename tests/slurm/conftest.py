"""The cluster of the session, and whatever a test left on it ended before the next one begins."""

from __future__ import annotations

import os
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
    with clusters.Cluster.running() as made:
        yield made


@pytest.fixture
def slurm(_cluster: clusters.Cluster) -> Iterator[clusters.Cluster]:
    """A real Slurm with no jobs on it."""
    yield _cluster
    _cluster.clear()
