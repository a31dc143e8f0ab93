"""The commit: how a folder becomes a checkpoint that survives whatever comes next.

    hash and fsync each file → fsync directories → manifest, fsynced → fsync the folder → is the lease still ours? → rename →
    fsync the parent → pointer

Until the rename the folder bears a temporary name that nobody resumes from; after the last fsync it is acknowledged. Whatever fails,
the folder is thrown away and the error is the caller's: a failed fsync is never repeated and believed.
"""

from __future__ import annotations

import os
import time

from ckptrun import names
from ckptrun.client import alone, contents
from ckptrun.client.notify import say, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckptrun.client.early import Early
    from ckptrun.client.place import Place

_PAUSES = (0.02, 0.1, 0.4)  # seconds between looks at a lease that cannot be read


class LeaseLost(RuntimeError):  # the same name as the wrapper's error
    """Another attempt has taken the run over: this one must not write any more."""


def open_folder(place: Place, step: int) -> str:
    """A new, empty folder beside where the checkpoint will lie; its name says which attempt writes it."""
    name = f"{names.TMP_PREFIX}{base_name(step)}-a{place.attempt:04d}-{os.urandom(4).hex()}"
    folder = os.path.join(place.checkpoint_dir, name)
    try:
        os.mkdir(folder)
    except FileNotFoundError:  # the first save without ckptrun
        os.makedirs(folder)
    return folder


def commit(
    folder: str, step: int, place: Place, describe: Callable[[list[contents.File]], bytes], early: Early | None = None
) -> str:
    """Make `folder` the checkpoint of `step`: its name. `describe` gives the manifest of the files.

    Raises:
        LeaseLost: another attempt holds the run.
        OSError: the disk is full, or reading, writing or fsync failed.
        ValueError: something in the folder cannot be part of a checkpoint.
    """
    files, directories = contents.walk(folder)
    contents.refuse_open(folder)
    contents.settle(folder, files, early)
    for directory in reversed(directories[1:]):
        contents.sync_directory(os.path.join(folder, directory))
    _write(os.path.join(folder, names.MANIFEST), describe(files))
    contents.sync_directory(folder)
    require_lease(place)
    name = _rename(folder, step, place)
    _point(place.checkpoint_dir, name)
    return name


def base_name(step: int) -> str:
    """`step-00000120`."""
    return f"{names.STEP_PREFIX}{step:08d}"


def saved_already(step: int, place: Place) -> str:
    """The name of a complete checkpoint of `step` that this very attempt made, or ""."""
    for name in _candidates(step, place.attempt):
        if not os.path.lexists(os.path.join(place.checkpoint_dir, name)):
            return ""
        if _is_ours(os.path.join(place.checkpoint_dir, name), place.attempt_id):
            return name
    return ""


def require_lease(place: Place) -> None:
    """Return if this attempt still holds the run, or if nobody keeps leases here.

    Raises:
        LeaseLost: lease.json bears another attempt, is gone, or a later attempt has begun.
        OSError: it cannot be read, so that nothing is known and nothing may be written.
    """
    if not (place.under and place.run_dir):
        return
    holder = _patiently(lambda: _read_holder(os.path.join(place.run_dir, names.LEASE_JSON)))
    later = os.path.join(place.run_dir, names.ATTEMPTS, f"{place.attempt + 1:04d}")
    if holder == place.attempt_id and not os.path.lexists(later):
        return
    raise LeaseLost(
        f"attempt {place.attempt} of run {place.run} has lost its lease to a later one: it must not save any more"
    )


def _rename(folder: str, step: int, place: Place) -> str:
    """Give the folder the first name that was never used, durably."""
    parent = place.checkpoint_dir
    name = next(name for name in _candidates(step, place.attempt) if not _is_used(name, place))
    target = os.path.join(parent, name)
    os.rename(folder, target)
    try:
        contents.sync_directory(parent)
    except OSError:
        os.rename(target, folder)  # a name that may not survive is not given: the caller discards the folder
        raise
    return name


def _candidates(step: int, attempt: int) -> Iterator[str]:
    """First step-00000120, then step-00000120.a0003, step-00000120.a0003.2 and so on."""
    yield base_name(step)
    yield f"{base_name(step)}.a{attempt:04d}"
    number = 2
    while True:
        yield f"{base_name(step)}.a{attempt:04d}.{number}"
        number += 1


def _is_used(name: str, place: Place) -> bool:
    """Names are never reused: neither those that lie here nor those that were set aside."""
    if os.path.lexists(os.path.join(place.checkpoint_dir, name)):
        return True
    if not place.run_dir:
        return False
    aside = os.path.join(place.run_dir, names.SUPERSEDED)
    try:
        homes = os.listdir(aside)
    except FileNotFoundError:
        return False
    return any(os.path.lexists(os.path.join(aside, home, names.CHECKPOINTS, name)) for home in homes)


def _is_ours(path: str, attempt_id: str) -> bool:
    try:
        return bool(alone.read(path)["attempt_id"] == attempt_id)
    except (OSError, ValueError, KeyError):
        return False  # not whole, or not to be read: then the new one gets a name of its own


def _read_holder(path: str) -> str | None:
    """The attempt id in lease.json; None when there is no such file."""
    import json  # noqa: PLC0415  # not before the first save

    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file)["attempt_id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(f"{path} cannot be understood: {error}") from error


def _patiently(look: Callable[[], str | None]) -> str | None:
    for pause in _PAUSES:
        try:
            return look()
        except OSError:
            time.sleep(pause)
    return look()


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _point(parent: str, name: str) -> None:
    """Let `latest` name the checkpoint: a convenience for people, so that a failure is said and changes nothing."""
    link = os.path.join(parent, names.LATEST)
    beside = os.path.join(parent, f"{names.TMP_PREFIX}{names.LATEST}-{os.urandom(4).hex()}")
    try:
        if os.path.lexists(link) and not os.path.islink(link):
            return  # the script's own: not ours to replace
        os.symlink(name, beside)
        os.replace(beside, link)
    except OSError as error:
        say(f"{name} is saved, but the link {names.LATEST} could not be set: {told(error)}")


def discard(folder: str) -> str:
    """Remove a folder that did not become a checkpoint: "" or what could not be removed and why. Links are not followed."""
    left = ""
    try:
        if os.path.islink(folder):
            os.unlink(folder)
            return left
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left = discard(entry.path) or left
                else:
                    os.unlink(entry.path)
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        left = left or f"{folder} is left behind: {error.strerror}"
    return left


def write_done(path: str, why: str) -> None:
    """The proof of completion: a file that appears whole, durably."""
    beside = os.path.join(os.path.dirname(path), f"{names.TMP_PREFIX}{names.DONE}-{os.urandom(4).hex()}")
    try:
        _write(beside, why.encode("utf-8", "backslashreplace") + b"\n")
        os.replace(beside, path)
    except OSError:
        if os.path.lexists(beside):
            os.unlink(beside)
        raise
    contents.sync_directory(os.path.dirname(path))
