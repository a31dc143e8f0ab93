"""Which jobs were submitted for a run, each with its batch script: `jobs/0001.sh`, `jobs/0001.json`."""

from __future__ import annotations

import os
from typing import Any

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.runs import documents, durable, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ckptrun.runs.paths import RunPaths

_LIMIT = 64 << 10  # bytes


class Submission(Noun, frozen=True, kw_only=True):
    """One job that was handed to a scheduler; body of jobs/NNNN.json."""

    format: int = names.FORMAT
    platform: str
    job: str
    cluster: str = ""
    submitted: str  # RFC 3339
    by: str = ""  # user@host
    output: str = ""  # where its output goes, with the scheduler's own placeholders
    script: str = ""  # its batch script, where that is not beside this: an array's lies in the directory of the array
    sweep: dict[str, Any] = {}  # the task's values, where it is one of a sweep


def folder(run: RunPaths) -> str:
    """The directory of a run's submissions."""
    return os.path.join(run.dir, names.JOBS)


def write_script(run: RunPaths, script: str, *, array: bool = False) -> str:
    """Keep a batch script under the next number; its path. The run's directory is made if it is missing.

    An array's tasks are runs of their own: its script lies in a directory that is none.

    Raises:
        errors.CannotCreate, errors.IoFailure: it cannot be made or written.
    """
    if array:
        os.makedirs(run.dir, exist_ok=True)
    else:
        paths.create(run)
    paths.make_directory(folder(run))
    number = max([0, *_numbers(run)]) + 1
    while True:
        path = os.path.join(folder(run), f"{number:04d}.sh")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o777)
        except FileExistsError:  # another submission, at this moment
            number += 1
            continue
        except OSError as error:
            raise durable.io_error(error, path, creating=True) from error
        try:
            durable.write_all(fd, os.fsencode(script))
        except OSError as error:
            raise durable.io_error(error, path) from error
        finally:
            os.close(fd)
        return path


def remember(script: str, submission: Submission) -> None:
    """Write down the job that the script at this path became.

    Raises:
        errors.IoFailure: it cannot be written.
    """
    durable.replace(script.removesuffix(".sh") + ".json", documents.encode(submission))


def note(run: RunPaths, submission: Submission) -> None:
    """Write down, as the run's next submission, the task of an array that it is. Its directory is made if it is missing.

    Not synced: there may be hundreds, and what is lost is only a look into the queue.

    Raises:
        errors.CannotCreate, errors.IoFailure: it cannot be made or written.
    """
    if not os.path.isdir(run.attempts):
        paths.create(run)
    paths.make_directory(folder(run))
    number = max([0, *_numbers(run)]) + 1
    durable.replace(os.path.join(folder(run), f"{number:04d}.json"), documents.encode(submission), sync=False)


def latest(run: RunPaths) -> Submission | None:
    """The job submitted last, None if none was.

    Raises:
        documents.Unreadable, errors.IoFailure: as `documents.read`.
    """
    for number in sorted(_numbers(run), reverse=True):
        found = documents.read(os.path.join(folder(run), f"{number:04d}.json"), Submission, limit=_LIMIT)
        if found is not None:
            return found
    return None


def _numbers(run: RunPaths) -> list[int]:
    try:
        entries = durable.retry(lambda: os.listdir(folder(run)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise durable.io_error(error, folder(run)) from error
    stems = {stem for stem, ending in map(os.path.splitext, entries) if ending in (".sh", ".json")}
    return [int(stem) for stem in stems if stem.isdigit()]
