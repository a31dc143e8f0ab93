"""Absolute paths that frameworks keep in small files: what they become when a checkpoint is restored somewhere else. PURE.

    trainer_state.json              in a checkpoint of Hugging Face's Trainer: best_model_checkpoint
    last_checkpoint                 beside those of mmengine: an absolute path; of fvcore: a name
    latest                          beside those of DeepSpeed: a directory's name
    latest_checkpointed_iteration.txt  beside those of Megatron-LM: a number

What Lightning keeps inside of the state is put right by `moving`.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INSIDE = "trainer_state.json"
LARGEST = 64 << 20  # bytes: it holds what was logged at every step
_BEST = re.compile(rb'("best_model_checkpoint"\s*:\s*)"((?:[^"\\]|\\.)*)"')
_ITERATION = re.compile(r"iter_0*(\d+)")


def inside(data: bytes, directory: str) -> bytes:
    """A trainer_state.json whose best checkpoint, if it names one, is looked for in `directory`; everything else byte for byte."""

    def moved(found: re.Match[bytes]) -> bytes:
        try:
            old = str(json.loads(b'"' + found[2] + b'"'))
        except ValueError:
            return found[0]
        new = os.path.join(directory, os.path.basename(old.rstrip("/")))
        return found[1] + json.dumps(new, ensure_ascii=False).encode("utf-8", "surrogateescape")

    return _BEST.sub(moved, data, count=1)


def beside(layout: str, directory: str, entry: str) -> tuple[str, str] | None:
    """The name and the text of the file beside the checkpoints that makes this framework go on from `entry`; None where there is none."""
    row = _BESIDE.get(layout)
    if row is None:
        return None
    name, text = row
    return name, text(directory, entry)


def _iteration(_directory: str, entry: str) -> str:
    found = _ITERATION.fullmatch(entry)
    return found[1] if found else entry


_BESIDE: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "mmengine": ("last_checkpoint", os.path.join),
    "fvcore": ("last_checkpoint", lambda _, entry: entry),
    "deepspeed": ("latest", lambda _, entry: entry),
    "megatron": ("latest_checkpointed_iteration.txt", _iteration),
}
