"""Writing tensors a block at a time: beside their place, synced, then named, so that nothing half-written ever has the name."""

from __future__ import annotations

import os
import zipfile
from typing import IO, TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names
from ckptrun.model import Noun
from ckptrun.runs import documents, durable, unfinished
from ckptrun.state import dtypes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

NOTE = "ckptrun"
SUFFIXES = (".safetensors", ".npz")
_MODE = 0o666  # the script's own: as the user's umask says


class Column(Noun, frozen=True, kw_only=True):
    """A tensor to be written: what it is, and its bytes, which are asked for once."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator[bytes]]

    @property
    def size(self) -> int:
        """Its bytes."""
        size = dtypes.BY_NAME[self.dtype].width
        for side in self.shape:
            size *= side
        return size


def require_possible(path: str, columns: Iterable[Column], *, force: bool) -> None:
    """Return if a file for `columns` can be written at `path`.

    Raises:
        UsageError: something is there already, its name says no format, or the format cannot hold them.
    """
    suffix = os.path.splitext(path)[1]
    if suffix not in SUFFIXES:
        raise errors.UsageError(
            f"{path}: its name does not say what to write",
            f"name it {os.path.splitext(os.path.basename(path))[0]}{SUFFIXES[0]} or {SUFFIXES[1]}",
        )
    if os.path.isdir(path) or (os.path.lexists(path) and not force):
        raise _there(path)
    for each in columns:
        known = dtypes.BY_NAME.get(each.dtype)
        if known is None or not (known.code if suffix == SUFFIXES[0] else known.array):
            other = SUFFIXES[1] if suffix == SUFFIXES[0] else SUFFIXES[0]
            raise errors.UsageError(f"{suffix} cannot hold {each.dtype}, as {each.name} is", f"write a {other}")


def write(path: str, columns: Sequence[Column], about: Mapping[str, Any], *, notes: Mapping[str, str], force: bool) -> None:
    """Put a .safetensors or .npz at `path`, durably, or nothing.

    `about` says where it came from: JSON in the key NOTE of safetensors' __metadata__, beside `notes`; in the member NOTE.json of a .npz.

    Raises:
        UsageError: as `require_possible`; something came to be there meanwhile.
        IoFailure, CannotCreate: it could not be written: a full disk among them.
    """
    require_possible(path, columns, force=force)
    directory, base = os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f"{names.TMP_PREFIX}{base}-{os.urandom(6).hex()}")
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise durable.io_error(error, path, creating=True) from error
    unfinished.sweep(directory, os.fstat(fd).st_mtime)
    try:
        with open(fd, "w+b") as file:
            if path.endswith(SUFFIXES[0]):
                _safetensors(file, columns, {**notes, NOTE: documents.compact(about).decode()})
            else:
                _npz(file, columns, documents.encode(about))
            file.flush()
            os.fsync(file.fileno())
        _name(temporary, path, force=force)
        durable.fsync_dir(directory)
    except OSError as error:
        raise durable.io_error(error, path) from error
    finally:
        _discard(temporary)


def _name(temporary: str, path: str, *, force: bool) -> None:
    """Give it its name: with `force` in the place of what is there, else only where nothing is."""
    if not force:
        try:
            os.link(temporary, path)
            return
        except FileExistsError:
            raise _there(path) from None
        except OSError:  # no links on this filesystem: then a look must do
            if os.path.lexists(path):
                raise _there(path) from None
    os.rename(temporary, path)


def _there(path: str) -> errors.UsageError:
    return errors.UsageError(f"{path} is there already", "choose another name, or --force to replace it")


def _discard(temporary: str) -> None:
    try:
        os.unlink(temporary)
    except OSError:  # it has its name by now
        pass


def _safetensors(file: IO[bytes], columns: Sequence[Column], notes: Mapping[str, str]) -> None:
    """A length, a header padded to 8 bytes, the tensors (huggingface/safetensors, README "Format"): widest first, so that all are aligned."""
    ordered = sorted(columns, key=lambda each: (-dtypes.BY_NAME[each.dtype].width, each.name))
    header: dict[str, object] = {"__metadata__": dict(notes)}
    at = 0
    for each in ordered:
        header[each.name] = {
            "dtype": dtypes.BY_NAME[each.dtype].code,
            "shape": each.shape,
            "data_offsets": (at, at + each.size),
        }
        at += each.size
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for each in ordered:
        _copy(each, file)


def _npz(file: IO[bytes], columns: Sequence[Column], about: bytes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for each in columns:
            with archive.open(zipfile.ZipInfo(f"{each.name}.npy"), "w", force_zip64=True) as member:
                member.write(_npy_header(each))
                _copy(each, member)
        archive.writestr(zipfile.ZipInfo(f"{NOTE}.json"), about)


def _npy_header(column: Column) -> bytes:
    """numpy.lib.format, version 1.0; padded to 64 bytes."""
    kind = dtypes.BY_NAME[column.dtype].array
    order = "|" if kind.endswith("1") else "<"
    text = f"{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': {tuple(column.shape)!r}, }}".encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _copy(column: Column, file: IO[bytes]) -> None:
    written = 0
    for block in column.blocks():
        file.write(block)
        written += len(block)
    if written != column.size:  # pragma: no cover  # `rechunked` has counted them
        raise errors.IoFailure(f"{column.name} has {written} bytes and not {column.size}")
