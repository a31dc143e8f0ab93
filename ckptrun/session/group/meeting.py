"""How tasks meet: what each says at first, how long the others are looked for, what it means if they are not found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import errors, units
from ckptrun.platforms import machine
from ckptrun.runs import group as files

if TYPE_CHECKING:
    from ckptrun.runs.group import Report
    from ckptrun.session.scene import Scene

SECONDS = 60.0  # srun starts tasks within seconds, busy file servers show them within half a minute
HERE_SECONDS = 10.0  # on a disk of this machine, which other nodes see only if it serves them


def report_of(scene: Scene) -> Report:
    """What a task says of itself at first."""
    me = scene.me
    return files.Report(rank=scene.group.rank, node=scene.job.node, host=me.host, pid=me.pid, boot_id=me.boot_id)


def patience(scene: Scene) -> float:
    """How long to look for the other tasks in the run's directory."""
    return HERE_SECONDS if machine.lies_here(scene.paths.dir) else SECONDS


def not_shared(scene: Scene, what: str, seconds: float) -> errors.CannotCreate:
    """The error of a run directory that is not the same on all nodes."""
    return errors.CannotCreate(
        f"run {scene.run} is not in one place for all its tasks: {what} within {units.duration(seconds)}: {scene.paths.dir}",
        "use a --root that all nodes share, such as one in your home or project directory (and see whether srun started all tasks)",
    )


def listed(ranks: list[int]) -> str:
    """`tasks 1, 2`."""
    shown = ", ".join(map(str, ranks[:8]))
    return f"{'task' if len(ranks) == 1 else 'tasks'} {shown}{', …' if len(ranks) > 8 else ''}"
