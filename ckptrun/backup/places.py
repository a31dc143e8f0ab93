"""Where backups lie. A place is a directory or a URL's path in which every backup has a directory (or a prefix) of its own, its home.

A file is in a place whole or not at all, and under its final name: so whoever goes on with an unfinished backup believes what is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ckptrun import errors, names
from ckptrun.config.destinations import absolute, below, is_url, redacted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from ckptrun.backup.copying import Tell
    from ckptrun.backup.record import Part, Record
    from ckptrun.backup.unit import Unit

OURS = (names.BACKUP_JSON, names.BACKUP_BEGUN)


class Place(Protocol):
    """What a backup needs of where it goes. Everything raises OSError or errors.CkptrunError where it cannot be done."""

    shown: str  # what people are told, without passwords
    remote: bool

    def homes(self) -> list[str]:
        """The names of all that may be backups."""

    def read(self, home: str, name: str) -> bytes | None:
        """A small file of a home; None where there is none."""

    def write(self, home: str, name: str, data: bytes) -> None:
        """The same, put there at once and durably."""

    def remove(self, home: str, name: str) -> None:
        """Take a small file away; it may be gone."""

    def sizes(self, home: str) -> dict[str, int]:
        """Every file that is there, by its path in the home."""

    def put(self, unit: Unit, part: Part, home: str, tell: Tell, *, link: bool) -> str:
        """Send one file; how. With `link`, another name for it will do."""

    def finish(self, home: str, record: Record) -> None:
        """Links and empty directories, and all names durable."""

    def fetch(self, home: str, part: Part, fd: int, tell: Tell) -> None:
        """The bytes of one file into an open one, which may hold the first of them already."""

    def digest(self, home: str, part: Part, tell: Tell) -> str:
        """What a file that is there holds: all of it is read."""

    def alone(self, home: str) -> AbstractContextManager[None]:
        """While the block runs nobody else makes this backup, where that can be had."""

    def clear(self, home: str) -> None:
        """Remove what an unfinished backup left there."""

    def close(self) -> None:
        """Nothing more is asked."""


def open_place(dest: str, environ: Mapping[str, str]) -> Place:
    """The place that an absolute path or a URL names.

    Raises:
        errors.UsageError: what this URL needs is not installed.
        errors.IoFailure: it cannot be reached.
    """
    if not is_url(dest):
        from ckptrun.backup.local import LocalPlace  # noqa: PLC0415  # one of two

        return LocalPlace(dest)
    try:
        from ckptrun.backup import remote  # noqa: PLC0415  # fsspec takes a tenth of a second
    except ImportError as error:
        raise errors.UsageError(
            f"{redacted(dest)}: URLs need fsspec, which is not installed here", "pip install 'ckptrun[remote]'"
        ) from error
    return remote.open_remote(dest, environ)


__all__ = ["OURS", "Place", "absolute", "below", "is_url", "open_place", "redacted"]
