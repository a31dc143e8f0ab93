"""Names: which may be a run's, and which a run is given that was given none."""

from __future__ import annotations

import os
import re

from ckptrun import errors, names
from ckptrun.runs import durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PYTHON = re.compile(r"python[0-9.]*")
_HASH_DIGITS = 6


def is_name(text: str) -> bool:
    """1 to 64 of `A-Z a-z 0-9 . _ -`, the first neither `.` nor `-`: those are paths and options to other verbs."""
    return bool(_NAME.fullmatch(text)) and text[0] not in ".-"


def valid_name(name: str) -> None:
    """Accept a run's name; see `is_name`.

    Raises:
        errors.UsageError: with what is wrong.
    """
    if is_name(name):
        return
    shown = durable.printable(name[:80])
    raise errors.UsageError(
        f"'{shown}' is not a run's name: it takes 1 to 64 letters, digits, '.', '_' and '-', beginning with none of '.' and '-'",
        f"for instance --run {_cleaned(name) or 'my-run'}",
    )


def valid_id(text: str) -> None:
    """Accept a request's id, which becomes a file's name: as a run's name.

    Raises:
        errors.UsageError: with what is wrong.
    """
    if not is_name(text):
        raise errors.UsageError(f"'{durable.printable(text[:80])}' is not an id: it takes letters, digits, '.', '_' and '-'")


def derive_name(command: Sequence[str], cwd: str) -> str:
    """The name of a run that was given none: the script's stem and six digits of the hash of directory and command."""
    import xxhash  # noqa: PLC0415  # not needed where the run has a name

    digest: str = xxhash.xxh3_64_hexdigest(os.fsencode("\0".join([cwd, *command])))
    stem = _cleaned(_script_stem(command))[: 64 - 1 - _HASH_DIGITS]
    return f"{stem or 'run'}-{digest[:_HASH_DIGITS]}"


def task_name(name: str) -> str:
    """The name of a run that stands for all tasks of an array: with the number's place in it."""
    return name if names.ARRAY_TASK in name else f"{name}-{names.ARRAY_TASK}"


def _script_stem(command: Sequence[str]) -> str:
    """`train` for `python train.py`, `torchrun -n 2 train.py` and `python -m pkg.train`; else the program's own name."""
    if not command:
        return "run"
    program = os.path.basename(command[0])
    module = _PYTHON.fullmatch(program) and "-m" in command and list(command).index("-m") + 1
    if module and module < len(command):
        return command[module].rpartition(".")[2]
    script = next((arg for arg in command if arg.endswith(".py")), program)
    return os.path.splitext(os.path.basename(script))[0]


def _cleaned(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:64].strip(".-")
