"""What killed saves left behind: moved to trash/ by one rename each. Never that of the attempt that runs.

Unlinking is another's (`emptying`): a start does not wait for it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable

_OF_ATTEMPT = re.compile(rf"\{names.TMP_PREFIX}{names.STEP_PREFIX}\d{{8,}}-a(\d{{4,}})-[0-9a-f]+")
_COPY = re.compile(rf"\{names.TMP_PREFIX}[0-9a-f]{{12}}")  # of an earlier version, on its way back to its name
_POINTER = re.compile(rf"\{names.TMP_PREFIX}{names.LATEST}-[0-9a-f]+")


class Swept(Noun, frozen=True, kw_only=True):
    """What was removed, and what could not be, each with its reason."""

    removed: list[str] = []
    left: list[str] = []


def sweep(checkpoints: str, trash: str, attempt: int, guard: Callable[[], None]) -> Swept:
    """Move what saves of attempts before `attempt` left in `checkpoints` into the trash: `trash`, or one on their own filesystem.

    Raises:
        errors.LeaseLost: from `guard`, which is asked before each.
    """
    leftovers = _leftovers(checkpoints, attempt)
    if not leftovers:
        return Swept()
    from ckptrun.checkpoints import remove  # noqa: PLC0415  # only where there is something to remove

    removed, left = [], []
    here = remove.place(checkpoints, trash)
    for name in leftovers:
        guard()
        try:
            _throw_away(name, checkpoints, here)
            removed.append(name)
        except OSError as error:
            left.append(f"{name} could not be removed: {error.strerror}")
    return Swept(removed=removed, left=left)


def _leftovers(checkpoints: str, attempt: int) -> list[str]:
    of_attempts = [(name, found) for name in _names(checkpoints) if (found := _OF_ATTEMPT.fullmatch(name))]
    saves = [name for name, found in of_attempts if int(found[1]) < attempt]
    return sorted(saves + [name for name in _names(checkpoints) if _POINTER.fullmatch(name) or _COPY.fullmatch(name)])


def _throw_away(name: str, checkpoints: str, place: str) -> None:
    from ckptrun.checkpoints import trash as trashes  # noqa: PLC0415  # as above

    source = os.open(os.path.realpath(checkpoints), trashes.OPEN)
    try:
        fd = trashes.open_trash(place)
        try:
            os.rename(name, trashes.fresh_name(name), src_dir_fd=source, dst_dir_fd=fd)
        finally:
            os.close(fd)
    finally:
        os.close(source)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
