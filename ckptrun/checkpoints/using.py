"""Who has a checkpoint open: a look at the open files of all processes that we may look at, on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROC = "/proc"


def open_below(paths: Iterable[str]) -> dict[str, str]:
    """Of these files and directories, those that are open, or something below them, each with who has it: `python3 (pid 7)`.

    Processes of other users and other machines are not seen; nothing is on systems without /proc.
    """
    wanted = {os.path.realpath(path): path for path in paths}
    found: dict[str, str] = {}
    for pid in _pids() if wanted else ():
        for name in _open_files(pid):
            while name and name != os.sep and name not in wanted:
                name = os.path.dirname(name)  # noqa: PLW2901  # a walk up the same path
            if name in wanted:
                found[wanted[name]] = _who(pid)
    return found


def _pids() -> list[str]:
    try:
        return [name for name in os.listdir(_PROC) if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []


def _open_files(pid: str) -> set[str]:
    found = set()
    try:
        for fd in os.listdir(f"{_PROC}/{pid}/fd"):
            try:
                found.add(os.readlink(f"{_PROC}/{pid}/fd/{fd}"))
            except OSError:
                continue  # closed meanwhile
    except OSError:
        pass  # gone, or another user's
    return {name for name in found if name.startswith(os.sep)}


def _who(pid: str) -> str:
    try:
        with open(f"{_PROC}/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return f"{file.read().strip()} (pid {pid})"
    except OSError:
        return f"pid {pid}"
