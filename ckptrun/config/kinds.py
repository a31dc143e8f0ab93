"""What a value may be: each kind turns the text that somebody wrote into a value, or says in a sentence what is wrong.

The same text means the same in an option, a variable and a file. `base` is the directory that relative paths start from.
"""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from ckptrun import names, units
from ckptrun.model import Noun, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Kind = Callable[[str, str], object]

_YES = ("yes", "true", "on", "1", "y", "t")
_NO = ("no", "false", "off", "0", "n", "f")
_NEVER = ("off", "none", "never", "no")
_RUN_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_RUN_LENGTH = 64
_UNCATCHABLE = ("SIGKILL", "SIGSTOP")


class DoneWhen(Noun, frozen=True, kw_only=True):
    """A proof of completion: `step` or `epoch` has reached `number`, or a `file` exists at `path`."""

    kind: str  # step | epoch | file
    number: float = 0
    path: str = ""  # as written; relative to the command's directory

    def __str__(self) -> str:
        return f"file:{self.path}" if self.kind == "file" else f"{self.kind}>={self.number:g}"


def text(given: str, _base: str) -> str:
    """Anything but nothing."""
    if not given:
        raise ValueError("it is empty")
    return given


# Fields of a pattern that count; any other measures something.
COUNTS = {"step": "step", "steps": "step", "iter": "step", "iteration": "step", "global_step": "step", "epoch": "epoch"}
FIELD = re.compile(r"\{(?P<name>[A-Za-z_][\w/.-]*)(?:![rsa])?(?::[^{}]*)?\}")


def pattern(given: str, _base: str) -> str:
    """How checkpoints are called, as a template with fields: `ckpt-{epoch:02d}-{val_loss:.2f}.keras`."""
    rest = FIELD.sub("", given.rstrip("/"))
    fields = [COUNTS.get(found["name"], found["name"]) for found in FIELD.finditer(given)]
    if not fields:
        raise ValueError("it has no field such as {epoch:02d} or {step}")
    if "/" in rest:
        raise ValueError("it is a name in a directory, not a path: a slash may only stand at its end")
    if re.search(r"[{}]", rest):
        raise ValueError("a bracket is open, or holds something that is no name")
    if len(set(fields)) < len(fields):
        raise ValueError("a field stands in it twice")
    return given


def flag(given: str, _base: str) -> bool:
    """`yes` or `no`, and the other words for them."""
    bare = given.strip().lower()
    if bare in _YES:
        return True
    if bare in _NO:
        return False
    raise ValueError(f"{given!r} is neither yes nor no")


def run_name(given: str, _base: str) -> str:
    """A run's name: it is a directory's, and other verbs take it beside paths and options, so little is allowed."""
    plain = given.replace(names.ARRAY_TASK, "0")  # filled in by each task of an array
    if not 0 < len(plain) <= _RUN_LENGTH or not _RUN_LETTERS.issuperset(plain) or plain[0] in ".-":
        raise ValueError(
            f"{given!r} is no name for a run: 1 to {_RUN_LENGTH} of A-Z a-z 0-9 . _ -, beginning with neither . nor -"
        )
    return given


def directory(given: str, base: str) -> str:
    """A directory that may be made later; absolute."""
    if not given:
        raise ValueError("it is empty")
    return os.path.normpath(os.path.join(base, os.path.expanduser(given)))


def destination(given: str, base: str) -> str:
    """A directory, absolute, or a URL."""
    if not given:
        raise ValueError("it is empty")
    from ckptrun.config import destinations  # noqa: PLC0415  # only where backups are asked for

    return destinations.absolute(given, base)


def existing_directory(given: str, base: str) -> str:
    """A directory that is there; absolute."""
    path = directory(given, base)
    if not os.path.isdir(path):
        raise ValueError(f"{path!r} is {'not a directory' if os.path.lexists(path) else 'not there'}")
    return path


def duration(given: str, _base: str) -> float:
    """Seconds, more than none."""
    seconds = units.parse_duration(given)
    if seconds <= 0:
        raise ValueError(f"{given!r} must be longer than nothing")
    return seconds


def duration_or_off(given: str, base: str) -> float | None:
    """Seconds, or `off`."""
    return None if given.strip().lower() in _NEVER else duration(given, base)


def every(given: str, _base: str) -> str:
    """A cadence, kept as text: the script's side reads it again."""
    units.parse_every(given)
    return given.strip()


def whole(least: int, most: int | None = None) -> Kind:
    """A whole number from `least` to `most`."""

    def parse(given: str, _base: str) -> int:
        try:
            number = int(given)
        except ValueError:
            raise ValueError(f"{given!r} is not a whole number") from None
        if number < least or (most is not None and number > most):
            raise ValueError(f"{given} is not {f'between {least} and {most}' if most is not None else f'at least {least}'}")
        return number

    return parse


def exit_code(given: str, base: str) -> int:
    """A code to end with, 1 to 255, that says nothing else of ours."""
    code: int = whole(1, 255)(given, base)  # type: ignore[assignment]  # a Kind returns object
    if code in names.OWN_CODES and code != names.EXIT_AGAIN:
        raise ValueError(f"{code} means something else when ckptrun ends with it (`ckptrun train --help` lists the codes)")
    return code


def signal_number(given: str, _base: str) -> int:
    """A signal by name (`USR1`, `SIGUSR1`) or number, which a process can catch."""
    number = _signal(given.strip().upper())
    if number is None:
        raise ValueError(f"{given!r} is no signal here" + nearest(given.upper().removeprefix("SIG"), _signal_names()))
    if signal_name(number) in _UNCATCHABLE:
        raise ValueError(f"{given!r} cannot be caught, so that no script could save on it")
    return number


def signal_name(number: int) -> str:
    """`SIGUSR1`; the number as text if it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _signal(bare: str) -> int | None:
    if bare.isdigit():
        return int(bare) if int(bare) in signal.valid_signals() else None
    found = getattr(signal, bare if bare.startswith("SIG") else f"SIG{bare}", None)
    return int(found) if isinstance(found, signal.Signals) else None


def _signal_names() -> list[str]:
    return [known.name.removeprefix("SIG") for known in signal.Signals]


def choice(*choices: str) -> Kind:
    """One of a few words."""

    def parse(given: str, _base: str) -> str:
        bare = given.strip().lower()
        if bare not in choices:
            listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise ValueError(f"{given!r} is not {listed}" + nearest(bare, choices))
        return bare

    return parse


def arguments(given: str, _base: str) -> list[str]:
    """Arguments in one text, quoted as in a shell; nothing is expanded."""
    import shlex  # noqa: PLC0415  # only when --on-resume is given

    try:
        return shlex.split(given)
    except ValueError as error:
        raise ValueError(f"{given!r}: {str(error).lower()}") from None


def sweep(given: str, _base: str) -> Sweep:
    """A grid, or a list of points, as YAML."""
    from ckptrun.config import sweep as sweeps  # noqa: PLC0415  # yaml: only where there is a sweep

    return sweeps.parse(given)


def done_when(given: str, _base: str) -> DoneWhen:
    """`step>=N`, `epoch>=N` or `file:PATH`."""
    bare = given.strip()
    if bare.startswith("file:") and bare != "file:":
        return DoneWhen(kind="file", path=bare.removeprefix("file:"))
    kind, sign, number = (part.strip() for part in bare.partition(">="))
    count = _number(number)
    if not sign or count is None or (kind, count % 1 == 0) not in (("step", True), ("epoch", True), ("epoch", False)):
        raise ValueError(f"{given!r} is not step>=N, epoch>=N or file:PATH")
    return DoneWhen(kind=kind, number=count)


def _number(given: str) -> float | None:
    try:
        number = float(given)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None  # false for NaN, too


def nearest(given: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'normal'?`, or nothing when no candidate is near."""
    import difflib  # noqa: PLC0415  # 5 ms, for mistakes only

    close = difflib.get_close_matches(given, list(candidates), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
