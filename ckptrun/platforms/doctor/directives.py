"""The #SBATCH lines of a batch script: what of them decides how the job ends and comes back. Pure."""

from __future__ import annotations

import os
import re
import shlex

from ckptrun import units
from ckptrun.platforms.doctor.finding import NOTE, PROBLEM, Finding, in_script
from ckptrun.platforms.slurm import options as spelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.platforms.slurm.site import Site

Options = dict[str, str]  # by their long names, without those that take no value
_SHORTEST_LEAD = 60  # seconds: Slurm looks every 30 s and a save takes its time
_EARLY = 60  # seconds by which Slurm may send a signal early (`man sbatch`)
_LEAVE_OUT = "leave it out: ckptrun asks Slurm when the job ends"
_LATE = "a #SBATCH line below"  # the key of what sbatch does not read
_HETEROGENEOUS = "hetjob"
_SRUN_FLAGS = frozenset({"--kill-on-bad-exit", "-K", "--unbuffered", "-u", "--overlap", "--exact", "--label", "-l", "--pty"})


def read(script: str) -> Options:
    """The options of the #SBATCH lines before the first command, as sbatch reads them."""
    found: Options = {}
    commands = False
    for line in script.splitlines():
        commands = commands or bool(line.strip() and not line.lstrip().startswith("#"))
        if not line.startswith("#SBATCH"):
            continue
        words = _words(line[len("#SBATCH") :])
        if commands:
            found[_LATE] = line
        elif words[:1] in (["hetjob"], ["packjob"]):
            found[_HETEROGENEOUS] = line
        else:
            found.update(parse(words))
    return found


def parse(words: Sequence[str]) -> Options:
    """Options from the front of some words, as sbatch and srun spell them."""
    found: Options = {}
    index = 0
    while index < len(words) and words[index].startswith("-"):
        name, equals, value = words[index].partition("=")
        if not name.startswith("--"):
            name, equals, value = words[index][:2], words[index][2:], words[index][2:]
        flag = name in spelled.FLAGS or name in _SRUN_FLAGS
        name = {"-K": "--kill-on-bad-exit", "-W": "--wait"}.get(name) or spelled.SHORT.get(name, name)
        if not equals and not flag and index + 1 < len(words):
            index += 1
            value = words[index]
        found[name] = value
        index += 1
    return found


def programs(words: Sequence[str]) -> list[str]:
    """Words as names of programs, without their directories."""
    return [os.path.basename(word) for word in words]


def findings(options: Options, below_srun: bool | None, traps: Mapping[str, str], site: Site | None) -> list[Finding]:  # noqa: FBT001  # a plain value
    """What is wrong with them; `below_srun` says whether ckptrun is srun's task, None if it is not started at all."""
    found = []
    if _LATE in options:
        found.append(
            in_script(
                NOTE, f"sbatch does not read #SBATCH lines after the first command: {options[_LATE]}", "move them to the top"
            )
        )
    if _HETEROGENEOUS in options:
        found.append(
            in_script(
                PROBLEM,
                "the job is heterogeneous: its parts are jobs of their own and cannot be requeued together",
                "submit one job with one kind of node, or one run for each part",
            )
        )
    appends = site is not None and site.appends
    if options.get("--open-mode", "append" if appends else "") not in ("append", "a"):
        found.append(
            in_script(NOTE, "its output file is emptied each time the job starts again", "add #SBATCH --open-mode=append")
        )
    if "--no-requeue" in options:
        found.append(
            in_script(
                NOTE, "the job may not be requeued: it ends with 75 when it is stopped", "add #SBATCH --requeue instead"
            )
        )
    elif site is not None and not site.job_requeue and "--requeue" not in options:
        found.append(
            in_script(NOTE, "here a job may be requeued only if it says so (JobRequeue=0)", "add #SBATCH --requeue")
        )
    if "--signal" in options and below_srun is not None:
        found += _signal(options["--signal"], seconds(options.get("--time", "")), traps, below_srun=below_srun)
    return found


def _signal(value: str, limit: float | None, traps: Mapping[str, str], *, below_srun: bool) -> list[Finding]:
    whom, colon, rest = value.upper().rpartition(":")
    name, _, after = rest.partition("@")
    lead = int(after) if after.isdigit() else _EARLY  # what sbatch takes where no time is given
    to_shell = bool(colon) and "B" in whom
    if to_shell and below_srun:
        return [in_script(PROBLEM, f"--signal={value} reaches the shell only, and ckptrun is srun's task", _LEAVE_OUT)]
    if not to_shell and not below_srun:
        return [in_script(NOTE, f"--signal={value} reaches srun's tasks only, and ckptrun is none", _LEAVE_OUT)]
    if limit is not None and lead + _EARLY >= limit and name.removeprefix("SIG") not in traps:
        within = f"{units.duration(lead)} before the end of {units.duration(limit)}"
        return [in_script(PROBLEM, f"--signal={value}, {within}: Slurm sends it at the start, before anybody catches it, and the job dies of it", _LEAVE_OUT)]  # fmt: skip
    if lead < _SHORTEST_LEAD:
        return [in_script(NOTE, f"--signal={value} comes {lead} to {lead + 30} s before the end", _LEAVE_OUT)]
    return []


def seconds(text: str) -> float | None:
    """A time limit as sbatch spells it: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS; None if it is none."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        return None
    days, *parts = (None if part is None else int(part) for part in match.groups())
    first, second, third = (part or 0 for part in parts)
    if days is not None:
        return days * 86400.0 + first * 3600 + second * 60 + third
    return first * 3600.0 + second * 60 + third if match[4] else first * 60.0 + second


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # sbatch will say what is wrong with it
        return []
