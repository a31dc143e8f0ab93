"""What of Slurm's notices does not reach ckptrun where it stands in a batch script, and what to do about it. Pure.

With proctrack/cgroup, which most sites run, Slurm signals the batch script's own process and the tasks of steps, and nothing
below them. linuxproc and pgid signal the whole tree.
"""

from __future__ import annotations

from ckptrun import units
from ckptrun.model import Noun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ckptrun.platforms.slurm.record import JobRecord
    from ckptrun.platforms.slurm.site import Partition, Site


class Place(Noun, frozen=True, kw_only=True):
    """Where ckptrun stands."""

    shell: str = ""  # the process above us, if that is neither slurmstepd nor a task's
    forwards: bool = False  # it has a handler for SIGTERM
    batch_step: bool = False  # we took the batch script's place
    mute: bool = False  # there is no scontrol here to ask


_WITHOUT_SCONTROL = (
    "there is no scontrol here, as in most containers: neither when the job ends nor why it is stopped can be asked, and it is not "
    "requeued from here. Start ckptrun outside the container, or say --time-limit, and requeue in the batch script when it ends with 75"
)


def warnings(place: Place, job: JobRecord | None, site: Site | None, partition: Partition | None) -> list[str]:
    """Sentences with a remedy in each; what is not known is not warned of."""
    if place.mute:
        return [_WITHOUT_SCONTROL]
    if site is None:
        return []
    said = [_below_a_shell(place, site), _preemption(place, site, partition), _not_requeued(job)]
    return [sentence for sentence in said if sentence]


_SHELLS = {"slurm_script": "the batch script's shell"}  # as the kernel knows it


def _below_a_shell(place: Place, site: Site) -> str:
    if not place.shell or place.forwards or "cgroup" not in site.proctrack:
        return ""
    return (
        f"at scancel, requeue and preemption Slurm signals {_SHELLS.get(place.shell, place.shell)}, not ckptrun below it, and then kills everything: "
        "write `exec ckptrun train ...` or `srun ckptrun train ...` in the batch script"
    )


def _preemption(place: Place, site: Site, partition: Partition | None) -> str:
    if partition is None or not site.ends(partition):
        return ""
    if not partition.grace:
        wait = units.duration(site.kill_wait or 0.0)
        return (
            f"partition {partition.name} has no GraceTime: when one of its jobs is preempted, KillWait ({wait}) is all the time "
            "there is for a save; save often (--every), so that little is lost where one does not fit"
        )
    if not place.batch_step or site.user_signal_at_preemption:
        return ""
    return (
        f"when a job of partition {partition.name} is preempted, the batch script hears of it only after GraceTime "
        f"({units.duration(partition.grace)}); `srun ckptrun train ...` hears of it at once"
    )


def _not_requeued(job: JobRecord | None) -> str:
    if job is None or not job.batch or job.requeue:
        return ""
    return "this job may not be requeued: when it is stopped, it ends with 75; submit it with --requeue, or train with --restart-by scheduler"
