"""Handing a batch script to sbatch, with an environment that holds no secrets."""

from __future__ import annotations

import re

from ckptrun import errors, names
from ckptrun.model import Noun
from ckptrun.platforms.slurm import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.platforms.slurm.options import Option

_SECRET = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_PAT$|_KEY$|_AUTH$|^AUTH|COOKIE|SESSION_ID$|DSN$",
    re.IGNORECASE,
)
# Slurm's controller did not answer in time: the request lies in its socket, and it may still take the job.
_PERHAPS = ("Socket timed out", "Zero Bytes were transmitted")
_OF_THIS_JOB = ("SLURM_", "SLURMD_", "SRUN_")  # of the job that we are in, if we are in one
_KEEP = ("SLURM_CONF", "SLURM_CLUSTERS")


class Submitted(Noun, frozen=True, kw_only=True):
    """What sbatch answered."""

    job: str
    cluster: str = ""  # only where there are several


def environment(environ: Mapping[str, str], export: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The environment for the job, and the names that were left out because they look like secrets.

    `export` are the names that the user wants in any case.
    """
    clean: dict[str, str] = {}
    secrets: list[str] = []
    for name, value in environ.items():
        if name.startswith(_OF_THIS_JOB) and name not in _KEEP:
            continue
        if _SECRET.search(name) and name not in export:
            secrets.append(name)
        elif name not in names.CHILD_ENV:
            clean[name] = value
    return clean, sorted(secrets)


def exported(given: Sequence[Option]) -> list[str]:
    """The variables that `--export` names."""
    values = [option.value or "" for option in given if option.name == "--export"]
    return [item.split("=", 1)[0] for value in values for item in value.split(",")]


def submit(path: str, environ: Mapping[str, str]) -> Submitted:
    """Submit the script at `path`.

    Raises:
        CkptrunError: there is no sbatch, it refused (its own words), or it does not answer.
    """
    said = ask.ask(["sbatch", "--parsable", path], environ, patience=60.0)
    if said.code == ask.MISSING:
        raise errors.CkptrunError(
            "there is no sbatch here: this machine does not belong to a Slurm cluster",
            f"on one that does: sbatch {path}",
        )
    if said.code == ask.HANGS:
        raise errors.CkptrunError(
            f"Slurm did not answer within a minute; the job may have been submitted all the same: {path}",
            "look with: squeue --me",
        )
    if any(sign in said.err for sign in _PERHAPS):
        raise errors.CkptrunError(
            f"nobody can tell whether {path} was submitted:\n{said.err.strip()}",
            "look with `squeue --me` before you submit it again",
        )
    if said.code:
        words = "\n".join(line for line in said.err.splitlines() if line.strip()) or f"exit {said.code}"
        raise errors.CkptrunError(
            f"sbatch refused {path}:\n{words}", "the script is kept there; `ckptrun submit --print` shows it"
        )
    job, _, cluster = said.out.strip().splitlines()[-1].partition(";")
    return Submitted(job=job, cluster=cluster)
