"""The tree of errors. A class is a sentence, an optional hint and an exit code; the command line's boundary prints them.

CkptrunError                1
UsageError                2     the command line is wrong
ConfigError              78     the configuration is wrong (all mistakes at once)
Leased                   69     the run is held by somebody else
CannotCreate             73     a directory or file cannot be made
IoFailure                74     reading or writing failed (disk full and quota among them)
DoNotRestart             93     stopped by the user, budget spent, or no progress
LeaseLost                69     somebody else took the run over while we ran
"""

from ckptrun import names


class CkptrunError(Exception):
    """What happened, where, and what to do next.

    `message` is "what happened: where"; `hint` says what to do, with the user's own arguments in it.
    """

    exit_code = names.EXIT_FAILURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CkptrunError):
    """The command line cannot be understood or contradicts itself."""

    exit_code = names.EXIT_USAGE


class ConfigError(CkptrunError):
    """The configuration is wrong; `problems` holds one line for each mistake."""

    exit_code = names.EXIT_CONFIG

    def __init__(self, problems: list[str], hint: str = "") -> None:
        super().__init__("\n       ".join(problems), hint)
        self.problems = problems


class Leased(CkptrunError):
    """Somebody else holds the run (who, where, since when)."""

    exit_code = names.EXIT_LEASED


class LeaseLost(CkptrunError):
    """Our lease was taken over while we were suspended or unreachable: nothing more may be written."""

    exit_code = names.EXIT_LEASED


class CannotCreate(CkptrunError):
    """A directory or file that is needed cannot be made."""

    exit_code = names.EXIT_CANNOT_CREATE


class IoFailure(CkptrunError):
    """Reading or writing failed: I/O error, disk or quota full, stale file handle."""

    exit_code = names.EXIT_IO


class DoNotRestart(CkptrunError):
    """Starting again would be wrong: stopped by the user, restart budget spent, or no progress."""

    exit_code = names.EXIT_DO_NOT_RESTART
