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

_OLDEST = (22, 5)  # Slurm's version
_SHORT_KILL_WAIT = 20.0  # seconds
_NOT_AGAIN = {
    names.EXIT_OK: "a run is complete",
    names.EXIT_DO_NOT_RESTART: "a run shall not be started again",
    names.EXIT_INTERRUPTED: "a run shall not be started again",
}


def ask(environ: Mapping[str, str]) -> tuple[Site | None, list[Finding]]:
    """The site, None where it cannot be asked, and what its configuration means; a note where there is no Slurm."""
    said = asking.ask(["scontrol", "-o"], environ, b"show partition\nshow config\n")
    if said.code == asking.MISSING:
        return None, [_found(NOTE, "there is no Slurm on this machine", "run this on a login node of the cluster")]
    if "KillWait" not in said.out:
        todo = "is slurmctld running, is munge, is SLURM_CONF right?"
        return None, [_found(PROBLEM, f"Slurm cannot be asked: {said.why}", todo)]
    site = sites.parse(said.out)
    return site, findings(site, sites.partitions(said.out))


def findings(site: Site, partitions: Sequence[Partition]) -> list[Finding]:
    """Pure."""
    found = [_version(site), _kill_wait(site), _requeue(site), *_codes(site), _proctrack(site), _open_mode(site)]
    if site.over_time_limit:
        over = units.duration(site.over_time_limit)
        found.append(
            _found(
                OK, f"OverTimeLimit: jobs may run {over} beyond their limit; ckptrun is done before the limit all the same"
            )
        )
    if _may_preempt(site):
        found.append(_user_signal(site))
    return [*found, *(finding for partition in partitions if (finding := _preemption(partition, site)) is not None)]


def _version(site: Site) -> Finding:
    major, _, rest = site.version.partition(".")
    known = major.isdigit() and rest[:2].isdigit()
    if known and (int(major), int(rest[:2])) < _OLDEST:
        return _found(
            NOTE, f"Slurm {site.version}: ckptrun is made for 22.05 and later", "try a stop and a requeue once by hand"
        )
    return _found(OK, f"Slurm {site.version}")


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


def _codes(site: Site) -> list[Finding]:
    """Codes that Slurm takes for something else than we mean by them."""
    found = []
    for code, means in _NOT_AGAIN.items():
        if code in site.requeue_codes:
            text = (
                f"RequeueExit has {code}, with which ckptrun says that {means}: Slurm starts such a job again all the same"
            )
            found.append(
                _found(NOTE, text, "ckptrun ends it at once each time; ask the administrators to take it out, or scancel it")
            )
    if names.EXIT_AGAIN in site.hold_codes:
        text = f"RequeueExitHold has {names.EXIT_AGAIN}: a job that is to go on is held until somebody releases it"
        found.append(_found(PROBLEM, text, "choose another code: --preempt-exit-code 85"))
    return found


def _open_mode(site: Site) -> Finding:
    if site.appends:
        return _found(OK, "what a job writes is kept when it starts again (JobFileAppend=1)")
    return _found(
        OK, "a job's output file is emptied when it starts again (JobFileAppend=0), unless --open-mode=append says otherwise"
    )


def _may_preempt(site: Site) -> bool:
    """Whether one job may push another out here."""
    return bool(site.preempt_type) and not site.preempt_type.endswith("none")


def _user_signal(site: Site) -> Finding:
    if site.user_signal_at_preemption:
        return _found(
            OK,
            "preempt_send_user_signal: --signal is also sent when a preemption begins: --signal=B:USR1@120 in a batch script",
        )
    return _found(OK, "--signal is not sent when a preemption begins (preempt_send_user_signal is not set)")


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
