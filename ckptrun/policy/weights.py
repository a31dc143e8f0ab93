"""How many bytes go with what is removed. PURE. A file with several names (a hard link) goes when its last name goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable


class Inode(Noun, frozen=True, kw_only=True):
    """One name of a file: which file it is, how large, and how many names it has anywhere."""

    device: int
    number: int
    size: int
    links: int = 1
    name: str = ""  # relative to the checkpoint's directory


class Scale:
    """Weighs what is taken away, one checkpoint after the other."""

    def __init__(self) -> None:
        self.freed = 0
        self._gone: dict[tuple[int, int], int] = {}

    def take(self, names: Iterable[Inode]) -> int:
        """Bytes that are freed when these names go too."""
        before = self.freed
        for inode in names:
            key = inode.device, inode.number
            self._gone[key] = self._gone.get(key, 0) + 1
            if self._gone[key] == inode.links:
                self.freed += inode.size
        return self.freed - before


def total(names: Iterable[Inode]) -> int:
    """Bytes of all these, each file once."""
    return sum({(inode.device, inode.number): inode.size for inode in names}.values())
