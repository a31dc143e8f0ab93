"""What a platform can be asked, and who we are on this machine, which is the same everywhere."""

from __future__ import annotations

import os
from typing import Protocol

from ckptrun.model import Holder, Identity, JobIdentity
from ckptrun.platforms import machine


class Platform(Protocol):
    """Where this attempt runs. Unknown is an answer (None), never a guess; nothing raises."""

    def identity(self) -> Identity:
        """Who we are on this machine."""

    def job(self) -> JobIdentity:
        """The scheduler's job that we are in."""

    def end_time(self) -> tuple[float | None, str]:
        """Unix time at which the platform will end us, and who says so; (None, "") where there is no end or none is known."""

    def grace(self) -> float | None:
        """Seconds from the platform's first signal to its SIGKILL, None if unknown."""

    def is_over(self, holder: Holder) -> bool | None:
        """Whether the job of a lease's holder has ended; may take 5 s. None = cannot be known."""

    def why_stopped(self) -> str | None:
        """Why the platform stops us: preempted | timed_out | stopped; None = unknown."""

    def requeue(self) -> bool:
        """Have the scheduler start this job again; whether it will."""


def identity() -> Identity:
    """Who this process is: host, pid, boot, and what tells a reused pid or another container's."""
    return Identity(
        host=os.uname().nodename,
        pid=os.getpid(),
        boot_id=machine.boot_id(),
        start_ticks=machine.start_ticks(),
        pid_ns=machine.pid_namespace(),
        cgroup=machine.cgroup(),
        uid=os.geteuid(),
    )
