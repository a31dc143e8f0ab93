"""Slurm's configuration, and what of it decides how jobs end and come back."""

from __future__ import annotations

from ckptrun import names, units
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding
from ckptrun.platforms.slurm import ask as asking
from ckptrun.platforms.slurm import site as sites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.platforms.slurm.site import Partition, Site

_SHORT_KILL_WAIT = 20.0  # seconds


def ask(environ: Mapping[str, str]) -> list[Finding]:
    """What the configuration means; a note where there is no Slurm."""
    said = asking.ask(["scontrol", "-o"], environ, b"show partition\nshow config\n")
    if said.code == asking.MISSING:
        return [_found(NOTE, "there is no Slurm on this machine", "run this on a login node of the cluster")]
    if "KillWait" not in said.out:
        return [
            _found(PROBLEM, f"Slurm cannot be asked: {said.why}", "is slurmctld running, is munge, is SLURM_CONF right?")
        ]
    return findings(sites.parse(said.out), sites.partitions(said.out))


def findings(site: Site, partitions: Sequence[Partition]) -> list[Finding]:
    """Pure."""
    found = [_found(OK, f"Slurm {site.version}"), _kill_wait(site), _requeue(site), _proctrack(site)]
    if site.over_time_limit:
        over = units.duration(site.over_time_limit)
        found.append(
            _found(
                OK, f"OverTimeLimit: jobs may run {over} beyond their limit; ckptrun is done before the limit all the same"
            )
        )
    return [*found, *(finding for partition in partitions if (finding := _preemption(partition, site)) is not None)]


def _kill_wait(site: Site) -> Finding:
    wait = site.kill_wait or 0.0
    text = f"KillWait: {units.duration(wait)} from TERM to KILL; {units.duration(max(1.0, wait - names.BOOKKEEPING_SECONDS))} of it are for a save"
    if wait < _SHORT_KILL_WAIT:
        return _found(
            NOTE,
            text,
            "save often (--every), because a longer save would not fit; a time limit is known before and unaffected",
        )
    return _found(OK, text)


def _requeue(site: Site) -> Finding:
    if names.EXIT_AGAIN in site.requeue_codes:
        return _found(OK, f"RequeueExit has {names.EXIT_AGAIN}: the exit code alone brings a job back")
    if site.job_requeue:
        return _found(OK, "jobs may be requeued (JobRequeue=1): ckptrun does it with scontrol, as its last act")
    return _found(
        NOTE,
        "jobs are not requeued unless they ask for it (JobRequeue=0)",
        "submit with --requeue, as `ckptrun submit` does",
    )


def _proctrack(site: Site) -> Finding:
    if "cgroup" in site.proctrack:
        return _found(
            OK, "proctrack/cgroup: signals reach the batch script's own process and srun's tasks, nothing below them"
        )
    return _found(
        NOTE,
        f"{site.proctrack}: signals reach everything that runs in a job, srun too, which then ends its tasks at once",
        "on this cluster `exec ckptrun train ...` is safer than srun",
    )


def _preemption(partition: Partition, site: Site) -> Finding | None:
    mode = partition.preempt_mode
    if not site.preempts(partition):
        return None
    grace = (
        f"GraceTime {units.duration(partition.grace)}"
        if partition.grace
        else "no GraceTime, so that KillWait is all there is"
    )
    text = f"partition {partition.name}: preemption by {mode}, {grace}"
    if "SUSPEND" in mode or "GANG" in mode:
        return _found(OK, f"{text}: jobs are suspended and go on")
    if "CANCEL" in mode:
        return _found(NOTE, text, "Slurm does not bring such a job back; ckptrun requeues it as its last act")
    if not partition.grace:
        return _found(NOTE, text, "save often (--every), because a longer save would not fit")
    if not site.user_signal_at_preemption:
        return _found(OK, f"{text}; only srun's tasks hear its beginning: `srun ckptrun train ...`")
    return _found(OK, text)


def _found(level: str, text: str, todo: str = "") -> Finding:
    return Finding(level=level, about="slurm", text=text, todo=todo)
