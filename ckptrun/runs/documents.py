"""Records as JSON that people can read, and reading them back without trusting them."""

from __future__ import annotations

from typing import Any

import msgspec

from ckptrun import errors, names
from ckptrun.runs import durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


class Unreadable(errors.IoFailure):
    """A record is there and is not what it should be: damaged, of another kind, or of a later version."""


class _Version(msgspec.Struct):
    format: int = 0


def encode(value: Any) -> bytes:
    """One JSON document, indented, with a newline at its end; see `compact` for what JSON cannot hold."""
    return msgspec.json.format(compact(value), indent=2) + b"\n"


def compact(value: Any) -> bytes:
    r"""JSON on one line. Undecodable bytes in text become \xNN; numbers that are not finite become null."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(readable(msgspec.to_builtins(value)))


def readable(value: Any) -> Any:
    r"""The same nest of lists and dicts with undecodable bytes of all texts (`surrogateescape`) written as \xNN."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    if isinstance(value, dict):
        return {readable(key): readable(item) for key, item in value.items()}
    return value


def read(path: str, kind: type[T], *, limit: int = durable.LARGEST_RECORD) -> T | None:
    """The record at `path`, None where there is none.

    Raises:
        Unreadable: it is not such a record, with a sentence that says how.
        errors.IoFailure: it could not be read, which says nothing about it.
    """
    try:
        data = durable.read(path, limit=limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable_or_failed(error, path) from error
    return decode(data, kind, path)


def decode(data: bytes, kind: type[T], path: str) -> T:
    """`data`, read from `path`, as a `kind`; fields that this version does not know are passed over.

    Raises:
        Unreadable: as `read`.
    """
    shown = durable.printable(path)
    try:
        check_format(msgspec.json.decode(data, type=_Version).format, shown)
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        what = f"damaged ({error})" if data.strip(b"\0 \n") else "empty"
        raise Unreadable(f"{shown} is {what}") from error


def check_format(found: int, shown: str) -> None:
    """Refuse what another version wrote: guessing at it could lose something.

    Raises:
        Unreadable: with the versions.
    """
    if found > names.FORMAT:
        raise Unreadable(
            f"{shown} was written by a later version of ckptrun (format {found}; this is {names.VERSION}, which reads {names.FORMAT})",
            "use the newer ckptrun for this run",
        )
    if found < 1:
        raise Unreadable(f"{shown} does not say which format it is")


def unreadable_or_failed(error: OSError, path: str) -> errors.CkptrunError:
    """A link, directory or FIFO in a record's place is `Unreadable`; anything else is the system's error."""
    import errno  # noqa: PLC0415  # only when something went wrong

    if error.errno in (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENXIO, errno.EFBIG):
        why = {errno.ELOOP: "a symbolic link", errno.EFBIG: "far too large"}.get(error.errno, "not a regular file")
        return Unreadable(f"{durable.printable(path)} is {why}")
    return durable.io_error(error, path)
