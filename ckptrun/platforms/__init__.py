"""Where we run: who we are, when we must end, why we were stopped, who starts us again."""

from __future__ import annotations

from ckptrun.platforms.base import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Platform", "detect"]


def detect(environ: Mapping[str, str]) -> Platform:
    """The platform that this process's environment speaks of; a container or a bare machine is `local`."""
    if environ.get("SLURM_JOB_ID"):
        from ckptrun.platforms.slurm import Slurm  # noqa: PLC0415  # only the platform that we are on is loaded

        return Slurm(environ)
    if environ.get("KUBERNETES_SERVICE_HOST"):  # every container of a pod has it; a Slurm that runs on Kubernetes is Slurm
        from ckptrun.platforms.kubernetes import Kubernetes  # noqa: PLC0415  # as above

        return Kubernetes(environ)
    from ckptrun.platforms.local import Local  # noqa: PLC0415  # as above

    return Local(environ)
