"""`ckptrun show --tensors`: what is inside of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import errors, names
from ckptrun.checkpoints.reading import Broken
from ckptrun.cli import desk
from ckptrun.cli.params import working_directory
from ckptrun.report import inside, working
from ckptrun.state import stats as statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.report.gather import Wish
    from ckptrun.state.stats import Stats
    from ckptrun.state.tensor import Contents


def show(ref: str, *, stats: bool, only: Sequence[str], wish: Wish, root: str, as_json: bool) -> int:
    """Print the table, or the document."""
    found = inside.source(ref, root=root, cwd=working_directory(), wish=wish)
    contents = inside.read(found, only)
    told = _stats(contents) if stats else {}
    if as_json:
        desk.print_document(inside.document(found, contents, told))
        return names.EXIT_OK
    page = desk.out()
    page.pairs(inside.about(found, contents))
    if contents.tensors:
        page.heading("tensors")
        page.table(inside.columns(stats=stats), inside.rows(contents.tensors, told))
    return names.EXIT_OK


def _stats(contents: Contents) -> dict[str, Stats]:
    told = {}
    for each in working.over(contents.tensors, "reading tensors", desk.err()):
        try:
            told[each.name] = statistics.of(each)
        except (Broken, OSError) as error:
            raise errors.IoFailure(f"{each.name} cannot be read: {error}") from error
    return told
