"""How much of a quota is left, by the tools that ask the kernel or Lustre for it. The reading of their answers is pure."""

from __future__ import annotations

import os

from ckptrun import units
from ckptrun.model import Noun
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding
from ckptrun.platforms.slurm import ask as asking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckptrun.platforms.doctor.mounts import Mount

_NEARLY = 0.9


class Quota(Noun, frozen=True, kw_only=True):
    """What is used and what is allowed; a limit of 0 is none."""

    used: int  # bytes
    limit: int
    files: int
    file_limit: int


def ask(folder: str, mount: Mount, environ: Mapping[str, str]) -> list[Finding]:
    """The user's quota where `folder` lies; nothing where there is none, or nobody to ask."""
    if mount.kind == "lustre":
        command = ["lfs", "quota", "-q", "-u", str(os.getuid()), folder]
    else:
        command = ["quota", "--no-wrap", "--raw-grace", "--user", "--filesystem", mount.point]
    said = asking.ask(command, environ)  # quota ends with 1 where somebody is over it
    found = parse(said.out)
    return [] if found is None else findings(folder, found)


def parse(text: str) -> Quota | None:
    """From the last line of numbers: blocks of 1 KiB with quota, limit and grace, then files with the same. A star: it is exceeded."""
    for line in reversed(text.splitlines()):
        numbers = [word.rstrip("*") for word in line.split()[-8:]]  # a long name of the filesystem has a line of its own
        if len(numbers) == 8 and all(numbers[index].isdigit() for index in (0, 1, 2, 4, 5, 6)):
            used, soft, hard, _, files, file_soft, file_hard, _ = numbers
            return Quota(
                used=int(used) * 1024,
                limit=_lower(int(soft), int(hard)) * 1024,
                files=int(files),
                file_limit=_lower(int(file_soft), int(file_hard)),
            )
    return None


def findings(folder: str, quota: Quota) -> list[Finding]:
    """Pure."""
    found = []
    if quota.limit:
        text = f"{folder}: quota: {units.size(quota.used)} of {units.size(quota.limit)} are used"
        found.append(_judged(text, quota.used, quota.limit))
    if quota.file_limit:
        found.append(
            _judged(f"{folder}: quota: {quota.files} of {quota.file_limit} files are used", quota.files, quota.file_limit)
        )
    return found


def _judged(text: str, used: int, limit: int) -> Finding:
    if used >= limit:
        return Finding(level=PROBLEM, about="filesystem", text=text, todo="make room, or write elsewhere: --root")
    if used >= _NEARLY * limit:
        return Finding(level=NOTE, about="filesystem", text=text, todo="make room: a save needs twice its size for a moment")
    return Finding(level=OK, about="filesystem", text=text)


def _lower(soft: int, hard: int) -> int:
    """The limit that is met first; 0 is none."""
    return min((each for each in (soft, hard) if each), default=0)
