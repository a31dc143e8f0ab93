"""Where the verbs write: a terminal, or a pipe, which gets the same words plain, tab-separated and whole.

rich is loaded for a terminal only: piped, its tables are 80 columns wide and cut paths off.
"""

from __future__ import annotations

import functools
from typing import IO, TYPE_CHECKING

from ckptrun.report.cells import Cell, Column, style, words
from ckptrun.report.text import coloured, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.style import Style


class Paper:
    """A stream to write tables and words on, which knows whether somebody is looking."""

    def __init__(self, stream: IO[str], *, terminal: bool, width: int = 80, colour: bool = False) -> None:
        self.stream = stream
        self.terminal = terminal
        self.width = width
        self.colour = colour
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """Rich's console of this paper; only where `terminal`."""
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415  # 13 ms that a pipe need not pay

            self._console = Console(
                file=self.stream,
                force_terminal=True,
                color_system="standard" if self.colour else None,
                no_color=not self.colour,
                width=self.width,
                highlight=False,
                markup=False,
                emoji=False,
                soft_wrap=False,
            )
        return self._console

    def line(self, text: str = "", look: str = "", *, indent: int = 0) -> None:
        """One line of words; a terminal wraps it between words, under its own beginning."""
        if not self.terminal:
            self.stream.write(" " * indent + escape(text) + "\n")
            return
        from ckptrun.report import columns  # noqa: PLC0415  # needs rich's ruler

        for part in columns.indented((text, look), self.width, indent):
            self._draw(part)

    def heading(self, text: str) -> None:
        """A blank line and a title."""
        self.line()
        self.line(text, "bold")

    def pairs(self, pairs: Iterable[tuple[str, Cell]]) -> None:
        """Names and values below each other; empty values are left out."""
        rows: list[Sequence[Cell]] = [((name, "dim"), value) for name, value in pairs if words(value)]
        if self.terminal:
            self._lay((Column(""), Column("", words=True)), rows, head=False)
            return
        self.stream.writelines(_tabbed(row) for row in rows)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """A head and one line for each row."""
        if self.terminal:
            self._lay(columns, rows, head=True)
            return
        self.stream.write("\t".join(escape(column.title) for column in columns) + "\n")
        self.stream.writelines(_tabbed(row) for row in rows)

    def fits(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> bool:
        """Whether a terminal of this width can hold the table without leaving out or folding a column; words may go beneath."""
        from ckptrun.report import columns as ruler  # noqa: PLC0415  # needs rich's ruler

        return ruler.fits(columns, rows, self.width)

    def _lay(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, head: bool) -> None:
        from ckptrun.report import columns as ruler  # noqa: PLC0415  # needs rich's ruler

        for text in ruler.lines(columns, rows, self.width, head=head):
            self._draw(text)

    def _draw(self, line: Sequence[Cell]) -> None:
        shown = [_painted(words(piece), style(piece)) if self.colour else words(piece) for piece in line]
        self.stream.write("".join(shown) + "\n")


@functools.lru_cache(maxsize=64)
def _brush(name: str) -> Style:
    from rich.style import Style  # noqa: PLC0415  # a pipe need not pay

    return Style.parse(name)


def _painted(text: str, style_name: str) -> str:
    return _brush(style_name).render(text) if style_name and text else text


def _tabbed(row: Sequence[Cell]) -> str:
    cells = [words(cell) for cell in row]
    if not "".join(cells).isprintable():  # asked once for all: ten thousand rows are soon many cells
        cells = [escape(cell) for cell in cells]
    return "\t".join(cells) + "\n"


def paper(stream: IO[str], environ: Mapping[str, str]) -> Paper:
    """The paper that a stream is: a terminal as wide as it is, coloured unless NO_COLOR or TERM=dumb forbids it."""
    _never_fail_on_letters(stream)
    if not stream.isatty():
        return Paper(stream, terminal=False)
    return Paper(stream, terminal=True, width=_width(stream, environ), colour=coloured(stream, environ))


def _width(stream: IO[str], environ: Mapping[str, str]) -> int:
    import os  # noqa: PLC0415

    given = environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def _never_fail_on_letters(stream: IO[str]) -> None:
    # Under a Latin-1 locale a CJK name would raise in the middle of a table; shown as \uNNNN it is still the name.
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
