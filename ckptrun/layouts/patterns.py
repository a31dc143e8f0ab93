r"""The user's own names, as Keras and Synalinks write templates: `ckpt-{epoch:02d}-{val_loss:.2f}.keras`. PURE.

`{step}` and `{epoch}` count; any other field is a metric of that name; a name in brackets that begins with `_` stands for anything. What
lies between is itself. A pattern that ends in `/` means directories.
"""

from __future__ import annotations

import re

from ckptrun.layouts.catalogue import Layout, Pointer

NAME = "pattern"
COUNTS = {"step": "step", "steps": "step", "iter": "step", "iteration": "step", "global_step": "step", "epoch": "epoch"}
_FIELD = re.compile(r"\{(?P<name>[A-Za-z_][\w/.-]*)(?:![rsa])?(?::[^{}]*)?\}")
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|inf)"


class BadPattern(ValueError):
    """What is wrong with a pattern, in words."""


def layout(pattern: str) -> Layout:
    """The layout of what a pattern names; it comes before all others.

    Raises:
        BadPattern: it has no field, a bracket is open, or a field stands twice.
    """
    directory, text = pattern.endswith("/"), pattern.rstrip("/")
    fields = [found["name"] for found in _FIELD.finditer(text)]
    if not fields:
        raise BadPattern("it has no field such as {epoch:02d} or {step}")
    if "/" in _FIELD.sub("", text):
        raise BadPattern("it is a name in a directory, not a path: a slash may only stand at its end")
    if re.search(r"[{}]", _FIELD.sub("", text)):
        raise BadPattern("a bracket is open, or holds something that is no name")
    counted = [COUNTS.get(name, name) for name in fields if not name.startswith("_")]
    if len(set(counted)) < len(counted):
        raise BadPattern("a field stands in it twice")
    return Layout(
        name=f"{NAME}:{pattern}",
        title="your pattern",
        entry=(_expression(text),),
        directory=directory,
        inside=r".*",
        measures=tuple(name for name in fields if name not in COUNTS and not name.startswith("_")),
        pointers=(Pointer(name=r"(?:latest|last)(?:\.\w+)*"), Pointer(name=r"best(?:\.\w+)*", best=True)),
    )


def _expression(text: str) -> str:
    """Metrics are groups m0, m1, …: their own names may be none that a group can have."""
    parts, at, metric = [], 0, 0
    for found in _FIELD.finditer(text):
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
