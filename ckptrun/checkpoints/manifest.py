r"""checkpoint.json: read with suspicion, and written as the script's side writes it (a test holds both to one schema).

In the text a backslash in a file's name is `\\` and an undecodable byte `\xNN`; in a `Manifest` names are as the system has them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.checkpoints import reading
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.model import Manifest, Noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import FileEntry

__all__ = ["Broken", "encode", "escape", "is_odd", "parse", "read", "rewrite", "unescape"]

LARGEST = 64 << 20  # bytes: some 500,000 files
_ESCAPED = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")
_ODD = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|\0")  # absolute, empty, '.', '..' or a NUL


class _Head(Noun, frozen=True, kw_only=True):
    format: int


_decoder = msgspec.json.Decoder(Manifest)
_head = msgspec.json.Decoder(_Head)


def read(directory: str, patience: Patience | None = None) -> Manifest:
    """The manifest of the checkpoint in `directory`.

    Raises:
        Broken: there is none (partial), it is none or names impossible files (corrupt), it cannot be read or is of a later
            format (unknown).
    """
    path = f"{directory}/{names.MANIFEST}"
    return parse((patience or Patience()).read(lambda: reading.small(path, LARGEST), names.MANIFEST))


def parse(data: bytes) -> Manifest:
    """A manifest from its text.

    Raises:
        Broken: as `read`.
    """
    try:
        found = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Broken(*_why_not(data, error)) from error
    if found.format != names.FORMAT:
        raise Broken(*_other_format(found.format))
    return _with_names(found)


def encode(manifest: Manifest) -> bytes:
    """The text of a manifest."""
    files = [msgspec.structs.replace(entry, path=escape(entry.path)) for entry in manifest.files]
    fields = msgspec.to_builtins(msgspec.structs.replace(manifest, files=files))
    if not manifest.thinned:  # the script's side does not know of it
        del fields["thinned"]
    return msgspec.json.format(msgspec.json.encode(fields), indent=1) + b"\n"


def rewrite(directory: str, manifest: Manifest) -> None:
    """Put another manifest in the place of the one in `directory`, durably.

    Raises:
        OSError: and what was there is still there.
    """
    from ckptrun.checkpoints import unlinking  # noqa: PLC0415  # for `prune --thin` only

    temporary = os.path.join(directory, f"{names.TMP_PREFIX}{names.MANIFEST}-{os.urandom(4).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "wb") as file:
            file.write(encode(manifest))
            file.flush()
            os.fsync(fd)
        os.rename(temporary, os.path.join(directory, names.MANIFEST))
    except OSError:
        os.unlink(temporary)
        raise
    unlinking.sync(directory)


def metrics(manifest: Manifest) -> dict[str, float]:
    """The metrics as numbers, those among them that JSON cannot hold."""
    values = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
    odd = {key: values[text] for key, text in manifest.nonfinite.items() if text in values}
    return {key: value for key, value in {**manifest.metrics, **odd}.items() if value is not None}


def _why_not(data: bytes, error: Exception) -> tuple[str, str]:
    """A later format may lack what this one needs, so that its number is looked at first."""
    if not data:
        return names.CORRUPT, f"{names.MANIFEST} is empty"
    try:
        found = _head.decode(data).format
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return names.CORRUPT, f"{names.MANIFEST} is not a manifest: {error}"
    if found != names.FORMAT:
        return _other_format(found)
    return names.CORRUPT, f"{names.MANIFEST} is not a manifest: {error}"


def _other_format(found: int) -> tuple[str, str]:
    """Unknown rather than corrupt: a newer ckptrun wrote it, and it may be whole."""
    if found > names.FORMAT:
        return (
            names.UNKNOWN,
            f"{names.MANIFEST} has format {found}, written by a later ckptrun; this one knows {names.FORMAT}",
        )
    return names.CORRUPT, f"{names.MANIFEST} has format {found}, which never existed"


def _with_names(manifest: Manifest) -> Manifest:
    files = manifest.files
    if any("\\" in entry.path for entry in files):
        files = [msgspec.structs.replace(entry, path=unescape(entry.path)) for entry in files]
        manifest = msgspec.structs.replace(manifest, files=files)
    require_sound(files, names.MANIFEST)
    return manifest


def require_sound(files: Sequence[FileEntry], where: str) -> None:
    """Return if a checkpoint can hold such files; `where` they are named.

    Raises:
        Broken: a name leads elsewhere or stands there twice, a size is none.
    """
    for entry in files:
        if is_odd(entry.path) or entry.path == names.MANIFEST:
            raise Broken(names.CORRUPT, f"{where} names {entry.path!r}, which no checkpoint can hold")
        if entry.size < 0:
            raise Broken(names.CORRUPT, f"{where} gives {entry.path!r} {entry.size} bytes")
    if len({entry.path for entry in files}) != len(files):
        raise Broken(names.CORRUPT, f"{where} names a file twice")


def is_odd(path: str) -> bool:
    """Whether a path is none that a file inside of a directory can have: absolute, or with an empty part, `.`, `..` or a NUL."""
    return _ODD.search(path) is not None


def escape(name: str) -> str:
    r"""A file's name as JSON can hold it: `\\` for a backslash, `\xNN` for an undecodable byte."""
    return name.replace("\\", "\\\\").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unescape(name: str) -> str:
    """The name that `escape` wrote."""
    raw = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"\\", name.encode())
    return raw.decode("utf-8", "surrogateescape")
