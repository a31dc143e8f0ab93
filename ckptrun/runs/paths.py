# ruff: noqa: D102  # each property is the path of what its name says
"""Where everything of a run lies, which run it is, and making the directories."""

from __future__ import annotations

import errno
import os
import re

from ckptrun import errors, names
from ckptrun.model import Noun
from ckptrun.runs import durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PYTHON = re.compile(r"python[0-9.]*")
_HASH_DIGITS = 6


class AttemptPaths(Noun, frozen=True, kw_only=True):
    """The directory of one attempt and what is in it."""

    dir: str
    number: int

    @property
    def json(self) -> str:
        return os.path.join(self.dir, names.ATTEMPT_JSON)

    @property
    def log(self) -> str:
        return os.path.join(self.dir, names.LOG)

    @property
    def output(self) -> str:
        return os.path.join(self.dir, names.OUTPUT)

    @property
    def input(self) -> str:
        return os.path.join(self.dir, names.INPUT)

    @property
    def done(self) -> str:
        return os.path.join(self.dir, names.DONE)


class RunPaths(Noun, frozen=True, kw_only=True):
    """The directory of one run and what is in it."""

    dir: str

    @property
    def name(self) -> str:
        return os.path.basename(self.dir)

    @property
    def run_yaml(self) -> str:
        return os.path.join(self.dir, names.RUN_YAML)

    @property
    def ledger(self) -> str:
        return os.path.join(self.dir, names.LEDGER)

    @property
    def lease_lock(self) -> str:
        return os.path.join(self.dir, names.LEASE_LOCK)

    @property
    def lease_json(self) -> str:
        return os.path.join(self.dir, names.LEASE_JSON)

    @property
    def control(self) -> str:
        return os.path.join(self.dir, names.CONTROL)

    @property
    def inbox(self) -> str:
        return os.path.join(self.control, names.INBOX)

    @property
    def answers(self) -> str:
        return os.path.join(self.control, names.ANSWERS)

    @property
    def refused(self) -> str:
        return os.path.join(self.control, names.REFUSED)

    @property
    def request(self) -> str:
        return os.path.join(self.control, names.REQUEST)

    @property
    def progress(self) -> str:
        return os.path.join(self.control, names.PROGRESS)

    @property
    def stopped(self) -> str:
        return os.path.join(self.control, names.STOPPED)

    @property
    def checkpoints(self) -> str:
        return os.path.join(self.dir, names.CHECKPOINTS)

    @property
    def attempts(self) -> str:
        return os.path.join(self.dir, names.ATTEMPTS)

    @property
    def superseded(self) -> str:
        return os.path.join(self.dir, names.SUPERSEDED)

    @property
    def backup(self) -> str:
        return os.path.join(self.dir, names.BACKUP)

    @property
    def trash(self) -> str:
        return os.path.join(self.dir, names.TRASH)

    @property
    def latest(self) -> str:
        return os.path.join(self.checkpoints, names.LATEST)

    def attempt(self, number: int) -> AttemptPaths:
        return AttemptPaths(dir=os.path.join(self.attempts, f"{number:04d}"), number=number)


def run_paths(root: str, name: str) -> RunPaths:
    """The run `name` under `root`, made absolute; nothing is touched.

    Raises:
        errors.UsageError: the name is not one.
    """
    valid_name(name)
    return RunPaths(dir=os.path.join(os.path.abspath(root), name))


def valid_name(name: str) -> None:
    """Accept 1 to 64 of `A-Z a-z 0-9 . _ -`, the first neither `.` nor `-`: those are paths and options to other verbs.

    Raises:
        errors.UsageError: with what is wrong.
    """
    if _NAME.fullmatch(name) and name[0] not in ".-":
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
    if not _NAME.fullmatch(text) or text[0] in ".-":
        raise errors.UsageError(f"'{durable.printable(text[:80])}' is not an id: it takes letters, digits, '.', '_' and '-'")


def derive_name(command: Sequence[str], cwd: str) -> str:
    """The name of a run that was given none: the script's stem and six digits of the hash of directory and command."""
    import xxhash  # noqa: PLC0415  # not needed where the run has a name

    digest: str = xxhash.xxh3_64_hexdigest(os.fsencode("\0".join([cwd, *command])))
    stem = _cleaned(_script_stem(command))[: 64 - 1 - _HASH_DIGITS]
    return f"{stem or 'run'}-{digest[:_HASH_DIGITS]}"


def create(paths: RunPaths) -> None:
    """Make the run's directory, durably, and its rooms, where they are missing.

    Raises:
        errors.CannotCreate: with the directory that could not be made.
        errors.IoFailure: the disk is full.
    """
    for path in _missing(paths.dir):
        if make_directory(path):
            sync_parent(path)
    for path, mode in _rooms(paths):
        make_directory(path, mode)


def make_directory(path: str, mode: int = durable.DIRECTORY) -> bool:
    """One directory; whether it had to be made.

    Raises:
        errors.CannotCreate, errors.IoFailure: as `create`.
    """
    try:
        os.mkdir(path, mode)
    except FileExistsError as error:
        if not os.path.isdir(path):
            raise durable.io_error(error, path, creating=True) from error
        return False
    except OSError as error:
        if error.errno == errno.EROFS and os.path.isdir(path):
            return False  # there already: whether we may write is found by writing
        raise durable.io_error(error, path, creating=True) from error
    return True


def sync_parent(path: str) -> None:
    """Make the name of a new file or directory durable.

    Raises:
        errors.IoFailure: it could not be done.
    """
    parent = os.path.dirname(path)
    try:
        durable.fsync_dir(parent)
    except OSError as error:
        raise durable.io_error(error, parent) from error


def attempts(paths: RunPaths) -> list[int]:
    """The numbers of all attempts that have a directory, ascending."""
    try:
        entries = durable.retry(lambda: os.listdir(paths.attempts))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise durable.io_error(error, paths.attempts) from error
    return sorted(int(entry) for entry in entries if entry.isascii() and entry.isdigit() and len(entry) >= 4)


def new_attempt(paths: RunPaths, number: int) -> AttemptPaths:
    """Make the directory of attempt `number`, and nobody else can: the number is the run's fencing token.

    Raises:
        errors.Leased: somebody else took this number a moment ago, where locks do not hold.
        errors.CannotCreate, errors.IoFailure: as `create`.
    """
    attempt = paths.attempt(number)
    try:
        os.mkdir(attempt.dir, durable.DIRECTORY)
        os.mkdir(attempt.output, 0o777)  # the script's own: as the user's umask says
        os.mkdir(attempt.input, durable.DIRECTORY)
        durable.fsync_dir(paths.attempts)
    except FileExistsError as error:
        raise errors.Leased(
            f"run {paths.name}: attempt {number} was begun by somebody else at this moment", f"ckptrun status {paths.name}"
        ) from error
    except OSError as error:
        raise durable.io_error(error, attempt.dir, creating=True) from error
    return attempt


def all_runs(root: str) -> list[RunPaths]:
    """Every run under `root`, by name; a root that is not there has none."""
    try:
        entries = durable.retry(lambda: sorted(os.listdir(root)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise durable.io_error(error, root) from error
    return [run_paths(root, entry) for entry in entries if _is_run(root, entry)]


def _is_run(root: str, entry: str) -> bool:
    if not _NAME.fullmatch(entry) or entry[0] in ".-":
        return False
    inside = (names.RUN_YAML, names.LEASE_LOCK)  # the second: a start that was killed before it wrote the first
    return any(os.path.lexists(os.path.join(root, entry, name)) for name in inside)


def _missing(path: str) -> list[str]:
    """The run's directory, the root and what is above it, as far as they are not there; outermost first."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing[::-1]


def _rooms(paths: RunPaths) -> list[tuple[str, int]]:
    return [
        (paths.control, durable.PRIVATE_DIRECTORY),
        (paths.inbox, durable.PRIVATE_DIRECTORY),
        (paths.attempts, durable.DIRECTORY),
        (paths.checkpoints, 0o777),
    ]


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
