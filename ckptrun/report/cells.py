"""What a table is made of, before anybody knows how wide the paper is."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Cell: TypeAlias = "str | tuple[str, str]"  # the words, or the words and their style


class Column(msgspec.Struct, frozen=True):
    """One column of a table; on a terminal an empty one is left out."""

    title: str
    right: bool = False  # numbers
    words: bool = False  # sentences, last: they wrap, or go beneath their row where it is narrow
    spare: int = 0  # above 0: on a narrow terminal it is left out, the highest first, and that is said below
    piped: bool = False  # only when piped


def words(cell: Cell) -> str:
    """A cell without its style."""
    return cell if isinstance(cell, str) else cell[0]


def style(cell: Cell) -> str:
    """A cell's style, "" if it has none."""
    return "" if isinstance(cell, str) else cell[1]
