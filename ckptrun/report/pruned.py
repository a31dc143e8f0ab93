"""What stays and what goes, as rows of a table and as the JSON of `ckptrun prune`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckptrun import names, units
from ckptrun.report.cells import Column
from ckptrun.report.text import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.policy.retention import Decision, Judged
    from ckptrun.report.cells import Cell

COLUMNS = (
    Column("name"),
    Column("step", right=True),
    Column("size", right=True),
    Column("decision"),
    Column("why", words=True),
    Column("path", piped=True),
)


def rows(decision: Decision, order: Sequence[str]) -> list[list[Cell]]:
    """One row for each checkpoint, in the order of these paths."""
    place = {path: number for number, path in enumerate(order)}
    judged = [(each, ("keep", "green")) for each in decision.keep] + [(each, ("remove", "red")) for each in decision.remove]
    thin = {each.checkpoint.path for each in decision.thin}
    return [_row(each, word, thin) for each, word in sorted(judged, key=lambda pair: place[pair[0].checkpoint.path])]


def _row(each: Judged, word: tuple[str, str], thin: set[str]) -> list[Cell]:
    item = each.checkpoint
    if item.path in thin:
        word = ("thin", "yellow")
    step = "" if item.step is None else str(item.step)
    return [item.name, step, units.size(item.size), word, "; ".join(each.reasons), item.path]


def footer(decisions: Sequence[Decision], *, dry_run: bool) -> str:
    """How many go, what that frees, and how to do it."""
    gone = sum(len(each.remove) for each in decisions)
    all_of_them = gone + sum(len(each.keep) for each in decisions)
    freed = units.size(sum(each.freed for each in decisions))
    if not all_of_them:
        return "there are no checkpoints"
    thin = sum(len(each.thin) for each in decisions)
    if not gone and thin:
        what = f"the optimizer's files of {some(thin, 'checkpoint')}"
        return f"{what} would go and free {freed}; nothing is removed without --yes" if dry_run else f"removed {what}"
    if not gone:
        return f"nothing goes: {some(all_of_them, 'checkpoint')} {'stays' if all_of_them == 1 else 'stay'}"
    if dry_run:
        return f"{gone} of {some(all_of_them, 'checkpoint')} would go and free {freed}; nothing is removed without --yes"
    return f"removed {gone} of {some(all_of_them, 'checkpoint')}, whose {freed} are free as soon as they are unlinked"


def document(decisions: Sequence[Decision], left: Sequence[str], *, dry_run: bool) -> dict[str, Any]:
    """The JSON of `ckptrun prune`: a stable interface."""
    return {
        "format": names.FORMAT,
        "keep": [_judged(judged) for each in decisions for judged in each.keep],
        "remove": [_judged(judged) for each in decisions for judged in each.remove],
        "thin": [
            {"name": thin.checkpoint.name, "path": thin.checkpoint.path, "files": thin.files}
            for each in decisions
            for thin in each.thin
        ],
        "bytes_freed": sum(each.freed for each in decisions),
        "dry_run": dry_run,
        "notes": [note for each in decisions for note in each.notes],
        "left": list(left),
    }


def _judged(each: Judged) -> dict[str, Any]:
    return {"name": each.checkpoint.name, "path": each.checkpoint.path, "reasons": each.reasons}
