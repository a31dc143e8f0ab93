"""A batch script: which of Slurm's signals would reach ckptrun, and what would make it start or end wrongly. Pure.

With proctrack/cgroup, as most sites have it, Slurm signals the script's own process and the tasks of srun, and nothing below.
"""

from __future__ import annotations

import os
import re

from ckptrun.model import Noun
from ckptrun.platforms.doctor import directives, launchers, shell
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding, in_script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.platforms.doctor.shell import Statement
    from ckptrun.platforms.slurm.site import Site

_START = re.compile(r"\bckptrun(?:\s+-\S+)*\s+train\b")
_WRAPPED = "# This script was created by sbatch --wrap."  # sbatch's own words
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")


class Start(Noun, frozen=True, kw_only=True):
    """One place where the script starts `ckptrun train`."""

    statement: shell.Statement
    before: list[str]  # the words in front of ckptrun
    command: list[str]  # those behind `train`

    @property
    def below_srun(self) -> bool:
        """It is a task of a step."""
        return "srun" in directives.programs(self.before)


def findings(script: str, site: Site | None = None) -> list[Finding]:
    """What is right and wrong with a script's text; `site` is the cluster that it is meant for, if that is known."""
    if not script.startswith("#!"):
        return [in_script(PROBLEM, "its first line is no #! line: sbatch refuses it", "begin it with #!/bin/bash")]
    statements = shell.read(script)
    starts = starts_in(statements)
    options = directives.read(script)
    found = [
        *directives.findings(options, starts_below_srun(starts), traps_in(statements), site),
        *_second_authority(statements),
    ]
    if not starts:
        return [*_no_start(script, statements), *found]
    traps = traps_in(statements)
    wrapped, waits = _WRAPPED in script, _waits(statements)
    told = [each for start in starts for each in _start(start, traps, waits, wrapped=wrapped)]
    return [*told, *_several(starts, statements), *found, *_traps(traps)]


def starts_in(statements: Sequence[Statement]) -> list[Start]:
    """Where ckptrun is started."""
    found = []
    for statement in statements:
        words = statement.words
        for index, word in enumerate(words):
            rest = [each for each in words[index + 1 :] if not each.startswith("-")]
            named = os.path.basename(word) == "ckptrun" and (
                index == 0 or words[index - 1] != "-m" or _python(words[: index - 1])
            )
            if named and rest[:1] == ["train"]:
                behind = words[words.index("train", index) + 1 :]
                found.append(Start(statement=statement, before=words[:index], command=behind))
                break
    return found


def starts_below_srun(starts: Sequence[Start]) -> bool | None:
    """Whether ckptrun is srun's task; None = it is not started at all."""
    return any(start.below_srun for start in starts) if starts else None


def traps_in(statements: Sequence[Statement]) -> dict[str, str]:
    """Signal to the command that its trap runs; that of a function is looked into."""
    functions = " ".join(word for each in statements if "function" in each.inside for word in each.words)
    found: dict[str, str] = {}
    for words in (statement.words for statement in statements if statement.words[0] == "trap"):
        what, *signals = [word for word in words[1:] if word != "--"] or [""]
        for name in (signal.upper().removeprefix("SIG") for signal in signals):
            found[name] = f"{what} {functions}" if what.isidentifier() else what
    return {name: what for name, what in found.items() if what != "-"}


# --- one start -----------------------------------------------------------------------------------------------------------
def _start(start: Start, traps: Mapping[str, str], waits: int, *, wrapped: bool) -> list[Finding]:
    found = [
        _standing(start, traps, waits, wrapped=wrapped),
        *launchers.between(start.before),
        *launchers.below(start.command),
    ]
    line = f"line {start.statement.line}: "
    return [Finding(level=each.level, about=each.about, text=line + each.text, todo=each.todo) for each in found]


def _standing(start: Start, traps: Mapping[str, str], waits: int, *, wrapped: bool) -> Finding:
    programs, statement = directives.programs(start.before), start.statement
    replaces = not statement.piped and statement.after != "&" and "subshell" not in statement.inside
    if "exec" in programs and "srun" in programs and replaces:
        return in_script(
            PROBLEM,
            "`exec srun`: srun takes the shell's place, gets TERM, and then kills its tasks within milliseconds",
            "leave `exec` out and let the shell live through it: trap : TERM USR1 USR2",
        )
    if "srun" in programs:
        return _below_srun(start, traps)
    if statement.piped:
        return in_script(
            PROBLEM,
            "it is a part of a pipeline, which the shell runs below itself: Slurm's signals do not reach it, and its exit code is lost",
            "leave the pipe out (log.txt of the attempt has the output): exec ckptrun train ...",
        )
    if "exec" in programs and replaces:
        return in_script(
            OK, "ckptrun takes the script's place, so that Slurm's signals reach it (not the first one of a GraceTime)"
        )
    if statement.after == "&" and re.search(r"\bkill\b", traps.get("TERM", "")):
        return _forwarded(waits)
    return in_script(
        PROBLEM,
        "ckptrun is a child of the shell: at scancel, requeue and preemption Slurm signals the shell only, then kills everything",
        "write sbatch --wrap 'exec ckptrun train ...', or `ckptrun submit`"
        if wrapped
        else "write `exec ckptrun train ...`, or `srun ckptrun train ...` after `trap : TERM USR1 USR2`",
    )


def _forwarded(waits: int) -> Finding:
    if waits > 1:
        return in_script(OK, "the shell traps TERM and passes it on")
    return in_script(
        PROBLEM,
        "the shell traps TERM and passes it on, but then its `wait` returns and the script ends, while ckptrun saves",
        "wait again after the trap: while kill -0 $pid 2>/dev/null; do wait $pid; done",
    )


def _waits(statements: Sequence[Statement]) -> int:
    """How often it waits; in a loop, as often as needed."""
    waits = [statement for statement in statements if statement.words[0] == "wait"]
    return len(waits) + sum("loop" in statement.inside for statement in waits)


def _below_srun(start: Start, traps: Mapping[str, str]) -> Finding:
    if "TERM" not in traps:
        return in_script(
            PROBLEM,
            "the shell dies of TERM, and Slurm then kills srun's tasks at once, while they save",
            "let it live through it: trap : TERM USR1 USR2",
        )
    if start.statement.piped:
        return in_script(
            NOTE,
            "Slurm signals the task that srun started, but the exit code is that of the pipeline's last command",
            "leave the pipe out: log.txt of the attempt has the output",
        )
    return in_script(OK, "Slurm signals the task that srun started, and the shell lives through it")


# --- the script as a whole -------------------------------------------------------------------------------------------------
def _no_start(script: str, statements: Sequence[Statement]) -> list[Finding]:
    if any(os.path.basename(statement.words[0]) == "ckptrun" and "submit" in statement.words for statement in statements):
        return [
            in_script(
                NOTE,
                "it submits another job and trains nothing itself",
                "examine that one: ckptrun submit --print ... | ckptrun doctor /dev/stdin",
            )
        ]
    inner = [statement for statement in statements if any(_START.search(word) for word in statement.words)]
    below = next(
        (statement for statement in inner if os.path.basename(statement.words[0]) in (*_SHELLS, "srun", "exec")), None
    )
    if below is not None:
        return [_in_a_shell(below)]
    if inner or _START.search("\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))):
        return [
            in_script(
                NOTE,
                "ckptrun stands in a variable or in quotes: how it is started cannot be read",
                "write the command out where it is started",
            )
        ]
    found = [in_script(PROBLEM, "it does not start ckptrun", "write `exec ckptrun train ...` where it starts the training")]
    return [
        *found,
        *(each for statement in statements for each in launchers.between(statement.words) if "wandb" in each.text),
    ]


def _in_a_shell(statement: Statement) -> Finding:
    text = next(word for word in statement.words if _START.search(word))
    inner = shell.read(text)
    last = starts_in(inner)[-1:]
    if len(inner) == 1 or (last and "exec" in last[0].before):
        return in_script(
            NOTE,
            f"line {statement.line}: the shell of `-c` makes way for ckptrun, if nothing else is added to it",
            "leave the shell out",
        )
    return in_script(
        PROBLEM,
        f"line {statement.line}: ckptrun is a child of the shell of `-c`, which dies of Slurm's signals, and ckptrun is then killed",
        "leave the shell out, or write `exec` before ckptrun in it",
    )


def _several(starts: Sequence[Start], statements: Sequence[Statement]) -> list[Finding]:
    found = []
    if any("loop" in start.statement.inside for start in starts):
        found.append(
            in_script(
                NOTE, "it starts ckptrun in a loop, but ckptrun brings a stopped job back itself", "leave the loop out"
            )
        )
    apart = [start for start in starts if not {"if", "case", "function"} & set(start.statement.inside)]
    if len(apart) < 2:
        return found
    if any("exec" in start.before and "srun" not in start.before for start in apart[:-1]):
        found.append(
            in_script(
                PROBLEM, "what comes after `exec ckptrun train ...` is never reached", "submit one job for each training"
            )
        )
    elif any(start.statement.after == "&" for start in apart):
        found.append(in_script(NOTE, "trainings that run at once in one job end together: the first that is stopped requeues the job", "submit one job for each, or an array"))  # fmt: skip
    elif not any(statement.words[:2] == ["set", "-e"] for statement in statements) and any(
        start.statement.after != "||" for start in apart[:-1]
    ):
        found.append(in_script(NOTE, "when a training is stopped, the script goes on to the next", "end each with `|| exit $?`, or submit one job for each"))  # fmt: skip
    return found


def _second_authority(statements: Sequence[Statement]) -> list[Finding]:
    asks = re.compile(r"\bscontrol\s+requeue\b|\bsbatch\b.*(\$0|\$\{?BASH_SOURCE)")
    if not any(asks.search(" ".join(statement.words)) for statement in statements):
        return []
    return [
        in_script(
            NOTE,
            "it requeues or submits itself again, and so does ckptrun",
            "leave that to ckptrun, where it finds scontrol",
        )
    ]


def _traps(traps: Mapping[str, str]) -> list[Finding]:
    if "CONT" not in traps:
        return []
    return [
        in_script(
            NOTE,
            "it traps CONT, which Slurm sends beside every TERM: bash may lose one of the two",
            "leave CONT out of the trap",
        )
    ]


def _python(words: Sequence[str]) -> bool:
    return bool(words) and os.path.basename(words[-1]).startswith(("python", "pypy"))
