"""A `--signal` that Slurm would send before anybody can hear it. Pure."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.platforms.slurm.options import Option

LATE_SECONDS = 60  # `man sbatch`: due to its own rhythm, Slurm may send the signal up to 60 s earlier
_DEFAULT_LEAD = 60  # `--signal=USR1` without @
_MINUTES = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def warning(given: Sequence[Option]) -> str:
    """A sentence with a remedy, where the lead is as long as the time limit; "" where it is not, or cannot be known."""
    last = {option.name: option.value or "" for option in given}
    spec, limit = last.get("--signal", ""), seconds(last.get("--time", ""))
    if not spec or limit is None:
        return ""
    signal, _, after = spec.partition("@")
    if not (after.isdigit() or not after):
        return ""  # sbatch will say what is wrong with it
    lead = int(after) if after else _DEFAULT_LEAD
    if not lead or lead + LATE_SECONDS < limit:
        return ""
    longest = int(limit) - LATE_SECONDS - 1
    other = f", or give it a lead of {longest} s at most (--signal={signal}@{longest})" if longest > 0 else ""
    return (
        f"--signal={spec} with --time={last['--time']}: Slurm sends it as soon as the job starts, before anybody "
        f"catches it, and the job dies of it: leave --signal out (ckptrun asks Slurm when the job ends){other}"
    )


def seconds(limit: str) -> float | None:
    """Sbatch's time limit: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes[:seconds]."""
    match = _MINUTES.fullmatch(limit.strip())
    if match is None:
        return None
    days, *rest = match.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is not None:
        hours, minutes, secs = [*parts, 0, 0][:3]
        return int(days) * 86400 + hours * 3600 + minutes * 60 + secs
    if len(parts) == 3:
        return parts[0] * 3600 + parts[1] * 60 + parts[2]
    return parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)
