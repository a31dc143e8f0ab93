"""Which files of a checkpoint are good for nothing but resuming: the optimizer's and the replay buffer's. PURE."""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckptrun.model import Checkpoint

_WORD = re.compile(r"[a-z]+")
_OPTIMIZER = frozenset(("optimizer", "optimizers", "optim"))


def dispensable(item: Checkpoint) -> list[str]:
    """Its files that say by a word of their name, or of a directory's inside, that they are an optimizer's; never all of them."""
    files = [name for name in item.files if os.path.join(item.directory, name) != item.path and _is_optimizer(item, name)]
    return files if len(files) < len([name for name in item.files if not name.endswith(".json")]) else []


def _is_optimizer(item: Checkpoint, name: str) -> bool:
    inside = name.removeprefix(item.name + os.sep)  # the checkpoint's own name says nothing
    words = _WORD.findall(inside.lower())
    return bool(_OPTIMIZER & set(words)) or any(pair == ("replay", "buffer") for pair in itertools.pairwise(words))
