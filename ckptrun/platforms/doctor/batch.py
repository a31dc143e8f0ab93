"""A batch script: which of Slurm's signals would reach ckptrun, read from the text alone. Pure.

With proctrack/cgroup, as most sites have it, Slurm signals the script's own process and the tasks of srun, and nothing below.
"""

from __future__ import annotations

import re
import shlex

from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding

_START = re.compile(r"\bckptrun(?:\s+-\S+)*\s+train\b|-m\s+ckptrun\s+train\b")
_TRAP = re.compile(r"^\s*trap\s+(?P<what>'[^']*'|\"[^\"]*\"|\S+)\s+(?P<signals>.+)$")
_FORWARDS = re.compile(r"\bkill\b")
_SHORTEST_LEAD = 60  # seconds: Slurm looks every 30 s and a save takes its time


def findings(script: str) -> list[Finding]:
    """What is right and wrong with a script's text."""
    if not script.startswith("#!"):
        return [_problem("its first line is no #! line: sbatch refuses it", "begin it with #!/bin/bash")]
    lines = [line for line in script.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    starts = [line for line in lines if _START.search(line)]
    if not starts:
        return [_problem("it does not start ckptrun", "write `srun ckptrun train ...` where it starts the training")]
    traps = _trapped(lines)
    found = [finding for line in starts for finding in _start(line, traps)]
    return [*found, *_directives(script, starts), *_traps(traps)]


def _start(line: str, traps: dict[str, str]) -> list[Finding]:
    before = line[: _START.search(line).start()].split()  # type: ignore[union-attr]  # it was found a moment ago
    found = []
    if "exec" in before and "srun" in before:
        found.append(
            _problem(
                "`exec srun`: srun takes the shell's place, gets TERM, and then kills its tasks within milliseconds",
                "leave `exec` out and let the shell live through it: trap : TERM USR1 USR2",
            )
        )
    elif "srun" in before:
        found.append(_below_srun(traps))
    elif "exec" in before:
        found.append(
            _ok("ckptrun takes the script's place, so that Slurm's signals reach it (not the first one of a GraceTime)")
        )
    elif any(_FORWARDS.search(what) for name, what in traps.items() if name == "TERM") and line.rstrip().endswith("&"):
        found.append(_ok("the shell traps TERM and passes it on"))
    else:
        found.append(
            _problem(
                "ckptrun is a child of the shell: at scancel, requeue and preemption Slurm signals the shell only, then kills everything",
                "write `exec ckptrun train ...`, or `srun ckptrun train ...` after `trap : TERM USR1 USR2`",
            )
        )
    if "conda" in line.split() and "run" in line.split():
        found.append(
            _problem(
                "`conda run` passes no signals on",
                "activate the environment instead: source activate NAME; ckptrun train ...",
            )
        )
    return found


def _below_srun(traps: dict[str, str]) -> Finding:
    if "TERM" in traps:
        return _ok("Slurm signals the task that srun started, and the shell lives through it")
    return _problem(
        "the shell dies of TERM, and Slurm then kills srun's tasks at once, while they save",
        "let it live through it: trap : TERM USR1 USR2",
    )


def _directives(script: str, starts: list[str]) -> list[Finding]:
    options = dict(_options(script))
    found = []
    if options.get("--open-mode") != "append":
        found.append(_note("its output file is emptied each time the job starts again", "add #SBATCH --open-mode=append"))
    if "--no-requeue" in options:
        found.append(
            _note("the job may not be requeued: it ends with 75 when it is stopped", "add #SBATCH --requeue instead")
        )
    if "--signal" in options:
        found += _signal(options["--signal"], below_srun=any("srun" in line.split() for line in starts))
    return found


def _signal(value: str, *, below_srun: bool) -> list[Finding]:
    whom, colon, _ = value.upper().partition(":")
    to_shell = bool(colon) and "B" in whom
    found = []
    if to_shell and below_srun:
        found.append(
            _problem(
                f"--signal={value} reaches the shell only, and ckptrun is srun's task",
                "leave it out: ckptrun asks Slurm when the job ends",
            )
        )
    elif not to_shell and not below_srun:
        found.append(
            _note(
                f"--signal={value} reaches srun's tasks only, and ckptrun is none",
                "leave it out: ckptrun asks Slurm when the job ends",
            )
        )
    lead = value.partition("@")[2]
    if lead.isdigit() and int(lead) < _SHORTEST_LEAD:
        found.append(
            _note(
                f"--signal={value} comes {lead} to {int(lead) + 30} s before the end",
                "leave it out: ckptrun asks Slurm when the job ends",
            )
        )
    return found


def _traps(traps: dict[str, str]) -> list[Finding]:
    if "CONT" not in traps:
        return []
    return [
        _note(
            "it traps CONT, which Slurm sends beside every TERM: bash may lose one of the two", "leave CONT out of the trap"
        )
    ]


def _trapped(lines: list[str]) -> dict[str, str]:
    """Signal to the command that its trap runs."""
    found = {}
    for line in lines:
        trap = _TRAP.match(line)
        for name in trap["signals"].split() if trap else ():
            found[name.upper().removeprefix("SIG").rstrip(";")] = trap["what"]  # type: ignore[index]  # there is one in this loop
    return found


def _options(script: str) -> list[tuple[str, str]]:
    """The #SBATCH options: long name and value."""
    found = []
    for line in script.splitlines():
        if not line.startswith("#SBATCH"):
            continue
        try:
            words = shlex.split(line[len("#SBATCH") :], comments=True)
        except ValueError:  # sbatch will say what is wrong with it
            continue
        for index, word in enumerate(words):
            name, equals, value = word.partition("=")
            following = words[index + 1] if index + 1 < len(words) and not words[index + 1].startswith("-") else ""
            found.append((name, value if equals else following))
    return found


def _ok(text: str) -> Finding:
    return Finding(level=OK, about="script", text=text)


def _note(text: str, todo: str) -> Finding:
    return Finding(level=NOTE, about="script", text=text, todo=todo)


def _problem(text: str, todo: str) -> Finding:
    return Finding(level=PROBLEM, about="script", text=text, todo=todo)
