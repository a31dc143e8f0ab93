"""Seals: what was true of somebody else's checkpoint when it was whole, its files with sizes and checksums. PURE but for `stamps`.

A seal lies beside the directory (runs.beside says where), never in it. Names are relative to the directory that holds the checkpoint,
and written as a manifest writes them.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names, units
from ckptrun.checkpoints import manifest
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import FileEntry, Noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckptrun.model import Checkpoint

LARGEST = manifest.LARGEST
_REWRITTEN = "single"  # the layout of one file that its script writes anew with every save
_FEW = 3
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class SealedFile(Noun, frozen=True, kw_only=True):
    """One file as it was."""

    path: str
    size: int
    xxh3_128: str
    modified: int  # nanoseconds since 1970: bytes that changed while this did not were changed by nobody


class Seal(Noun, frozen=True, kw_only=True):
    """Body of one file in .ckptrun/seals/."""

    format: int = names.FORMAT
    path: str  # relative to the directory that .ckptrun/ lies in
    layout: str
    step: int | None = None
    created: str  # RFC 3339
    version: str  # of the ckptrun that wrote it
    files: list[SealedFile]


class Stamp(Noun, frozen=True):
    """What one file is, without a look into it."""

    size: int
    modified: int
    inode: int = 0
    regular: bool = True


class _Head(Noun, frozen=True, kw_only=True):
    format: int


def stamps(directory: str, files: Iterable[str]) -> dict[str, Stamp]:
    """The files of a checkpoint as they are now; those that are not there are left out.

    Raises:
        Broken: one of them cannot be looked at.
    """
    found = {}
    for name in files:
        try:
            state = os.stat(os.path.join(directory, name))
        except OSError as error:
            if error.errno in _NOWHERE:
                continue
            raise Broken(names.UNKNOWN, f"{name} cannot be read: {error.strerror or error}") from error
        found[name] = Stamp(state.st_size, state.st_mtime_ns, state.st_ino, stat.S_ISREG(state.st_mode))
    return found


def encode(seal: Seal) -> bytes:
    """The text of a seal."""
    files = [msgspec.structs.replace(file, path=manifest.escape(file.path)) for file in seal.files]
    written = msgspec.structs.replace(seal, path=manifest.escape(seal.path), files=files)
    return msgspec.json.format(msgspec.json.encode(written), indent=1) + b"\n"


def parse(data: bytes) -> Seal:
    """A seal from its text.

    Raises:
        Broken: it is none, names impossible files, or is of another format.
    """
    try:
        found = msgspec.json.decode(data, type=_Head).format
        if found != names.FORMAT:
            raise Broken(names.UNKNOWN, f"its seal has format {found}, and this ckptrun knows {names.FORMAT}")
        seal = msgspec.json.decode(data, type=Seal)
        units.from_rfc3339(seal.created)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Broken(names.UNKNOWN, f"its seal is damaged: {error}") from error
    files = [msgspec.structs.replace(file, path=manifest.unescape(file.path)) for file in seal.files]
    manifest.require_sound([FileEntry(path=file.path, size=file.size) for file in files], "its seal")
    return msgspec.structs.replace(seal, path=manifest.unescape(seal.path), files=files)


def is_of_before(seal: Seal, now: Mapping[str, Stamp], item: Checkpoint) -> bool:
    """Whether the seal is of an earlier save: one file that its script rewrites was written, or every file was, after it was sealed."""
    written = [file.path in now and now[file.path].modified != file.modified for file in seal.files]
    if item.layout == _REWRITTEN or item.follows:
        return any(written)
    sealed = units.from_rfc3339(seal.created) * 1e9
    return bool(written) and all(written) and all(stamp.modified > sealed for stamp in now.values())


def is_untouched(seal: Seal, now: Mapping[str, Stamp]) -> bool:
    """Whether nothing was written since, as far as sizes and times tell."""
    return {file.path: (file.size, file.modified) for file in seal.files} == {
        name: (stamp.size, stamp.modified) for name, stamp in now.items()
    }


def findings(seal: Seal, now: Mapping[str, Stamp]) -> list[Broken]:
    """What sizes alone say against a checkpoint: files that are gone, or have another size."""
    found = []
    for file in seal.files:
        stamp = now.get(file.path)
        if stamp is None:
            found.append(Broken(names.PARTIAL, f"{file.path} is missing, which was there when it was sealed"))
        elif not stamp.regular:
            found.append(Broken(names.CORRUPT, f"{file.path} is not a file any more"))
        elif stamp.size != file.size:
            what = f"{file.path} has {stamp.size} bytes, and was sealed with {file.size}"
            found.append(Broken(names.CORRUPT, what + written_since(file, stamp)))
    return found


def written_since(file: SealedFile, stamp: Stamp | None) -> str:
    """The end of a sentence about bytes that are not those that were sealed: a hand did it, or none."""
    if stamp is None or stamp.modified == file.modified:
        return ""
    return "; it was written since (`ckptrun seal --again`, if that was meant)"


def added(seal: Seal, now: Iterable[str]) -> str:
    """A remark about files that came later: harmless, but somebody should know."""
    more = sorted(set(now) - {file.path for file in seal.files})
    return f"{len(more)} more than were sealed: {', '.join(more[:_FEW])}{', …' if len(more) > _FEW else ''}" if more else ""


def differences(old: Seal, new: Seal) -> list[str]:
    """What is not as it was sealed, a sentence for each file; [] if nothing is."""
    was, is_now = ({file.path: file for file in seal.files} for seal in (old, new))
    gone = [f"{name} is gone" for name in sorted(set(was) - set(is_now))]
    come = [f"{name} is new" for name in sorted(set(is_now) - set(was))]
    both = sorted(set(was) & set(is_now))
    return gone + come + [line for name in both if (line := _difference(was[name], is_now[name]))]


def _difference(old: SealedFile, new: SealedFile) -> str:
    if old.size != new.size:
        return f"{old.path} has {new.size} bytes, and was sealed with {old.size}"
    if old.xxh3_128 != new.xxh3_128:
        return f"{old.path} has other bytes" + (", and nobody wrote to it" if old.modified == new.modified else "")
    return ""
