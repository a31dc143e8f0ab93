"""Who has a file open for writing: a look at the open files of all processes that we may look at, on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROC = "/proc"
_MODE = 0o3  # O_RDONLY, O_WRONLY, O_RDWR


def writers(paths: Iterable[str], proc: str = _PROC) -> str:
    """A process that has one of these files open for writing, as `python3 (pid 7)`; "" if none is seen.

    Processes of other users and other machines are not seen; nothing is on systems without /proc.
    """
    wanted = {os.path.realpath(path) for path in paths}
    for pid in _pids(proc):
        for number, name in _open_files(proc, pid):
            if name in wanted and _writes(proc, pid, number):
                return _who(proc, pid)
    return ""


def _pids(proc: str) -> list[str]:
    try:
        return [name for name in os.listdir(proc) if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []


def _open_files(proc: str, pid: str) -> Iterator[tuple[str, str]]:
    try:
        numbers = os.listdir(f"{proc}/{pid}/fd")
    except OSError:
        return  # gone, or another user's
    for number in numbers:
        try:
            yield number, os.readlink(f"{proc}/{pid}/fd/{number}")
        except OSError:
            continue  # closed meanwhile


def _writes(proc: str, pid: str, number: str) -> bool:
    try:
        with open(f"{proc}/{pid}/fdinfo/{number}", encoding="ascii") as file:
            flags = next(line.split()[1] for line in file if line.startswith("flags:"))
    except (OSError, StopIteration):
        return False
    return int(flags, 8) & _MODE != 0


def _who(proc: str, pid: str) -> str:
    try:
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return f"{file.read().strip()} (pid {pid})"
    except OSError:
        return f"pid {pid}"
