"""One thing that was looked at."""

from __future__ import annotations

from ckptrun.model import Noun

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding(Noun, frozen=True, kw_only=True):
    """What was found; `todo` says what to do about it, and is never empty for a problem."""

    level: str  # ok | note (works, with a limit worth knowing) | problem (work would be lost)
    about: str  # machine, filesystem, slurm, script
    text: str
    todo: str = ""


def in_script(level: str, text: str, todo: str = "") -> Finding:
    """One about a batch script."""
    return Finding(level=level, about="script", text=text, todo=todo)
