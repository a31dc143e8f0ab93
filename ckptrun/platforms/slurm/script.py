"""The batch script of `ckptrun submit`. Pure: a job in, text out."""

from __future__ import annotations

import re
import shlex

from ckptrun.model import Noun
from ckptrun.platforms.slurm import options
from ckptrun.platforms.slurm.options import Option

_LAUNCHERS = ("srun", "mpirun", "mpiexec", "prun")
_TASKS = """\
# Before a time limit, at a preemption, at scancel: Slurm signals this shell and each task that srun started. The tasks act;
# the shell only has to outlive it, or everything would be killed at once.
trap : TERM USR1 USR2
"""
_EARLY = """\
# A warning that comes before ckptrun catches it would kill it: until then it is ignored (the time limit is known anyway).
"""
_BATCH = """\
# ckptrun takes this shell's place, so that Slurm's signals reach it. At scancel, requeue and preemption Slurm signals the tasks
# that the command starts as well: those that do not catch TERM die of it, and what was saved before counts. A time limit is known
# before, and the tasks are asked to save.
"""


class Job(Noun, frozen=True, kw_only=True):
    """What is to be submitted."""

    ckptrun: list[str]  # how ckptrun itself is started
    arguments: list[str]  # of `ckptrun train`, the command included
    launcher: str = ""  # the command's first word, if it is one that starts tasks by itself
    sbatch: list[Option] = []  # as given, from the file and the command line; the last of equal ones counts
    name: str
    output: str


def render(job: Job) -> str:
    """The script, ending in a line break.

    Raises:
        UsageError: an option that a script cannot hold.
    """
    lines = ["#!/bin/bash", "# Made by `ckptrun submit`."]
    lines += [options.directive(option) for option in directives(job)]
    command = shlex.join([*job.ckptrun, "train", *job.arguments])
    if job.launcher:
        return "\n".join([*lines, "", f"{_BATCH}exec {command}", ""])
    why, shield = _shield(job.sbatch)
    return "\n".join([*lines, "", f"{_TASKS}{why}{_srun(directives(job))} {shield}{command}", "exit $?", ""])


_COUNTS_TASKS = ("--ntasks", "--ntasks-per-node", "--ntasks-per-gpu", "--ntasks-per-core", "--ntasks-per-socket")


def _srun(given: list[Option]) -> str:
    """How srun starts ckptrun: once for each task that was asked for, else once on each node.

    srun may give a task one core only where it is not told how many: all that the job has on the node, unless the user said so.
    """
    options = {option.name: option.value or "" for option in given}
    if any(name in options for name in _COUNTS_TASKS):
        cores = ' --cpus-per-task="$SLURM_CPUS_PER_TASK"' if "--cpus-per-task" in options else ""
        return f"srun{cores}"  # the job's counts are the step's
    cores = '--cpus-per-task="$SLURM_CPUS_ON_NODE"'
    if options.get("--nodes", "1") in ("1", "1-1"):
        return f"srun --nodes=1 --ntasks=1 {cores}"
    return f"srun --ntasks-per-node=1 {cores}"


def _shield(given: list[Option]) -> tuple[str, str]:
    """A comment and words before ckptrun, where --signal may come before ckptrun's handlers are there; else nothing."""
    value = next((option.value or "" for option in latest(given) if option.name == "--signal"), "")
    found = re.fullmatch(r"(?:R:)?(\w+)(?:@\d+)?", value)
    return (_EARLY, f'sh -c \'trap "" {found[1]}; exec "$@"\' sh ') if found else ("", "")


def launcher(command: list[str]) -> str:
    """The command's first word if it starts tasks on all nodes itself, else ""."""
    first = command[0].rsplit("/", 1)[-1] if command else ""
    return first if first in _LAUNCHERS else ""


def directives(job: Job) -> list[Option]:
    """All options of the script: what ckptrun chooses where nobody chose, then the user's."""
    given = {option.name for option in job.sbatch}
    chosen = [
        Option(name="--job-name", value=job.name),
        Option(name="--output", value=job.output),
        Option(name="--open-mode", value="append"),  # or a requeue empties it
    ]
    if not given & {"--requeue", "--no-requeue"}:
        chosen.append(Option(name="--requeue"))
    return [option for option in chosen if option.name not in given] + latest(job.sbatch)


def latest(given: list[Option]) -> list[Option]:
    """Each option once, as it was given last, in the order of the first mention."""
    last = {option.name: option for option in given}
    return list(last.values())
