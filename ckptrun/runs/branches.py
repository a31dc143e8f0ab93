"""Which runs were branched from a run: branches/NAME.json, one small file for each, so that its checkpoint is not pruned."""

from __future__ import annotations

import os

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.runs import documents, durable, paths, records, unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ckptrun.runs.paths import RunPaths

_SUFFIX = ".json"


class Branch(Noun, frozen=True, kw_only=True):
    """Body of one file; both paths are relative to the run that was branched from."""

    format: int = names.FORMAT
    run: str
    directory: str  # of the new run
    checkpoint: str
    created: str = ""  # RFC 3339
    by: str = ""  # "ana@login1"


def record(parent: RunPaths, checkpoint: str, run: RunPaths, *, by: str, now: float) -> str:
    """Write down, durably, that `run` begins with the checkpoint at `checkpoint` of `parent`; the file.

    Raises:
        errors.CannotCreate, errors.IoFailure: it could not be written.
    """
    if paths.make_directory(parent.branches):
        paths.sync_parent(parent.branches)
    unfinished.sweep(parent.branches, now)
    path = os.path.join(parent.branches, run.name + _SUFFIX)
    made = Branch(
        run=run.name,
        directory=os.path.relpath(run.dir, parent.dir),
        checkpoint=os.path.relpath(checkpoint, parent.dir),
        created=records.now_text(now),
        by=by,
    )
    durable.replace(path, documents.encode(made))
    return path


def of(run: RunPaths) -> list[Branch]:
    """What was branched from a run and is still there, by name.

    Raises:
        errors.IoFailure: a record cannot be read or understood: what it protects is not known.
    """
    try:
        entries = sorted(durable.retry(lambda: os.listdir(run.branches)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise durable.io_error(error, run.branches) from error
    found = (documents.read(os.path.join(run.branches, name), Branch) for name in entries if name.endswith(_SUFFIX))
    return [each for each in found if each is not None and _is_there(run, each)]


def in_use(run: RunPaths) -> dict[str, str]:
    """Absolute paths of the run's checkpoints that others were branched from, each with a sentence: those are not pruned.

    Raises:
        errors.IoFailure: as `of`.
    """
    found: dict[str, list[str]] = {}
    for each in of(run):
        found.setdefault(os.path.normpath(os.path.join(run.dir, each.checkpoint)), []).append(each.run)
    return {path: f"{', '.join(f'run {name}' for name in runs)} branched from it" for path, runs in found.items()}


def _is_there(run: RunPaths, branch: Branch) -> bool:
    """A run that was deleted protects nothing; one that cannot be looked at does."""
    try:
        os.lstat(os.path.join(run.dir, branch.directory))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
