"""Who has files open: a look at the open files of all processes that we may look at, on this machine.

Processes of other users and other machines are not seen; nothing is on systems without /proc.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROC = "/proc"


def open_below(paths: Iterable[str]) -> dict[str, str]:
    """Of these files and directories, those that are open, or something below them, each with who has it: `python3 (pid 7)`."""
    wanted = {os.path.realpath(path): path for path in paths}
    found: dict[str, str] = {}
    for pid in _pids() if wanted else ():
        for name in {name for _, name in _open_files(pid)}:
            while name and name != os.sep and name not in wanted:
                name = os.path.dirname(name)  # noqa: PLW2901  # a walk up the same path
            if name in wanted:
                found[wanted[name]] = _who(pid)
    return found


def writing(paths: Iterable[str]) -> dict[str, str]:
    """Of these files, those that are open for writing, each with who has it."""
    wanted = {os.path.realpath(path): path for path in paths}
    found: dict[str, str] = {}
    for pid in _pids() if wanted else ():
        for number, name in _open_files(pid):
            if name in wanted and _writes(pid, number):
                found[wanted[name]] = _who(pid)
    return found


def writer(paths: Iterable[str]) -> str:
    """A process that is writing to one of these files; "" if none is seen."""
    return next(iter(writing(paths).values()), "")


def _pids() -> list[str]:
    return [name for name in _listed(_PROC) if name.isdigit() and int(name) != os.getpid()]


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []  # gone, or another user's


def _open_files(pid: str) -> Iterator[tuple[str, str]]:
    """The number and the path of each."""
    for number in _listed(f"{_PROC}/{pid}/fd"):
        try:
            name = os.readlink(f"{_PROC}/{pid}/fd/{number}")
        except OSError:
            continue  # closed meanwhile
        if name.startswith(os.sep):
            yield number, name


def _writes(pid: str, number: str) -> bool:
    """By the flags that it was opened with (proc(5), fdinfo: octal)."""
    try:
        with open(f"{_PROC}/{pid}/fdinfo/{number}", encoding="ascii") as file:
            flags = next((line for line in file if line.startswith("flags:")), "flags: 0")
    except OSError:
        return False  # closed meanwhile
    return bool(int(flags.split()[1], 8) & os.O_ACCMODE)


def _who(pid: str) -> str:
    try:
        with open(f"{_PROC}/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return f"{file.read().strip()} (pid {pid})"
    except OSError:
        return f"pid {pid}"
