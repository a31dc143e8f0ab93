"""A machine of one's own, a container, a virtual machine: nobody to ask, nobody who starts us again."""

from __future__ import annotations

from ckptrun import names
from ckptrun.model import Group, Holder, Identity, JobIdentity
from ckptrun.platforms import base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Local:
    """Where no scheduler is recognised."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def identity(self) -> Identity:
        """See `base.Platform`."""
        return base.identity()

    def job(self) -> JobIdentity:
        """No job; automatic if ckptrun itself submitted us to something that we do not recognise."""
        return JobIdentity(automatic=bool(self._environ.get(names.ENV_SUBMITTED)))

    def group(self) -> Group | None:
        """We are the only one."""
        return None

    def end_time(self) -> tuple[float | None, str]:
        """No end."""
        return None, ""

    def grace(self) -> float | None:
        """Unknown: whoever stops us does not say how long it waits."""
        return None

    def is_over(self, holder: Holder) -> bool | None:  # noqa: ARG002  # there is nobody to ask about it
        """Unknown."""
        return None

    def begin(self) -> None:
        """Nothing to ask."""

    def warnings(self) -> list[str]:
        """None: nobody announces anything here."""
        return []

    def signalled(self) -> None:
        """There is nobody to ask why."""

    def why_stopped(self) -> base.Why | None:
        """Unknown: the signal itself is all there is."""
        return None

    def programs(self) -> dict[str, str]:
        """None: there is nothing that starts again what runs here."""
        return {}

    def can_restart(self) -> bool:
        """Nobody here does; whoever sees the exit code may."""
        return False

    def restart(self, exit_code: int, *, insist: bool, exclude: str = "") -> base.Restart:  # noqa: ARG002  # as above
        """Nobody does."""
        return base.Restart()

    def close(self) -> None:
        """Nothing is being asked."""
