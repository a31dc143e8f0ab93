"""Where a script runs: under ckptrun, as its variables say, or alone, with ./checkpoints."""

from __future__ import annotations

import os

from ckptrun import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


# Who started the ranks says which is which: torchrun and scripts of that kind, Open MPI, MPICH and PMI-2, srun for the tasks of a step.
_RANK_OF = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


class Place:
    """Everything that the surroundings decide. Paths are absolute; "" and None mean that there is none."""

    __slots__ = (
        "attempt",
        "attempt_id",
        "checkpoint_dir",
        "every",
        "input_dir",
        "notify",
        "output_dir",
        "rank",
        "request_file",
        "resume_from",
        "resume_step",
        "run",
        "run_dir",
        "under",
        "world",
    )

    def __init__(self, environ: Mapping[str, str], *, checkpoint_dir: str = "") -> None:
        self.under = bool(environ.get(names.ENV))
        self.rank, self.world = _rank_and_world(environ)
        # Variables without CKPTRUN beside them are leftovers of somebody else's: they are not obeyed.
        given = environ if self.under else {}
        self.run = given.get(names.ENV_RUN, "")
        self.run_dir = given.get(names.ENV_RUN_DIR, "")
        self.attempt = _number(given.get(names.ENV_ATTEMPT)) or 1
        self.attempt_id = given.get(names.ENV_ATTEMPT_ID) or os.urandom(16).hex()
        self.checkpoint_dir = os.path.abspath(given.get(names.ENV_CHECKPOINT_DIR) or checkpoint_dir or names.CHECKPOINTS)
        self.output_dir = os.path.abspath(given.get(names.ENV_OUTPUT_DIR) or names.OUTPUT)
        self.input_dir = os.path.abspath(given.get(names.ENV_INPUT_DIR) or names.INPUT)
        self.resume_from = given.get(names.ENV_RESUME_FROM, "")
        self.resume_step = _number(given.get(names.ENV_RESUME_STEP))
        self.request_file = given.get(names.ENV_REQUEST_FILE, "")
        self.notify = given.get(names.ENV_NOTIFY, "")
        self.every = environ.get(names.ENV_EVERY, "")  # outside ckptrun too: `CKPTRUN_EVERY=20 python train.py`

    @property
    def parent(self) -> str:
        """What this attempt resumed from, as a manifest says it: a checkpoint's name, a path in the run, or a path."""
        if not self.resume_from:
            return ""
        if os.path.dirname(self.resume_from) == self.checkpoint_dir:
            return os.path.basename(self.resume_from)
        inside = os.path.relpath(self.resume_from, self.run_dir) if self.run_dir else ".."
        return self.resume_from if inside == ".." or inside.startswith("../") else inside

    @property
    def done_file(self) -> str:
        """The proof of completion, "" outside ckptrun."""
        return os.path.join(os.path.dirname(self.output_dir), names.DONE) if self.under else ""


def _rank_and_world(environ: Mapping[str, str]) -> tuple[int, int]:
    for rank, world in _RANK_OF:
        found = _number(environ.get(rank)), _number(environ.get(world))
        if found[0] is not None and found[1]:
            return found[0], found[1]
    return _number(environ.get("RANK")) or 0, _number(environ.get("WORLD_SIZE")) or 1


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None
