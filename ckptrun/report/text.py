"""Words made safe to print, and the small rules of printing that all share."""

from __future__ import annotations

from ckptrun.runs import durable

TYPE_CHECKING = False  # typing's own costs ten milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO


def escape(text: str, *, keep_lines: bool = False) -> str:
    r"""`text` as it may be printed: whatever a terminal would obey (CWE-150) and undecodable bytes become visible, as `\x1b`.

    With `keep_lines` newlines stay newlines.
    """
    if keep_lines and "\n" in text:
        return "\n".join(durable.printable(line) for line in text.split("\n"))
    if text.isprintable():
        return text
    try:
        return durable.printable(text)
    except UnicodeEncodeError:  # half of a pair, which YAML can hold and no encoding can
        return durable.printable(text.encode("utf-8", "backslashreplace").decode())


def coloured(stream: IO[str] | None, environ: Mapping[str, str]) -> bool:
    """Whether `stream` may be coloured: a terminal, not a dumb one, and no NO_COLOR (https://no-color.org)."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or stream is None:
        return False
    return stream.isatty()


def some(count: int, noun: str, plural: str = "") -> str:
    """`1 checkpoint`, `3 checkpoints`, `2 tries`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
