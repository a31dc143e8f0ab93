"""When the checkpoints of other frameworks that a training wrote are sealed. PURE."""

from __future__ import annotations

from ckptrun import names, units

NOW, ASIDE, LATER = "now", "aside", "later"
SMALL = 64 << 20  # bytes: read and hashed, from memory, in less than a tenth of a second

SETTLED = 60.0  # seconds: as young as what retention leaves alone
_BEAT = 0.9 * names.HEARTBEAT_SECONDS  # two looks in a row


def settled(unchanged: float, age: float) -> bool:
    """Whether nobody is at a checkpoint any more, that was seen the same for `unchanged` seconds and was written `age` seconds ago.

    A file server's clock may be another than ours: its time alone says nothing, and a time in the future does not keep it open.
    """
    return unchanged >= SETTLED or (unchanged >= _BEAT and age >= SETTLED)


def when(size: int, *, comes_back: bool) -> tuple[str, str]:
    """Now, aside (by a process of its own) or later, and why. `size`: bytes that are not sealed; `comes_back`: the run is not over."""
    if comes_back:
        return LATER, "being started again does not wait for it: the attempt that ends the run seals it"
    if size <= SMALL:
        return NOW, f"{units.size(size)} take no time"
    return ASIDE, f"nobody waits for {units.size(size)}"
