"""Every error becomes a sentence, a hint and an exit code here, and nowhere else."""

from __future__ import annotations

import errno
import os
import sys

import click

from ckptrun import errors, names
from ckptrun.cli import words

DEBUG = "CKPTRUN_DEBUG"
EXIT_BROKEN_PIPE = 128 + 13  # as a shell reports a program that SIGPIPE ended
_CANNOT_CREATE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_HINTS = {
    errno.ENOSPC: "the disk is full: free some space, or write elsewhere (--root)",
    errno.EDQUOT: "your quota is used up (`quota -s` shows it): free some space, or write elsewhere (--root)",
    errno.EACCES: "you may not do this there: look at the owner and the mode, or write elsewhere (--root)",
    errno.EPERM: "you may not do this there: look at the owner and the mode, or write elsewhere (--root)",
    errno.EROFS: "the file system is mounted read-only: write elsewhere (--root)",
    errno.EIO: "the disk or the server behind it failed; the same command may work later or on another machine",
    errno.ESTALE: "the file server forgot the file; the same command may work when started again",
    errno.EMFILE: "too many open files: raise the limit (`ulimit -n`)",
}


def explain(error: BaseException, args: list[str]) -> int:
    """Say what went wrong on stderr; the exit code for it."""
    if os.environ.get(DEBUG) and not isinstance(error, (click.exceptions.Exit, KeyboardInterrupt)):
        _traceback(error)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, errors.CkptrunError):
        words.error(error.message, error.hint)
        return error.exit_code
    if isinstance(error, click.ClickException):
        return _click_error(error)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        words.say("interrupted")
        return names.EXIT_INTERRUPTED
    if isinstance(error, OSError):
        return _os_error(error)
    return _unexpected(error, args)


def _click_error(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    message = error.format_message()
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "ckptrun"
    words.error(message[:1].lower() + message[1:], f"`{command} --help` explains it")
    return error.exit_code


def _os_error(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        return EXIT_BROKEN_PIPE  # whoever closed it does not want to hear more
    where = "".join(
        f": {os.fsdecode(name)!r}" for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))
    )
    words.error(f"{error.strerror or error}{where}", _HINTS.get(error.errno or 0, ""))
    return names.EXIT_CANNOT_CREATE if error.errno in _CANNOT_CREATE else names.EXIT_IO


def _unexpected(error: BaseException, args: list[str]) -> int:
    if any(arg in ("-v", "-vv", "--verbose") for arg in args) and not os.environ.get(DEBUG):
        _traceback(error)
    words.error(
        f"a fault in ckptrun itself, not in your script: {type(error).__name__}: {error}",
        f"what was saved is not touched. To report it: {DEBUG}=1 before the same command shows where it happened "
        f"(ckptrun {names.VERSION}, Python {sys.version.split()[0]})",
    )
    return names.EXIT_FAILURE


def _traceback(error: BaseException) -> None:
    import traceback  # noqa: PLC0415  # for faults only

    words.say("".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip("\n"))


def settle() -> None:
    """What could not be written to stdout must not become a second complaint when the interpreter ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
