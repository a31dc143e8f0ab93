"""A machine of one's own, a container, a virtual machine: nobody to ask, nobody who starts us again."""

from __future__ import annotations

from ckptrun import names
from ckptrun.model import Holder, Identity, JobIdentity
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

    def end_time(self) -> tuple[float | None, str]:
        """No end."""
        return None, ""

    def grace(self) -> float | None:
        """Unknown: whoever stops us does not say how long it waits."""
        return None

    def is_over(self, holder: Holder) -> bool | None:  # noqa: ARG002  # there is nobody to ask about it
        """Unknown."""
        return None

    def why_stopped(self) -> str | None:
        """Unknown."""
        return None

    def requeue(self) -> bool:
        """Nobody does."""
        return False
