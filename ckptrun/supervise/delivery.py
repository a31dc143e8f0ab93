"""Who gets a signal: the shallowest processes that catch it, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckptrun.supervise.spec import Spec


def foretell(argv: list[str], spec: Spec) -> list[str]:
    """Sentences for `--dry-run`: who will get which signal, from the command line alone."""
    raise NotImplementedError
