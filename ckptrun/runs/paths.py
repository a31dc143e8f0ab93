# ruff: noqa: D102  # each property is the path of what its name says
"""Where everything of a run lies, which run it is, and making the directories."""

from __future__ import annotations

import errno
import os

from ckptrun import errors, names
from ckptrun.model import Noun
from ckptrun.runs import durable
from ckptrun.runs.naming import derive_name, is_name, task_name, valid_id, valid_name

__all__ = [
    "AttemptPaths",
    "RunPaths",
    "all_runs",
    "attempts",
    "create",
    "derive_name",
    "make_directory",
    "new_attempt",
    "run_paths",
    "sync_parent",
    "task_name",
    "valid_id",
    "valid_name",
]


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

    def task(self, rank: int) -> str:
        return os.path.join(self.dir, names.TASKS, f"{rank:04d}")

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
    def branches(self) -> str:
        return os.path.join(self.dir, names.BRANCHES)

    @property
    def backup(self) -> str:
        return os.path.join(self.dir, names.BACKUP)

    @property
    def trash(self) -> str:
        return os.path.join(self.dir, names.TRASH)

    @property
    def pins(self) -> str:
        return os.path.join(self.dir, names.PINS)

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
    if not is_name(entry):
        return False
    inside = (names.RUN_YAML, names.LEASE_LOCK)  # the second: a start that was killed before it wrote the first
    if any(os.path.lexists(os.path.join(root, entry, name)) for name in inside):
        return True
    submitted = (names.JOBS, names.CONTROL)  # its job waits; an array's scripts lie in a directory that has only the first
    return all(os.path.lexists(os.path.join(root, entry, name)) for name in submitted)


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
