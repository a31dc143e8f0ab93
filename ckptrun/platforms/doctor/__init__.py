"""Looking for what would make a training lose work here, before it does.

finding      what was found, and what to do about it
batch        a batch script, read and not run (pure)
shell        its commands   launchers   what stands beside ckptrun in them   directives   its #SBATCH lines (pure)
cluster      Slurm's configuration (its judgement is pure)
filesystem   where the runs are: what it keeps, how fast, how much room
mounts       its kind and options (pure)    quota   what a user may write
machine      Python, the temporary directory, user namespaces
"""

from __future__ import annotations

from ckptrun.platforms.doctor import batch, cluster, filesystem, machine
from ckptrun.platforms.doctor.finding import OK, PROBLEM, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OK", "PROBLEM", "Finding", "examine"]


def examine(root: str, script: str | None, environ: Mapping[str, str]) -> list[Finding]:
    """Everything that can be looked at from here: the machine, the cluster if there is one, the text of a batch script."""
    site, of_cluster = cluster.ask(environ)
    found = [*machine.examine(environ), *filesystem.examine(root, environ, shared=site is not None), *of_cluster]
    if script is not None:
        found += batch.findings(script, site)
    return found
