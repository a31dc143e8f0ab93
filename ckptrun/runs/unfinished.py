"""What writers that were killed left half-written: `.tmp-…` that nobody has written to for an hour, removed by who works there next.

A name does not say whether its writer lives, which may be on another machine. One that was only suspended for so long finds its file
gone, and fails: what has its final name is not touched.
"""

from __future__ import annotations

import os
import re
import shutil
import stat

from ckptrun import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STALE_SECONDS = 3600.0
# A script's own, which may take as long as it likes: `checkpoints.cleanup` knows when it is over.
_SAVE = rf"{names.STEP_PREFIX}\d{{8,}}-a\d{{4,}}-"
# As all of ours call what they write beside its place.
FILE = re.compile(rf"\{names.TMP_PREFIX}(?!{_SAVE})(?:.*-)?(?:[0-9a-f]{{12}}|[0-9a-f]{{8}})", re.DOTALL)


def sweep(directory: str, now: float, names_of: re.Pattern[str] = FILE, *, after: float = STALE_SECONDS) -> None:
    """Remove what is called so in a directory, and was not written to in the `after` seconds before `now`: files, and whole trees.

    Never fails: what cannot be removed is in nobody's way, and is tried again by the next.
    """
    for path in _old(directory, now - after, names_of):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
            continue
        try:
            os.unlink(path)
        except OSError:
            pass  # gone meanwhile, or not ours to remove


def _old(directory: str, before: float, names_of: re.Pattern[str]) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            found = [entry.path for entry in entries if names_of.fullmatch(entry.name)]
    except OSError:
        return []
    return [path for path in found if all(time < before for time in _times(path))]


def _times(path: str) -> Iterator[float]:
    """When it was last written to, and all that is below it."""
    try:
        state = os.lstat(path)
        yield state.st_mtime
        if stat.S_ISDIR(state.st_mode):
            for name in os.listdir(path):
                yield from _times(os.path.join(path, name))
    except OSError:  # gone, or in the making
        yield float("inf")
