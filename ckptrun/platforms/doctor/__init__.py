"""Looking for what would make a training lose work here, before it does.

finding     what was found, and what to do about it
batch       a batch script, read and not run (pure)
cluster     Slurm's configuration (pure)
machine     this machine: filesystem, Python
"""

from __future__ import annotations

from ckptrun.platforms.doctor import batch, cluster, machine
from ckptrun.platforms.doctor.finding import OK, PROBLEM, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OK", "PROBLEM", "Finding", "examine"]


def examine(root: str, script: str | None, environ: Mapping[str, str]) -> list[Finding]:
    """Everything that can be looked at from here: the machine, the cluster if there is one, the text of a batch script."""
    found = machine.findings(root)
    found += cluster.ask(environ)
    if script is not None:
        found += batch.findings(script)
    return found
