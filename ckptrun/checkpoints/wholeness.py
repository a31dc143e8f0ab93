"""What it takes to be whole, for each way of judging that a layout can name. Each is quick, or deep: every byte that has a checksum."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.checkpoints import manifest, own
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.layouts import catalogue, naming

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Checkpoint, FileEntry

    Tell = Callable[[int], None]
    Judge = Callable[[Checkpoint, bool, Patience, Tell], str]

_BLOCK = 1 << 20  # bytes
_FEW = 3  # names in a sentence


def judge(checkpoint: Checkpoint, *, deep: bool, patience: Patience, tell: Tell) -> str:
    """Return, with a remark or "", if the checkpoint is whole; `tell` hears of every so many bytes that were read.

    Raises:
        Broken: with the state and the reason.
    """
    layout = catalogue.layout(checkpoint.layout)
    return _JUDGES[layout.check if layout else "files"](checkpoint, deep, patience, tell)


def _by_manifest(checkpoint: Checkpoint, deep: bool, patience: Patience, tell: Tell) -> str:  # noqa: FBT001  # one signature for all
    found = manifest.read(checkpoint.path, patience)
    own.require_sizes(checkpoint.path, found.files, patience)
    if deep:
        _require_digests(checkpoint.path, found.files, patience, tell)
    if found.thinned:
        raise Broken(names.PARTIAL, own.thinned(found.thinned))
    return unsaved(checkpoint.path, {entry.path for entry in found.files})


def _by_files(checkpoint: Checkpoint, deep: bool, patience: Patience, tell: Tell) -> str:  # noqa: FBT001  # one signature for all
    from ckptrun.checkpoints import kinds  # noqa: PLC0415  # only where there are files that are not ours

    findings = []
    there = files(checkpoint) if deep else checkpoint.files
    if deep:
        from ckptrun.checkpoints import indexes  # noqa: PLC0415  # as above

        indexes.require_all(checkpoint.directory, there, patience)
    for name in there:
        path = os.path.join(checkpoint.directory, name)
        try:
            if not is_mark(checkpoint, name):
                kinds.check(path, deep=deep, patience=patience, tell=tell)
        except Broken as broken:
            findings.append(broken)
        except OSError as error:
            findings.append(Broken(names.UNKNOWN, f"{name} cannot be read: {error.strerror}"))
    if findings:
        raise own.worst(findings)
    return ""


def _by_structure(checkpoint: Checkpoint, deep: bool, patience: Patience, tell: Tell) -> str:  # noqa: FBT001  # one signature for all
    """What names tell was found out by the scan; what is left to do is to look at every file."""
    return _by_files(checkpoint, deep, patience, tell) if deep else ""


def files(checkpoint: Checkpoint) -> list[str]:
    """All files of the unit as they are now: a scan may have listed no more than its directory."""
    found = []
    for name in checkpoint.entries or checkpoint.files:
        path = os.path.join(checkpoint.directory, name)
        below = os.path.isdir(path) and not os.path.islink(path)
        found += [f"{name}/{inside}" for inside in members(path)] if below else [name]
    return found


def is_mark(checkpoint: Checkpoint, name: str) -> bool:
    """Whether a file of the unit is empty and may be: a marker in a directory, which says what it says by being there."""
    from ckptrun.checkpoints import kinds  # noqa: PLC0415  # as above

    if os.sep not in name or naming.is_never_empty(name) or kinds.promises(name):
        return False
    try:
        found = os.stat(os.path.join(checkpoint.directory, name))
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and not found.st_size


_JUDGES: dict[str, Judge] = {"manifest": _by_manifest, "files": _by_files, "structure": _by_structure}


def _require_digests(path: str, files: list[FileEntry], patience: Patience, tell: Tell) -> None:
    findings = []
    for entry in files:
        try:
            if entry.xxh3_128:
                require_digest(os.path.join(path, entry.path), entry, patience, tell)
        except Broken as broken:
            findings.append(broken)
    if findings:
        raise own.worst(findings)


def require_digest(path: str, entry: FileEntry, patience: Patience, tell: Tell) -> None:
    """Return if the file at `path` has the checksum that it was saved with.

    Raises:
        Broken: it has another, or cannot be read.
    """
    found = patience.read(lambda: digest(path, tell), entry.path)
    if found != entry.xxh3_128:
        raise Broken(names.CORRUPT, f"{entry.path} has checksum {found}, and was saved with {entry.xxh3_128}")


def digest(path: str, tell: Tell) -> str:
    """XXH3-128 of a file, in hex."""
    import xxhash  # noqa: PLC0415  # when bytes are checked, not at every launch

    found = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_BLOCK))
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while count := os.readv(fd, [buffer]):
            found.update(buffer[:count])
            tell(count)
    finally:
        os.close(fd)
    return found.hexdigest()


def unsaved(path: str, known: set[str]) -> str:
    """A remark about files that the manifest does not name: harmless, but somebody should know."""
    extra = sorted(name for name in members(path) if name != names.MANIFEST and name not in known)
    if not extra:
        return ""
    more = ", …" if len(extra) > _FEW else ""
    return f"{len(extra)} extra, not part of what was saved: {', '.join(extra[:_FEW])}{more}"


def members(path: str) -> list[str]:
    """All files and links below a directory, relative to it; links are not followed, what cannot be listed is left out."""
    found: list[str] = []
    for directory, below, files in os.walk(path):
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        prefix = os.path.relpath(directory, path)
        found.extend(name if prefix == "." else os.path.join(prefix, name) for name in files)
        below[:] = [name for name in below if name not in links]
    return found
