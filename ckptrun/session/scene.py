"""What stays the same for all attempts of one start: who asks, for which run, where, and whom to tell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckptrun import errors, names, platforms
from ckptrun.model import Identity, JobIdentity, Noun
from ckptrun.report import text
from ckptrun.runs import paths as run_paths
from ckptrun.session import task as tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ckptrun.config import Config
    from ckptrun.layouts.catalogue import Layout
    from ckptrun.model import Checkpoint
    from ckptrun.runs.paths import RunPaths
    from ckptrun.session.task import Task


class Scene(Noun, frozen=True, kw_only=True):
    """One start of `ckptrun train`. `command` is the command as it was typed, its templates unexpanded."""

    config: Config
    command: list[str]
    environ: dict[str, str]
    caller: str  # the caller's directory, absolute
    cwd: str  # the child's
    place: Any  # platforms.base.Platform
    me: Identity
    job: JobIdentity
    task: Task  # of an array
    group: Any = None  # model.Group where the command runs as several tasks, else None
    paths: RunPaths
    clock: Any  # () -> Unix seconds
    verbosity: int = 0
    json_out: bool = False

    @property
    def run(self) -> str:
        """The run's name."""
        return self.paths.name

    @property
    def label(self) -> str:
        """What our lines begin with: those of followers say whose they are."""
        if self.group is None or not self.group.rank:
            return "ckptrun"
        return f"ckptrun (task {self.group.rank} on {self.job.node or self.me.host})"

    def say(self, sentence: str, level: int = 0) -> None:
        """One line on stderr, unless -q (or, for level 1, without -v). Never fails: a closed stderr loses the line only."""
        if self.verbosity >= level:
            line = f"{self.label}: {text.escape(sentence)}\n".encode(errors="backslashreplace")
            try:
                os.write(2, line)
            except OSError:  # nobody is listening; what happened is in the ledger as well
                pass


def open_scene(
    config: Config,
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: str,
    clock: Callable[[], float],
    verbosity: int,
    json_out: bool,
) -> Scene:
    """Which run this start belongs to, and where we are. Touches nothing."""
    place = platforms.detect(environ)
    job = place.job()
    group = place.group()
    task = tasks.of(config, job)
    return Scene(
        config=config,
        command=list(command),
        environ=dict(environ),
        caller=cwd,
        cwd=os.path.normpath(os.path.join(cwd, config.chdir)) if config.chdir else cwd,
        place=place,
        me=place.identity(),
        job=job,
        group=group,
        task=task,
        paths=run_paths.run_paths(config.root, run_name(config, command, cwd, task.number)),
        clock=clock,
        verbosity=verbosity - 1 if group is not None and group.rank else verbosity,  # the leader speaks for all
        json_out=json_out,
    )


def run_name(config: Config, command: Sequence[str], cwd: str, array_task: str) -> str:
    """The run's name; tasks of an array are runs of their own, unless they were given one name. Those of a sweep always are.

    Raises:
        UsageError: the name wants the number of a task, and this is no array.
    """
    if config.run is None:
        derived = run_paths.derive_name(command, cwd)
        return f"{derived[: 63 - len(array_task)]}-{array_task}" if array_task else derived
    if names.ARRAY_TASK in config.run and not array_task:
        raise errors.UsageError(
            f"--run {config.run}: this is no task of an array", "submit it with sbatch --array=…, or name the run"
        )
    given = run_paths.task_name(config.run) if config.sweep else config.run
    return given.replace(names.ARRAY_TASK, array_task)


def checkpoints(scene: Scene) -> list[Checkpoint]:
    """Every checkpoint of the run, oldest first.

    Raises:
        IoFailure: a directory could not be read.
        UsageError: a --pattern cannot be understood.
    """
    from ckptrun.checkpoints import scan  # noqa: PLC0415  # 5 ms that a first start need not pay

    return scan.scan_run(scene.paths.checkpoints, scene.paths.attempts, patterns=layouts(scene))


def layouts(scene: Scene) -> tuple[Layout, ...]:
    """The layouts of what the user's patterns name.

    Raises:
        UsageError: one cannot be understood.
    """
    if not scene.config.patterns:
        return ()
    from ckptrun.layouts import patterns  # noqa: PLC0415  # only where there are patterns

    return patterns.layouts(scene.config.patterns)


def grace_of(scene: Scene) -> float:
    """The grace in seconds: --grace, else what the platform gives less our own bookkeeping, else the default."""
    if scene.config.grace is not None:
        return float(scene.config.grace)
    given = scene.place.grace()
    if given is not None:
        return float(max(1.0, given - names.BOOKKEEPING_SECONDS))
    return names.DEFAULT_GRACE_SECONDS


def end_of(scene: Scene, started: float) -> tuple[float | None, str]:
    """When this attempt must have ended (Unix seconds) and who says so: the earliest of the platform's end and --time-limit."""
    end, why = scene.place.end_time()
    limit = scene.config.time_limit
    if limit is not None and (end is None or started + limit < end):
        return started + limit, "--time-limit"
    return end, why
