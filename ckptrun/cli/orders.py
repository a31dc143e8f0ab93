"""What `ckptrun submit` hands in: the script, the runs that it starts, and what is wrong with that, said before anything is queued."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from ckptrun import errors, names
from ckptrun.cli import command as commands
from ckptrun.cli import words
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from ckptrun.config import Config
    from ckptrun.platforms.slurm import options
    from ckptrun.platforms.slurm.script import Job
    from ckptrun.runs.paths import RunPaths

OWN = ("--print", "--gpu", "--sbatch", "--json", "--dry-run")
_NOT_HANDED_ON = ("--run", "--root", "--sweep", *OWN)
_LONGEST_SWEEP = 100_000  # bytes; the kernel takes 128 KiB for one argument


class Order(Noun, frozen=True, kw_only=True):
    """What is handed in: the script, where it is kept, and which runs it starts (by their task, "" without an array)."""

    name: str  # of the run, with `{array_task}` in it where there are several
    paths: RunPaths
    job: Job
    array: str
    runs: dict[str, RunPaths]
    command: list[str]


def make(ctx: click.Context, found: options.Split, settings: Config, environ: dict[str, str], cwd: str) -> Order:
    """The order that a command line and the settings make.

    Raises:
        UsageError: there is no such script, or a task is beyond the sweep.
        ConfigError: `slurm:` in the file is wrong.
    """
    from ckptrun.platforms.slurm import script  # noqa: PLC0415  # for this verb only
    from ckptrun.platforms.slurm.options import Option as Sbatch  # noqa: PLC0415  # as above
    from ckptrun.runs import jobs, paths  # noqa: PLC0415  # as above

    command = _command(found, settings.chdir or cwd, environ)
    sbatch = _sbatch(ctx, found, settings, cwd)
    if settings.sweep and not last(sbatch, "--array"):
        sbatch.append(Sbatch(name="--array", value=f"0-{len(settings.sweep.points) - 1}"))
    array = last(sbatch, "--array")
    name = settings.run or paths.derive_name(command, cwd)
    if settings.sweep or (array and not settings.run):
        name = paths.task_name(name)
    where = paths.run_paths(settings.root, name.replace(names.ARRAY_TASK, "array"))
    job = script.Job(
        ckptrun=_ckptrun(),
        arguments=["--run", name, "--root", settings.root, *_handed_on(found, settings), *found.rest],
        launcher=script.launcher(command),
        sbatch=sbatch,
        name=where.name,
        output=last(sbatch, "--output") or _output(jobs.folder(where), _starts_in(sbatch, cwd), _output_name(array)),
    )
    return Order(name=name, paths=where, job=job, array=array, runs=_runs(settings, name, array), command=command)


def check(order: Order, settings: Config) -> None:
    """Say before anything is queued what a start would refuse, and what would not be what somebody meant.

    Raises:
        UsageError: a run was started with another command, or other values.
    """
    from ckptrun.platforms.slurm import early  # noqa: PLC0415  # for this verb only
    from ckptrun.policy import start  # noqa: PLC0415  # as above
    from ckptrun.runs import records  # noqa: PLC0415  # as above

    for task, one in order.runs.items():
        recorded = records.read_run(one)
        if recorded is not None:
            before = start.Recorded(command=recorded.command, sweep=recorded.sweep)
            asked = start.Asked(
                run=one.name,
                command=order.command,
                sweep=values(settings, task),
                changed=settings.changed,
                fresh=settings.fresh,
            )
            start.check_same(asked, before)
    if warning := early.warning(order.job.sbatch):
        words.say(f"warning: {warning}")
    arguments = "\0".join([*order.command, *settings.on_resume])
    unused = [name for name in values(settings, "0") if f"{{{name}}}" not in arguments]
    if unused:
        listed = " and ".join(f"{{{name}}}" for name in unused)
        words.say(
            f"{listed} of the sweep {'stands' if len(unused) == 1 else 'stand'} nowhere in the command: the script has to read {names.ENV_SWEEP}"
        )


def values(settings: Config, task: str) -> dict[str, Any]:
    """The values that a sweep has for a task; none without a sweep."""
    return settings.sweep.points[int(task)].values if settings.sweep and task else {}


def last(sbatch: Sequence[options.Option], name: str) -> str:
    """The value of an option of sbatch, as it was given last; "" if it was not."""
    return next((option.value or "" for option in reversed(sbatch) if option.name == name), "")


def _output_name(array: str) -> str:
    return "%A_%a.out" if array else "%j.out"


def _starts_in(sbatch: Sequence[options.Option], cwd: str) -> str:
    return "" if last(sbatch, "--chdir") else cwd


def _output(folder: str, cwd: str, name: str) -> str:
    """Where the job's output goes, as sbatch reads it; `cwd` is where the job starts, "" = elsewhere.

    Slurm fills in `%j` wherever it stands, also in the directory that it puts before a relative path, and `%%` is a plain %.
    A line of a script holds no line break, but the directory before a relative path may. With a backslash anywhere Slurm fills
    in nothing (`man sbatch`, filename pattern; seen with 22.05).

    Raises:
        UsageError: there is no way to write this.
    """
    if "\\" in folder:
        raise errors.UsageError(
            f"Slurm cannot write a job's output below a directory with a backslash in its name: {folder!r}",
            "give --output=FILE elsewhere, or another --root",
        )
    below = os.path.relpath(folder, cwd) if cwd else ".."
    if "\n" in folder and "%" not in cwd and not below.startswith(".."):
        folder = below
    return os.path.join(folder.replace("%", "%%"), name)


def _command(found: options.Split, cwd: str, environ: dict[str, str]) -> list[str]:
    """What is to run; `-q low` is explained: -q is train's."""
    try:
        return commands.resolve(found.rest, literal=found.literal, cwd=cwd, search=environ.get("PATH", os.defpath))
    except errors.UsageError as error:
        if found.own[-1:] != [["-q"]] or found.literal:
            raise
        raise errors.UsageError(error.message, f"-q is ckptrun's own (--quiet); sbatch's is --qos={found.rest[0]}") from None


def _handed_on(found: options.Split, settings: Config) -> list[str]:
    """Train's options as they were typed; a sweep as it is now: the file may be another one when a task starts, days later."""
    typed = [word for item in found.own if item[0].split("=", 1)[0] not in _NOT_HANDED_ON for word in item]
    if settings.sweep and len(settings.sweep.text.encode(errors="surrogateescape")) > _LONGEST_SWEEP:
        raise errors.UsageError(
            f"the sweep ({settings.sources['sweep']}) is longer than one argument can be",
            "write it as a grid, or submit it in parts",
        )
    sweep = ["--sweep", settings.sweep.text] if settings.sweep else []
    return [*typed, *sweep, *(["--"] if found.literal else [])]


def _runs(settings: Config, name: str, array: str) -> dict[str, RunPaths]:
    """The runs by task.

    Raises:
        UsageError: a task is beyond the sweep.
    """
    from ckptrun.platforms.slurm import array as arrays  # noqa: PLC0415  # for this verb only
    from ckptrun.runs import paths  # noqa: PLC0415  # as above

    if not array or names.ARRAY_TASK not in name:
        return {"": paths.run_paths(settings.root, name)}
    tasks = arrays.numbers(array) or []  # what is no array at all is refused by sbatch, in its own words
    count = len(settings.sweep.points) if settings.sweep else 0
    if settings.sweep and tasks and tasks[-1] >= count:
        raise errors.UsageError(
            f"--array={array}: task {tasks[-1]} is beyond the sweep of {count} ({settings.sources['sweep']})",
            f"its tasks have the numbers 0 to {count - 1}",
        )
    return {str(task): paths.run_paths(settings.root, name.replace(names.ARRAY_TASK, str(task))) for task in tasks}


def _sbatch(ctx: click.Context, found: options.Split, settings: Config, cwd: str) -> list[options.Option]:
    """From `slurm:` in the file, then --sbatch, then the line: the later wins."""
    from ckptrun.config import sections  # noqa: PLC0415  # as above
    from ckptrun.platforms.slurm.options import Option as Sbatch  # noqa: PLC0415  # as above
    from ckptrun.platforms.slurm.options import parse  # noqa: PLC0415  # as above

    written = [option for pair in sections.slurm(settings.config, cwd) for option in _from_file(*pair)]
    try:
        spelled = [option for text in ctx.params["sbatch"] for option in parse(shlex.split(text))]
    except ValueError as error:
        raise errors.UsageError(
            f"--sbatch: {error}", "write it as a shell would read it: --sbatch '--comment \"a b\"'"
        ) from None
    gpus = [Sbatch(name="--gpus", value=ctx.params["gpu"])] if ctx.params["gpu"] else []
    return [*written, *spelled, *gpus, *found.sbatch]


def _from_file(name: str, text: str) -> list[options.Option]:
    """One line of `slurm:`; `yes` and `no` stand for an option without a value, and for its absence."""
    from ckptrun.platforms.slurm import options  # noqa: PLC0415  # for this verb only

    options.refuse_ours(name)
    word = text.lower()
    if name in options.FLAGS and word in ("", "yes", "true", "on"):
        return [options.Option(name=name)]
    if name in options.FLAGS and word in ("no", "false", "off"):
        return [options.Option(name="--no-requeue")] if name == "--requeue" else []
    return options.parse([f"{name}={text}"])


def _ckptrun() -> list[str]:
    """How this very ckptrun is started on another machine of the cluster."""
    program = os.path.abspath(sys.argv[0])
    installed = os.path.basename(program) == "ckptrun" and os.access(program, os.X_OK)
    return [program] if installed else [sys.executable, "-m", "ckptrun"]
