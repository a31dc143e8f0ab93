"""A table laid out for a terminal of a given width: nothing is cut; what does not fit wraps, goes beneath, or is named as left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from ckptrun.report.cells import Cell, Column, style, words
from ckptrun.report.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Line = list[Cell]  # pieces side by side, each with its style

GAP = 2  # blanks between two columns
BESIDE = 20  # words narrower than this go beneath their row
BENEATH = 4  # how far words that go beneath are indented
NARROWEST = 12  # a folded column is never narrower


class Plan:
    """Which columns stand side by side, how wide, and where the words go."""

    def __init__(self, kept: list[int], widths: dict[int, int], beneath: int | None, left_out: list[str]) -> None:
        self.kept = kept
        self.widths = widths
        self.beneath = beneath  # the column that goes under its row, None = it stands beside
        self.left_out = left_out


def lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, head: bool) -> Iterator[Line]:
    """The table's lines, head first, none wider than `width`."""
    plan = plan_for(columns, rows, width)
    if head:
        yield from _side_by_side([(column.title, "bold") for column in columns], columns, plan)
    for row in rows:
        yield from _side_by_side(row, columns, plan)
        if plan.beneath is not None and words(row[plan.beneath]):
            yield from indented(row[plan.beneath], width, BENEATH)
    if plan.left_out:
        yield from indented((f"left out at this width: {', '.join(plan.left_out)}", "dim"), width, 0)


def fits(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> bool:
    """Whether all columns but the words stand side by side, whole."""
    firm = [i for i in _shown(columns, rows) if not columns[i].words]
    return _total(firm, _natural(firm, columns, rows)) <= width


def plan_for(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> Plan:
    """Decide: everything side by side; else the words wrap; else they go beneath; else spare columns go; else the widest folds."""
    shown = _shown(columns, rows)
    natural = _natural(shown, columns, rows)
    last = next((i for i in shown if columns[i].words), None)
    firm = [i for i in shown if i != last]
    if last is not None:
        room = width - sum(natural[i] + GAP for i in firm)
        if room >= min(natural[last], BESIDE):
            return Plan(shown, {**natural, last: min(natural[last], room)}, None, [])
    left_out = _spare(columns, firm, natural, width)
    kept = [i for i in firm if i not in left_out]
    return Plan(kept, _folding(kept, natural, width), last, [columns[i].title for i in sorted(left_out)])


def _shown(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    return [i for i, column in enumerate(columns) if not column.piped and any(words(row[i]) for row in rows)]


def _natural(shown: list[int], columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> dict[int, int]:
    return {i: max([_wide(columns[i].title), *(_wide(escape(words(row[i]))) for row in rows)]) for i in shown}


def _wide(text: str) -> int:
    """Columns of a terminal that `text` takes: two for each letter of Chinese."""
    return len(text) if text.isascii() else cell_len(text)


def _folding(kept: list[int], widths: dict[int, int], width: int) -> dict[int, int]:
    """The same widths, the widest taken from until all fit or none is wider than NARROWEST."""
    widths = dict(widths)
    for _ in range(_total(kept, widths) - width):
        widest = max(kept, key=lambda i: widths[i])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _spare(columns: Sequence[Column], firm: list[int], natural: dict[int, int], width: int) -> set[int]:
    out: set[int] = set()
    for i in sorted((i for i in firm if columns[i].spare), key=lambda i: -columns[i].spare):
        if _total([j for j in firm if j not in out], natural) <= width:
            break
        out.add(i)
    return out


def _total(kept: list[int], widths: dict[int, int]) -> int:
    return sum(widths[i] for i in kept) + GAP * (len(kept) - 1)


def _side_by_side(row: Sequence[Cell], columns: Sequence[Column], plan: Plan) -> Iterator[Line]:
    cells = [_broken(escape(words(row[i])), plan.widths[i], columns[i]) for i in plan.kept]
    for depth in range(max(map(len, cells), default=0)):
        line: Line = []
        for i, parts in zip(plan.kept, cells, strict=True):
            part = parts[depth] if depth < len(parts) else ""
            blanks = " " * (plan.widths[i] - _wide(part))
            line += [blanks, (part, style(row[i]))] if columns[i].right else [(part, style(row[i])), blanks]
            line.append(" " * GAP)
        yield _without_trailing_blanks(line)


def _without_trailing_blanks(line: Line) -> Line:
    while line and not words(line[-1]).strip():
        line.pop()
    return line


def _broken(text: str, width: int, column: Column) -> list[str]:
    if _wide(text) <= width:
        return [text]
    return _wrapped(text, width) if column.words else _folded(text, width)


def _wrapped(text: str, width: int) -> list[str]:
    """Broken between words; a word that is too long for a line is folded."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if _wide(longer) > width:
            lines += [line] if line else []
            *full, longer = _folded(word, width)
            lines += full
        line = longer
    return [*lines, line]


def _folded(text: str, width: int) -> list[str]:
    """Broken anywhere."""
    parts, part, used = [], "", 0
    for letter in text:
        wide = _wide(letter)
        if used + wide > width:
            parts.append(part)
            part, used = "", 0
        part += letter
        used += wide
    return [*parts, part]


def indented(cell: Cell, width: int, indent: int) -> Iterator[Line]:
    """A cell's words, wrapped between words, each line `indent` blanks from the left."""
    for part in _wrapped(escape(words(cell)), max(width - indent, NARROWEST)):
        yield _without_trailing_blanks([" " * indent, (part, style(cell))])
