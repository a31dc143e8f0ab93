"""Asking Slurm's own commands: a controller that is gone lets scontrol hang for 18 s, so that there is a time-out."""

from __future__ import annotations

from ckptrun.platforms import ask as asking
from ckptrun.platforms.ask import HANGS, MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HANGS", "MISSING", "Answer", "Question", "ask"]

PATIENCE = 5.0  # seconds


class Answer(asking.Answer, frozen=True, kw_only=True):
    """What a Slurm command said."""

    @property
    def why(self) -> str:
        """The first line of what went wrong, without the program's own prefixes."""
        if self.code == HANGS:
            return "Slurm does not answer"
        if self.code == MISSING:
            return "there is no such command here"
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return (
            lines[0].removeprefix("scontrol: ").removeprefix("sbatch: ").removeprefix("error: ")
            if lines
            else f"exit {self.code}"
        )


class Question(asking.Question):
    """A command of Slurm's that was started and whose answer is awaited."""

    def __init__(
        self, argv: Sequence[str], environ: Mapping[str, str], given: bytes = b"", patience: float | None = None
    ) -> None:
        env = {key: value for key, value in environ.items() if not key.startswith(("SCONTROL_", "SQUEUE_"))}
        if argv[0] == "scontrol":  # what sbatch is given, a job inherits
            env["SLURM_TIME_FORMAT"] = "%s"
        super().__init__(argv, env, given, PATIENCE if patience is None else patience)


def ask(argv: Sequence[str], environ: Mapping[str, str], given: bytes = b"", patience: float | None = None) -> Answer:
    """Ask and wait for the answer, for at most `patience` seconds, by default 5. `given` is what the command reads on stdin."""
    said = asking.wait(Question(argv, environ, given, patience))
    return Answer(code=said.code, out=said.out, err=said.err)
