r"""The user's own names, as Keras and Synalinks write templates: `ckpt-{epoch:02d}-{val_loss:.2f}.keras`. PURE.

`{step}` and `{epoch}` count; any other field is a metric of that name; a name in brackets that begins with `_` stands for anything. What
lies between is itself. A pattern that ends in `/` means directories.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckptrun import errors
from ckptrun.config import kinds
from ckptrun.config.kinds import COUNTS, FIELD
from ckptrun.layouts.catalogue import Layout, Pointer

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "pattern"
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|inf)"


def layouts(patterns: Iterable[str]) -> tuple[Layout, ...]:
    """The layouts of what patterns name.

    Raises:
        errors.UsageError: one cannot be understood.
    """
    found = []
    for pattern in patterns:
        try:
            found.append(layout(pattern))
        except ValueError as error:
            raise errors.UsageError(
                f"--pattern {pattern}: {error}", "for example: --pattern 'ckpt-{epoch:02d}.pt'"
            ) from error
    return tuple(found)


def layout(pattern: str) -> Layout:
    """The layout of what a pattern names; it comes before all others.

    Raises:
        ValueError: it has no field, a bracket is open, or a field stands twice; in words.
    """
    directory, text = pattern.endswith("/"), kinds.pattern(pattern, "").rstrip("/")
    fields = [found["name"] for found in FIELD.finditer(text)]
    return Layout(
        name=f"{NAME}:{pattern}",
        title="your pattern",
        entry=(_expression(text),),
        directory=directory,
        exact=True,
        inside=r".*",
        measures=tuple(name for name in fields if name not in COUNTS and not name.startswith("_")),
        pointers=(Pointer(name=r"(?:latest|last)(?:\.\w+)*"), Pointer(name=r"best(?:\.\w+)*", best=True)),
    )


def _expression(text: str) -> str:
    """Metrics are groups m0, m1, …: their own names may be none that a group can have."""
    parts, at, metric = [], 0, 0
    for found in FIELD.finditer(text):
        parts.append(re.escape(text[at : found.start()]))
        name, at = found["name"], found.end()
        if name in COUNTS:
            parts.append(rf"(?P<{COUNTS[name]}>\d+)")
        elif name.startswith("_"):
            parts.append(".*?")
        else:
            parts.append(f"(?P<m{metric}>{_NUMBER})")
            metric += 1
    return "".join([*parts, re.escape(text[at:])])
