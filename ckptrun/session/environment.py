"""What the script is given: its command with the templates filled in, and its environment. PURE: dictionaries in, dictionaries out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.model import Noun, Point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.model import Group


class Given(Noun, frozen=True, kw_only=True):
    """Everything about one attempt that a script may be told. Paths are absolute."""

    run: str
    run_dir: str
    attempt: int
    attempt_id: str
    checkpoint_dir: str
    output_dir: str
    input_dir: str
    local_dir: str
    resume_from: str = ""  # "" = nothing to resume from
    resume_step: int | None = None
    deadline: float | None = None
    grace: float = names.DEFAULT_GRACE_SECONDS
    every: str = ""
    tracker_ids: dict[str, str] = {}
    ranks: dict[str, str] = {}  # where the ranks of a command on several nodes find each other
    array_task: str = ""  # "" = not a task of an array
    sweep: Point | None = None
    programs: str = ""  # a directory of programs that go before those on PATH; "" = there is none
    python: str = (
        sys.executable
    )  # a virtual environment may lie elsewhere in every job, so the recorded command does not name it


def fill(command: Sequence[str], given: Given) -> list[str]:
    """The command with `{checkpoint_dir}`, `{resume_from}`… and a sweep's names replaced; other braces are the script's and stay.

    `{resume_from}` and `{resume_step}` are empty when there is nothing to resume from: use --on-resume to add arguments only then.
    """
    step = "" if given.resume_step is None else str(given.resume_step)
    values = {
        "checkpoint_dir": given.checkpoint_dir,
        "output_dir": given.output_dir,
        "input_dir": given.input_dir,
        "resume_from": given.resume_from,
        "resume_step": step,
        "attempt": str(given.attempt),
        "run": given.run,
        "python": given.python,
        **({"array_task": given.array_task} if given.array_task else {}),
        **(given.sweep.texts if given.sweep else {}),
    }
    return [_fill_one(argument, values) for argument in command]


def _fill_one(argument: str, values: Mapping[str, str]) -> str:
    """One pass from left to right, so that a value that holds braces is not looked at again."""
    if "{" not in argument:
        return argument
    pieces, rest = [], argument
    while True:
        before, brace, after = rest.partition("{")
        pieces.append(before)
        if not brace:
            return "".join(pieces)
        name, closed, beyond = after.partition("}")
        if closed and name in values:
            pieces.append(values[name])
            rest = beyond
        else:
            pieces.append("{")
            rest = after


def command_of(command: Sequence[str], on_resume: Sequence[str], given: Given) -> list[str]:
    """The whole command of this attempt: filled in, with the --on-resume arguments when there is something to resume from."""
    return fill([*command, *on_resume] if given.resume_from else command, given)


def child_environment(environ: Mapping[str, str], given: Given) -> dict[str, str]:
    """The caller's environment without a surrounding ckptrun's variables, with this attempt's."""
    child = {key: value for key, value in environ.items() if key not in names.CHILD_ENV}
    child.update(_variables(given))
    if given.programs:  # without a PATH at all, what the system would look through
        child["PATH"] = f"{given.programs}{os.pathsep}{child.get('PATH', os.defpath)}"
    child.setdefault("PYTHONUNBUFFERED", "1")
    # torchrun kills its ranks 30 s after a signal, whether they have saved or not, unless told otherwise.
    child.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(int(given.grace)))
    for key, value in given.ranks.items():
        child.setdefault(key, value)
    if "WANDB_SWEEP_ID" not in environ:  # a sweep's agent numbers its runs itself
        for key, value in given.tracker_ids.items():
            child.setdefault(key, value)
    return child


# Arguments of torchrun that say by themselves how its agents meet.
_MEETS = ("--rdzv", "--master", "--node-rank", "--node_rank", "--standalone", "--nnodes")


def rendezvous(
    group: Group, host: str, port: int, run: str, command: Sequence[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Variables by which the tasks of a command meet at `host`: those of torch.distributed, and torchrun's own (PET_…).

    torchrun takes an option's default from PET_ and its name: https://docs.pytorch.org/docs/stable/elastic/run.html. What the user said,
    as an argument or a variable, is not mixed with ours.
    """
    found = {"MASTER_ADDR": host, "MASTER_PORT": str(port)}
    said = any(word.startswith(_MEETS) for word in command) or any(name.startswith("PET_RDZV") for name in environ)
    if group.one_per_node and not said:
        found |= {
            "PET_NNODES": str(group.size),
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ENDPOINT": f"{host}:{port}",
            "PET_RDZV_ID": run,
        }
    return found


def _variables(given: Given) -> dict[str, str]:
    known = {
        names.ENV: names.VERSION,
        names.ENV_RUN: given.run,
        names.ENV_RUN_DIR: given.run_dir,
        names.ENV_ATTEMPT: str(given.attempt),
        names.ENV_ATTEMPT_ID: given.attempt_id,
        names.ENV_CHECKPOINT_DIR: given.checkpoint_dir,
        names.ENV_OUTPUT_DIR: given.output_dir,
        names.ENV_INPUT_DIR: given.input_dir,
        names.ENV_REQUEST_FILE: f"{given.local_dir}/{names.REQUEST}",
        names.ENV_NOTIFY: f"{given.local_dir}/{names.NOTIFY_SOCKET}",
        names.ENV_GRACE_SECONDS: f"{given.grace:g}",
    }
    if given.resume_from:
        known[names.ENV_RESUME_FROM] = given.resume_from
        if given.resume_step is not None:
            known[names.ENV_RESUME_STEP] = str(given.resume_step)
    if given.deadline is not None:
        known[names.ENV_DEADLINE] = f"{given.deadline:.3f}"
    if given.sweep is not None:
        known[names.ENV_SWEEP] = msgspec.json.encode(given.sweep.values).decode()
    if given.every:
        known[names.ENV_EVERY] = given.every
    return known
