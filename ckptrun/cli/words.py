"""What ckptrun itself says, on stderr: `error:`, `hint:` and plain lines, with colour only where it is wanted.

Everything printed is escaped first: a file name may hold a terminal's control sequences.
"""

from __future__ import annotations

import os
import sys

from ckptrun.report.text import coloured, escape

_COLOURS = {"error": "31;1", "hint": "36"}
_INDENT = " " * len("error: ")


def say(text: str) -> None:
    """One plain line (or several) on stderr."""
    _write(escape(text, keep_lines=True))


def error(message: str, hint: str = "") -> None:
    """`error: …` and, if there is one, `hint: …`."""
    _labelled("error", message)
    if hint:
        _labelled("hint", hint)


def _labelled(label: str, text: str) -> None:
    # Further lines are indented, so that no text from outside can begin a line that looks like one of ours.
    first, *others = escape(text, keep_lines=True).split("\n")
    lines = [first, *(_INDENT + line.strip() for line in others)]
    start = f"\x1b[{_COLOURS[label]}m{label}:\x1b[0m " if coloured(sys.stderr, os.environ) else f"{label}: "
    _write(start + "\n".join(lines))


def _write(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # nobody can be told: stderr is closed, full or gone
        pass
