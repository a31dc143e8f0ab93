"""What a platform can be asked, and who we are on this machine, which is the same everywhere."""

from __future__ import annotations

import os
from typing import Protocol

from ckptrun.model import Group, Holder, Identity, JobIdentity, Noun
from ckptrun.platforms import machine


class Why(Noun, frozen=True, kw_only=True):
    """Why a platform stops us."""

    cause: str = ""  # preempted | timed_out | stopped (by the user); "" = it cannot be known
    sentence: str
    comes_back: bool = False  # the platform starts us again by itself, whatever we do


class Restart(Noun, frozen=True, kw_only=True):
    """What became of having the platform start us again."""

    comes_back: bool = False
    sentence: str = ""  # for the user, also what to type where it does not come back
    job: str = ""  # the job that goes on, when it is another one


class Platform(Protocol):
    """Where this attempt runs. Unknown is an answer (None), never a guess; nothing raises."""

    def identity(self) -> Identity:
        """Who we are on this machine."""

    def job(self) -> JobIdentity:
        """The scheduler's job that we are in."""

    def group(self) -> Group | None:
        """The tasks that were started side by side with us, for one attempt; None where we are the only one.

        Raises:
            UsageError: there are several, and one attempt of them is not possible.
        """

    def end_time(self) -> tuple[float | None, str]:
        """Unix time at which the platform will end us, and who says so; (None, "") where there is no end or none is known."""

    def grace(self) -> float | None:
        """Seconds from the platform's first signal to its SIGKILL, None if unknown."""

    def is_over(self, holder: Holder) -> bool | None:
        """Whether the job of a lease's holder has ended; may take 5 s. None = cannot be known."""

    def begin(self) -> None:
        """Called once, before anything is done: ask what has to be asked, without waiting."""

    def warnings(self) -> list[str]:
        """Sentences, each with its remedy, about notices that will not reach us here."""

    def signalled(self) -> None:
        """A signal came that may be the platform's: look for its reason, without waiting."""

    def why_stopped(self) -> Why | None:
        """Why the platform signalled us, None if it did not; may take 6 s."""

    def programs(self) -> dict[str, str]:
        """Programs, by name, that the script shall find in place of the platform's own."""

    def can_restart(self) -> bool:
        """Whether the platform starts this job again when it is asked to."""

    def restart(self, exit_code: int, *, insist: bool, exclude: str = "") -> Restart:
        """Have the platform start this job again, not on the nodes in `exclude`: the last act of an attempt.

        `exit_code` is what we end with; `insist`: the user asked for it, whatever the job was submitted with.
        """

    def close(self) -> None:
        """Forget what is still being asked."""


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
