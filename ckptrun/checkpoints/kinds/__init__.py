"""File formats that say themselves whether they are whole. Nothing is ever unpickled or loaded: bytes, headers and checksums only.

Each member is a function check(file, deep) that returns if the file is whole and raises Broken otherwise: partial where the end is
missing, as after a kill in the middle of a save, corrupt where bytes are wrong. `deep` reads every byte where the format has checksums.
What is not known here is whole if it is not empty.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.checkpoints.kinds import arrays, documents, hdf5, pickles, tensors, zips
from ckptrun.checkpoints.kinds.file import File
from ckptrun.checkpoints.reading import Broken, Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[File, bool], None]


def _packed(file: File, deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    from ckptrun.checkpoints.kinds import packed  # noqa: PLC0415  # rare, and not for every start

    packed.check(file, deep)


_MAGIC: tuple[tuple[bytes, Check], ...] = (
    (b"PK\x03\x04", zips.check),  # .npz, torch.save, .keras, Stable-Baselines3
    (b"PK\x05\x06", zips.check),  # an empty archive
    (b"\x93NUMPY", arrays.check),
    (b"\x89HDF\r\n\x1a\n", hdf5.check),
    *((bytes((0x80, protocol)), pickles.check) for protocol in (2, 3, 4, 5)),
)
_JSON = ("_METADATA", "_CHECKPOINT_METADATA", "_sharding", "_ROOT_METADATA")  # Orbax's, by their whole names
_SUFFIX: tuple[tuple[str, Check], ...] = (
    (".safetensors", tensors.check),
    (".json", documents.check),
    (".ubj", documents.closed),
    (".npz", zips.check),
    (".keras", zips.check),
    (".zip", zips.check),
    (".npy", arrays.check),
    (".h5", hdf5.check),
    (".hdf5", hdf5.check),
)
_PACKED, _TENSORS, _BUNDLE = ".msgpack", ".safetensors", ".index"
_PAGE = 4096  # bytes: smaller files may lie in their inode, and have no block
_MAPS = (*range(0x81, 0x90), 0xDE, 0xDF)  # what a msgpack map begins with, where the name has no extension: flax


def check(path: str, *, deep: bool, patience: Patience | None = None, tell: Callable[[int], None] | None = None) -> None:
    """Return if the file at `path` is whole as far as its format can tell; `tell` hears of every so many bytes that were checked.

    Raises:
        Broken: with the state and the reason.
    """
    name = os.path.basename(path)
    (patience or Patience()).read(lambda: _check(path, name, deep, tell), name)


def promises(name: str) -> bool:
    """Whether the name says of which format the file is, so that an empty one is not whole."""
    return name in (*_JSON, ".metadata") or name.lower().endswith((_PACKED, *(suffix for suffix, _ in _SUFFIX)))


def _check(path: str, name: str, deep: bool, tell: Callable[[int], None] | None) -> None:  # noqa: FBT001  # as all kinds
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # links are followed: `last.ckpt` is often one
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise Broken(names.CORRUPT, f"{name} is a {_what(found.st_mode)} where a file should be")
        if not found.st_size:
            raise Broken(names.PARTIAL, f"{name} is empty")
        file = File(fd, name, found.st_size, tell)
        head = file.at(0, 8)
        if not name.endswith(_PACKED) and any(magic.startswith(head) and magic != head for magic, _ in _MAGIC):
            raise file.cut_short(f"it has {found.st_size} bytes")
        if not any(head) and found.st_blocks == 0 and found.st_size >= _PAGE:
            raise Broken(
                names.CORRUPT, f"{name} is nothing but a hole of {found.st_size} bytes: nothing was written into it"
            )
        _kind(name, head)(file, deep)
        if name.endswith(_BUNDLE) and _is_bundle(path):
            from ckptrun.checkpoints.kinds import bundles  # noqa: PLC0415  # as above

            bundles.require_data(path, file, deep=deep, tell=tell)
    finally:
        os.close(fd)


def _kind(name: str, head: bytes) -> Check:
    """By what the file begins with, then by what its name promises: a file of zeros named .npz is no .npz."""
    if name.endswith(_PACKED):
        return _packed  # whose smallest map begins as a pickle does
    if name.lower().endswith(_TENSORS) and not head.startswith(b"PK"):
        return tensors.check  # whose header's length, which comes first, begins as a pickle does in one of 32
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if name in _JSON:
        return documents.check
    lower = name.lower()
    for suffix, kind in _SUFFIX:
        if lower.endswith(suffix):
            return kind
    return _packed if head[0] in _MAPS and not os.path.splitext(name)[1].strip(".0123456789") else _anything


def _is_bundle(path: str) -> bool:
    """Is it an index of TensorFlow's: do files with data lie beside it?"""
    stem = os.path.basename(path).removesuffix(_BUNDLE) + ".data-"
    try:
        with os.scandir(os.path.dirname(path) or ".") as entries:
            return any(entry.name.startswith(stem) for entry in entries)
    except OSError:
        return False


def _anything(file: File, deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """Nothing is known of the format; all zeros is what a power cut leaves of a file that was never written to the disk."""
    ends = file.at(0, 512) + file.at(max(file.size - 512, 0), 512)
    if (
        not any(ends)
        and file.size >= 1024
        and deep
        and not any(bytes(block).strip(b"\0") for block in file.blocks(0, file.size))
    ):
        raise Broken(names.CORRUPT, f"{file.name} is nothing but zeros")


def _what(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "directory"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return next((word for is_kind, word in kinds if is_kind(mode)), "device")
