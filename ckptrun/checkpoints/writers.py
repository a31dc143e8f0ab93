"""Who is writing to a file: a look at the open files of all processes that we may look at, on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_PROC = "/proc"


def writing(paths: Collection[str]) -> dict[str, str]:
    """Of these files those that are open for writing, each with who has it: `python3 (pid 7)`.

    Processes of other users and other machines are not seen.
    """
    wanted = {os.path.realpath(path): path for path in paths}
    found: dict[str, str] = {}
    for pid in _pids() if wanted else ():
        for fd in _listed(f"{_PROC}/{pid}/fd"):
            try:
                name = os.readlink(f"{_PROC}/{pid}/fd/{fd}")
                if name in wanted and _writes(pid, fd):
                    found[wanted[name]] = _who(pid)
            except OSError:
                continue  # closed meanwhile
    return found


def _pids() -> list[str]:
    return [name for name in _listed(_PROC) if name.isdigit() and int(name) != os.getpid()]


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []  # gone, or another user's


def _writes(pid: str, fd: str) -> bool:
    """By the flags that it was opened with (proc(5), fdinfo: octal)."""
    with open(f"{_PROC}/{pid}/fdinfo/{fd}", encoding="ascii") as file:
        flags = next((line for line in file if line.startswith("flags:")), "flags: 0")
    return bool(int(flags.split()[1], 8) & os.O_ACCMODE)


def _who(pid: str) -> str:
    try:
        with open(f"{_PROC}/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return f"{file.read().strip()} (pid {pid})"
    except OSError:
        return f"pid {pid}"
