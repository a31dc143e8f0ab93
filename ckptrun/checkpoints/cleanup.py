"""What killed saves left behind: moved to trash/ by one rename, then unlinked. Never that of the attempt that runs."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable

_OF_ATTEMPT = re.compile(rf"\{names.TMP_PREFIX}{names.STEP_PREFIX}\d{{8,}}-a(\d{{4,}})-[0-9a-f]+")
_POINTER = re.compile(rf"\{names.TMP_PREFIX}{names.LATEST}-[0-9a-f]+")


class Swept(Noun, frozen=True, kw_only=True):
    """What was removed, and what could not be, each with its reason."""

    removed: list[str] = []
    left: list[str] = []


def sweep(checkpoints: str, trash: str, attempt: int, guard: Callable[[], None]) -> Swept:
    """Remove what saves of attempts before `attempt` left in `checkpoints`, and what an earlier sweep left in `trash`.

    Raises:
        errors.LeaseLost: from `guard`, which is asked before each.
    """
    removed, left = [], []
    for name in _leftovers(checkpoints, attempt):
        guard()
        try:
            _throw_away(os.path.join(checkpoints, name), trash)
            removed.append(name)
        except OSError as error:
            left.append(f"{name} could not be removed: {error.strerror}")
    left.extend(empty(trash))
    return Swept(removed=removed, left=left)


def empty(trash: str) -> list[str]:
    """Unlink everything in `trash`; links are not followed. What could not be, with the reason."""
    left = []
    for name in _names(trash):
        path = os.path.join(trash, name)
        try:
            _unlink(path)
        except OSError as error:
            left.append(f"{names.TRASH}/{name} could not be removed: {error.strerror}")
    return left


def _leftovers(checkpoints: str, attempt: int) -> list[str]:
    of_attempts = [(name, found) for name in _names(checkpoints) if (found := _OF_ATTEMPT.fullmatch(name))]
    saves = [name for name, found in of_attempts if int(found[1]) < attempt]
    return sorted(saves + [name for name in _names(checkpoints) if _POINTER.fullmatch(name)])


def _throw_away(path: str, trash: str) -> None:
    os.makedirs(trash, mode=0o755, exist_ok=True)
    aside = os.path.join(trash, f"{os.path.basename(path)}-{os.urandom(4).hex()}")
    os.rename(path, aside)
    _unlink(aside)


def _unlink(path: str) -> None:
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    import shutil  # noqa: PLC0415  # only where there is something to remove

    shutil.rmtree(path)  # works with directory descriptors: a link put there meanwhile is not followed


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
