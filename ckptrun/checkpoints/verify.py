"""Is a checkpoint whole? `quick` looks at sizes and structure, `deep` at every byte. Neither loads anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.checkpoints import wholeness
from ckptrun.checkpoints.reading import Broken, Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Checkpoint


def quick(checkpoint: Checkpoint, *, patience: Patience | None = None) -> tuple[str, str]:
    """State (names.COMPLETE, PARTIAL, CORRUPT, UNKNOWN) and why; of a complete one, a remark or ""."""
    return _verify(checkpoint, deep=False, patience=patience, tell=_nobody)


def deep(
    checkpoint: Checkpoint, *, patience: Patience | None = None, tell: Callable[[int], None] | None = None
) -> tuple[str, str]:
    """As `quick`, and every byte against its checksum where there is one. `tell` hears of every so many bytes."""
    return _verify(checkpoint, deep=True, patience=patience, tell=tell or _nobody)


def _verify(
    checkpoint: Checkpoint, *, deep: bool, patience: Patience | None, tell: Callable[[int], None]
) -> tuple[str, str]:
    try:
        return names.COMPLETE, wholeness.judge(checkpoint, deep=deep, patience=patience or Patience(), tell=tell)
    except Broken as broken:
        return broken.state, broken.reason


def _nobody(_count: int) -> None:
    pass
