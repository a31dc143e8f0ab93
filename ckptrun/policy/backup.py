"""What a backup is called, which are made, which files may be linked, and whether a start fetches one. PURE."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.policy import order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import Checkpoint

LATEST, BEST, ALL = "latest", "best", "all"
# Layouts that never write to a file that has its final name: only those can be backed up by another name for the same file. A training
# that goes back and saves a step again writes into the old file in most other frameworks, and the backup would change with it.
WRITTEN_ONCE = frozenset(("own", "orbax", "flax", "tensorflow", "fairseq"))
# Layouts with one file, or a few, that every save writes anew; frameworks' own last ones say so themselves (`follows`).
REWRITTEN = frozenset(("single", "keras-backup"))
_LONGEST = 180  # bytes of a name: something is added to it


class Fetch(Noun, frozen=True):
    """Whether a start looks for a backup before it looks for checkpoints, and why."""

    wanted: bool
    why: str


def may_link(layout: str) -> bool:
    """Whether another name for a checkpoint's files is as good as a copy of them."""
    return layout in WRITTEN_ONCE


def rewritten(item: Checkpoint) -> bool:
    """Whether the next save writes into this checkpoint's own file."""
    return item.follows or item.layout in REWRITTEN


def home(item: Checkpoint, inside: str) -> str:
    """What a checkpoint's backup is called; `inside` is its path in the run, "" where there is none.

    Steps tell ckptrun's own apart, attempts what lies in their outputs, times what is written again and again.
    """
    words = [f"attempt-{item.attempt:04d}"] if item.place == names.OUTPUT and item.attempt is not None else []
    words += [os.fsdecode(os.fsencode(item.name)[:_LONGEST]).lstrip(".") or "checkpoint"]
    if rewritten(item) or item.step is None:
        words.append(time.strftime("%Y%m%dT%H%M%S", time.gmtime(item.time)))
    elif inside and os.path.dirname(inside) != names.CHECKPOINTS and item.place == names.CHECKPOINTS:
        words.insert(0, re.sub(r"[^A-Za-z0-9._-]", "-", os.path.dirname(inside)[len(names.CHECKPOINTS) + 1 :]))
    return "-".join(words)


def chosen(found: Sequence[Checkpoint], which: str) -> list[Checkpoint]:
    """Those of a listing (oldest first, with roles) that are backed up: whole ones only."""
    whole = [item for item in found if item.state == names.COMPLETE]
    return whole if which == ALL else [item for item in whole if which in item.roles]


def fetch(*, holds: bool, fresh: bool, elsewhere: str) -> Fetch:
    """Whether to look for a backup: where the run has nothing of its own, and nobody said where else to begin.

    `elsewhere` is the option that says so (--from, --resume-at), "" if none does.
    """
    if holds:
        return Fetch(False, "the run has checkpoints or attempts of its own")
    if fresh:
        return Fetch(False, "--fresh: starting from the beginning")
    if elsewhere:
        return Fetch(False, f"{elsewhere} says where to begin")
    return Fetch(True, "there is nothing of the run on this machine")


def newest(found: Sequence[Checkpoint]) -> Checkpoint | None:
    """The one of several backups, as checkpoints, that a run goes on from."""
    arranged = order.arrange(found)
    return arranged[-1] if arranged else None
