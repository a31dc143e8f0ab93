"""The gates of retention: of what no rule keeps, only so much goes as --max-bytes and --until-free need. PURE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import units
from ckptrun.model import Noun
from ckptrun.policy.weights import Inode, Scale, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import Checkpoint
    from ckptrun.policy.keeping import Policy


class Around(Noun, frozen=True, kw_only=True):
    """What is known beside the checkpoints themselves; keys and members are their paths."""

    now: float
    in_use: dict[str, str] = {}  # why somebody needs it: "attempt 3 resumed from it", "run b was branched from it"
    open: dict[str, str] = {}  # who has one of its files open
    inodes: dict[str, list[Inode]] = {}  # every name of a file in it
    free: int | None = None  # bytes free where they lie
    ours: bool = False  # we hold the run's lease: what has a manifest is written by nobody any more


def given(asked: Policy) -> bool:
    """Whether there are any."""
    return asked.max_bytes is not None or asked.until_free is not None


def gated(
    found: Sequence[Checkpoint], gone: list[int], asked: Policy, around: Around
) -> tuple[set[int], str, int, list[str]]:
    """Of `gone`, in this order, as many as the gates want gone; why the others are spared; bytes freed; what could not be met."""
    scale = Scale()
    used = total(name for item in found for name in names(item, around))
    goes: set[int] = set()
    for index in gone:
        if given(asked) and not _wanting(asked, used - scale.freed, around, scale.freed):
            break
        scale.take(names(found[index], around))
        goes.add(index)
    wanting = _wanting(asked, used - scale.freed, around, scale.freed)
    notes = [f"{each}: everything that is left is kept by a rule or protected" for each in wanting]
    return goes, "it need not go: --max-bytes and --until-free are met", scale.freed, notes


def _wanting(asked: Policy, used: int, around: Around, freed: int) -> list[str]:
    """What the gates still want, in words."""
    wants = []
    if asked.max_bytes is not None and used > asked.max_bytes:
        wants.append(f"{units.size(used)} are more than --max-bytes {units.size(asked.max_bytes)}")
    if asked.until_free is not None and around.free is not None and around.free + freed < asked.until_free:
        wants.append(f"{units.size(around.free + freed)} free are less than --until-free {units.size(asked.until_free)}")
    return wants


def names(item: Checkpoint, around: Around) -> list[Inode]:
    """The names of its files; of one that was not looked at, one of its size that it shares with nobody."""
    known = around.inodes.get(item.path)
    return [Inode(device=-1, number=hash(item.path), size=item.size)] if known is None else known
