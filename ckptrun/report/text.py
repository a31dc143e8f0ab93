r"""Names from outside made safe to print, and the small words the verbs share. Imports nothing heavy.

A file name may hold a terminal's escape sequences, a newline or letters that turn the reading direction (CWE-150): on
paper they would lie about what is there, so they are shown as what they are, `\x1b`, `\n`, `\u202e`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs ten milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

_NAMED = {9: "\\t", 10: "\\n", 13: "\\r"}
_TABLE = {code: _NAMED.get(code, f"\\x{code:02x}") for code in (*range(32), *range(0x7F, 0xA0))}
_TABLE.update(
    {code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)}
)
# Bytes that are no UTF-8 come from the operating system as U+DC80…U+DCFF (PEP 383); the other halves can be in JSON.
_UNDECODABLE = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}
_SURROGATES = {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
_SURROGATES.update(_UNDECODABLE)
_TABLE.update(_SURROGATES)
_LINES = {code: text for code, text in _TABLE.items() if code != 10}


def escape(text: str, *, keep_lines: bool = False) -> str:
    """`text` as it may be printed: control characters, turned directions and undecodable bytes become visible.

    With `keep_lines` newlines stay newlines.
    """
    if text.isprintable():
        return text
    return text.translate(_LINES if keep_lines else _TABLE)


def encodable(text: str) -> str:
    r"""`text` as JSON can hold it: undecodable bytes become `\xNN`; everything else stays as it is."""
    return text if text.isascii() else text.translate(_SURROGATES)


def coloured(stream: IO[str] | None, environ: Mapping[str, str]) -> bool:
    """Whether `stream` may be coloured: a terminal, not a dumb one, and no NO_COLOR (https://no-color.org)."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or stream is None:
        return False
    return stream.isatty()


def some(count: int, noun: str, plural: str = "") -> str:
    """`1 checkpoint`, `3 checkpoints`, `2 tries`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
