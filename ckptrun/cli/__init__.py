"""The command line: one verb per file, one boundary that turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.cli import boundary
from ckptrun.cli.group import VERBS, group

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["VERBS", "main"]

PROGRAM = "ckptrun"
COMPLETE = "_CKPTRUN_COMPLETE"  # set by the shell's completion function


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code. Errors are said on stderr and never leave here."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        _prepare()
        if os.environ.get(COMPLETE):
            from ckptrun.cli import shells  # noqa: PLC0415  # only a shell asks

            return shells.answer(group, PROGRAM, COMPLETE)
        return _run(args)
    except (Exception, KeyboardInterrupt) as error:
        code = boundary.explain(error, args)
        boundary.settle()
        return code


def _run(args: list[str]) -> int:
    with group.make_context(PROGRAM, args, auto_envvar_prefix=names.ENV) as ctx:
        code = group.invoke(ctx)
    if sys.stdout is not None:
        sys.stdout.flush()  # here and not at the interpreter's end, where a full disk would go unsaid
    return code if isinstance(code, int) else names.EXIT_OK


def _prepare() -> None:
    """Forget a surrounding ckptrun, make sure that 0, 1 and 2 are taken, and let no odd name break the printing of a table."""
    for name in names.CHILD_ENV:
        os.environ.pop(name, None)
    spare = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    while spare <= 2:  # it was closed: the next file we open would become somebody's stdout
        os.set_inheritable(spare, True)
        spare = os.open(os.devnull, os.O_RDWR)
    os.close(spare)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
