"""What a layout is shown of a directory, and what it says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Guesser = Callable[[Sequence["Entry"]], list["Claim"]]
    Inside = Callable[[str], Iterable[str]]  # names in a directory below, hidden ones too; of a path that is none: nothing

UNFINISHED = "its name is a temporary one: it is being written, or was left by a save that was cut short"


class Entry(Noun, frozen=True, kw_only=True):
    """One name in a directory. `directory` is true of a link to one, too."""

    name: str
    directory: bool = False
    link: bool = False
    time: float = 0.0  # last modified, Unix seconds; files only, and only where a guess asks for it


class Claim(Noun, frozen=True, kw_only=True):
    """One checkpoint that a layout sees in a directory. Whether it is whole is found out by `checkpoints`."""

    layout: str
    name: str  # the entry's name, or the common stem of a group
    files: list[str] = []  # entries of the directory that belong to it, the first is what a script is given
    directory: bool = False
    step: int | None = None
    epoch: float | None = None
    metrics: dict[str, float] = {}
    time: float = 0.0
    unfinished: str = ""  # why its names alone say that it is not complete
    doubt: str = ""  # what its siblings have and it lacks: it may be of a time when nobody wrote that
    why: str = ""  # of a guess: what made it one
    likeness: int = 1
    guess: bool = False
    prefix_path: bool = False  # a script is given `name`, which is no file
    series: str = ""  # what tells it from other series of the same layout in the same directory
    follows: bool = False  # rewritten with every save: as new as the newest of its series
    best: bool = False  # what the framework calls its best
    shared: tuple[str, ...] = ()  # entries that it needs and others too
