"""From the words after the options to the command that is started, or a sentence about what is wrong with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import errors

if TYPE_CHECKING:
    from collections.abc import Sequence


# This interpreter, wherever it lies in this job: the recorded command names the run, and a virtual environment may be made anew for
# every job. `session.environment` fills it in.
PYTHON = "{python}"


def resolve(words: Sequence[str], *, literal: bool, cwd: str, search: str) -> list[str]:
    """The argument list to start in `cwd`: a `.py` runs under this interpreter, anything else must be runnable.

    `literal`: the words came after `--` and are taken as they are. `search` is the PATH.

    Raises:
        UsageError: there is no such thing, or it cannot be run.
    """
    first, *others = words
    if not first:
        raise errors.UsageError("the script's name is empty", "`ckptrun train --help` has examples")
    if not literal and first.endswith(".py"):
        _check_script(first, cwd, words)
        return [PYTHON, first, *others]
    if os.sep in first:
        _check_program(first, cwd, words)
    elif not _on_path(first, cwd, search):
        if literal or not os.path.lexists(os.path.join(cwd, first)):
            raise _unknown(first, cwd, words, literal=literal)
        _check_program(first, cwd, words)
        first = os.path.join(os.curdir, first)
    return [first, *others]


def _check_script(script: str, cwd: str, words: Sequence[str]) -> None:
    path = os.path.join(cwd, script)
    if os.path.isdir(path):
        raise errors.UsageError(f"{script!r} is a directory, not a script", _inside(path, script))
    if not os.path.exists(path):
        raise _unknown(script, cwd, words, literal=False)
    if not os.access(path, os.R_OK):
        raise errors.UsageError(f"{script!r} may not be read by you", f"chmod u+r {_quoted(script)}, if it is yours")


def _check_program(program: str, cwd: str, words: Sequence[str]) -> None:
    path = os.path.join(cwd, program)
    if os.path.isdir(path):
        raise errors.UsageError(f"{program!r} is a directory, not a script", _inside(path, program))
    if not os.path.exists(path):
        raise _unknown(program, cwd, words, literal=True)
    if not os.access(path, os.X_OK):
        interpreter = "" if program.endswith(".py") else _interpreter(path)
        how = f"ckptrun train {interpreter} {_quoted(*words)}" if interpreter else f"ckptrun train {_quoted(*words)}"
        where = f"chmod +x {_quoted(program)}" + (f", or: {how}" if interpreter or program.endswith(".py") else "")
        raise errors.UsageError(f"{program!r} is not executable", where)


def _on_path(name: str, cwd: str, search: str) -> bool:
    for folder in search.split(os.pathsep):
        path = os.path.join(cwd, folder, name)  # an empty or relative entry means the directory the command starts in
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return True
    return False


def _unknown(name: str, cwd: str, words: Sequence[str], *, literal: bool) -> errors.UsageError:
    bare = os.sep not in name
    if bare and literal and os.path.lexists(os.path.join(cwd, name)):
        hint = f"after `--` a name without a slash is looked for on the PATH; write {os.curdir}{os.sep}{name}"
        return errors.UsageError(f"no such command: {name!r}", f"{hint}, or: ckptrun train {_quoted(*words)}")
    what = "command" if literal and bare else "script" if name.endswith(".py") or not bare else "script or command"
    near = _nearest(name, cwd)
    shown = f" in {cwd}" if not os.path.isabs(name) and what != "command" else ""
    return errors.UsageError(f"no such {what}: {name!r}{shown}", f"did you mean {near!r}?" if near else "")


def _nearest(name: str, cwd: str) -> str:
    """The file name in the same directory that is nearest to `name`, "" if none is near."""
    import difflib  # noqa: PLC0415  # for mistakes only

    folder, base = os.path.split(name)
    try:
        with os.scandir(os.path.join(cwd, folder) or os.curdir) as entries:
            files = [entry.name for entry in entries if entry.is_file()]
    except OSError:
        return ""
    close = difflib.get_close_matches(base, files, n=1, cutoff=0.6)
    return os.path.join(folder, close[0]) if close else ""


def _inside(path: str, shown: str) -> str:
    try:
        scripts = sorted(name for name in os.listdir(path) if name.endswith(".py"))
    except OSError:
        scripts = []
    likely = next(
        (name for name in ("train.py", "main.py", "__main__.py") if name in scripts), scripts[0] if scripts else ""
    )
    return f"did you mean {os.path.join(shown, likely)!r}?" if likely else "name the script in it"


def _interpreter(path: str) -> str:
    """What a person would call before the file: by its #! line, else by its ending."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        first = b""
    if first.startswith(b"#!"):
        words = os.fsdecode(first[2:]).split()
        return words[-1] if words and words[0].endswith("/env") else words[0] if words else ""
    return {".sh": "bash", ".r": "Rscript", ".jl": "julia", ".js": "node", ".pl": "perl"}.get(
        os.path.splitext(path)[1].lower(), ""
    )


def _quoted(*words: str) -> str:
    import shlex  # noqa: PLC0415  # for mistakes only

    return shlex.join(words)
