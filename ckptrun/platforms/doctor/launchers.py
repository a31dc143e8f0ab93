"""What else stands in a line that starts ckptrun: in front of it, where signals pass or do not, and behind, where it looks through. Pure."""

from __future__ import annotations

from ckptrun.platforms.doctor import directives
from ckptrun.platforms.doctor.finding import NOTE, PROBLEM, Finding, in_script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_OUTSIDE = "let ckptrun stand outside, which looks through it: exec ckptrun train -- {}"
# What stands between Slurm and ckptrun: (program, its verbs) -> level, what it does, what to write instead.
_BETWEEN: dict[tuple[str, tuple[str, ...]], tuple[str, str, str]] = {
    ("conda", ("run",)): (PROBLEM, "passes no signals on", "activate the environment instead: source activate NAME; exec ckptrun train ..."),
    ("mamba", ("run",)): (PROBLEM, "passes no signals on", "activate the environment instead: mamba activate NAME; exec ckptrun train ..."),
    ("uv", ("run",)): (NOTE, "does not pass all signals on in old versions (before the spring of 2025)", "exec .venv/bin/ckptrun train ..."),
    ("apptainer", ("exec", "run")): (NOTE, "passes signals on to the first process inside only, which may be a shell of the image", _OUTSIDE.format("apptainer exec IMAGE python train.py")),
    ("singularity", ("exec", "run")): (NOTE, "passes signals on to the first process inside only, which may be a shell of the image", _OUTSIDE.format("singularity exec IMAGE python train.py")),
    ("docker", ("run", "exec")): (PROBLEM, "starts it outside of the job, where Slurm neither signals nor ends it", "use apptainer, enroot or podman-hpc, as the site has it"),
    ("podman", ("run", "exec")): (NOTE, "may start it outside of the job, where Slurm neither signals nor ends it", _OUTSIDE.format("podman run IMAGE python train.py")),
    ("wandb", ("agent",)): (PROBLEM, "passes no signals on", _OUTSIDE.format("wandb agent --count 1 SWEEP")),
    ("torchrun", ()): (PROBLEM, "starts ckptrun once for each rank, but a run has one", _OUTSIDE.format("torchrun ... train.py")),
    ("mpirun", ()): (PROBLEM, "starts ckptrun once for each rank, but a run has one", _OUTSIDE.format("mpirun ... python train.py")),
    ("mpiexec", ()): (PROBLEM, "starts ckptrun once for each rank, but a run has one", _OUTSIDE.format("mpiexec ... python train.py")),
    ("accelerate", ("launch",)): (PROBLEM, "starts ckptrun once for each rank, but a run has one", _OUTSIDE.format("accelerate launch train.py")),
}  # fmt: skip


def between(before: Sequence[str]) -> list[Finding]:
    """Programs in front of ckptrun that keep signals from it, or start it wrongly."""
    found, programs = [], directives.programs(before)
    for (name, verbs), (level, does, todo) in _BETWEEN.items():
        behind = programs[programs.index(name) + 1 :] if name in programs else []
        if name in programs and (not verbs or set(verbs) & set(behind)):
            verb = next((f" {verb}" for verb in verbs if verb in behind), "")
            found.append(in_script(level, f"`{name}{verb}` {does}", todo))
    return found


def below(words: Sequence[str]) -> list[Finding]:
    """What ckptrun is told to run."""
    found, programs = [], directives.programs(words)
    if {"docker", "podman"} & set(programs) and "run" in words:
        found.append(
            in_script(
                NOTE,
                "what docker or podman starts is not below ckptrun: it is asked by the request file only, if it can see that",
                "mount the directory of $CKPTRUN_REQUEST_FILE and the run's into the container, or use apptainer",
            )
        )
    if "srun" in programs:
        given = directives.parse(words[words.index("srun") + 1 :]) if "srun" in words else {}
        if "--kill-on-bad-exit" in given or "--wait" in given:
            found.append(
                in_script(
                    NOTE,
                    "srun --kill-on-bad-exit (-K) and --wait kill the other ranks soon after the first has ended, while they save",
                    "leave them out: ckptrun ends what is left itself",
                )
            )
    return found
