# ruff: noqa: D102  # each method does what places.Place says
"""Backups where fsspec can reach: object stores, servers. S3 and SSH have ways of their own to go on in the middle of a file.

fsspec keeps an event loop in a thread: nobody may fork after it was imported, and nobody who supervises a training imports it.
"""

from __future__ import annotations

import functools
import os
import urllib.parse
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fsspec.core import url_to_fs

from ckptrun import errors, names
from ckptrun.backup import copying, places
from ckptrun.backup.record import LARGEST
from ckptrun.checkpoints.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ckptrun.backup.copying import Tell
    from ckptrun.backup.places import Place
    from ckptrun.backup.record import Part, Record
    from ckptrun.backup.unit import Unit

    Method = TypeVar("Method", bound=Callable[..., Any])

SENT = "upload"
BLOCK = 4 << 20  # bytes
_S3 = ("s3", "s3a")
_SSH = ("sftp", "ssh", "sshfs")
_CREDENTIALS = "credentials and endpoints are read from where every tool for it reads them: environment, ~/.aws, ~/.ssh, ~/.config/fsspec"


def open_remote(dest: str, environ: Mapping[str, str]) -> Place:  # noqa: ARG001  # the libraries read the environment themselves
    """The place at a URL.

    Raises:
        errors.UsageError: there is no such protocol here.
        errors.IoFailure: it cannot be reached.
    """
    protocol = dest.partition("://")[0]
    try:
        if protocol in _SSH:
            from ckptrun.backup.sftp import SftpPlace  # noqa: PLC0415  # asyncssh is not for those who do not need it

            return SftpPlace(dest)
        with told(dest):
            fs, path = url_to_fs(dest, use_listings_cache=False, skip_instance_cache=protocol != "memory")
    except (ImportError, ValueError) as error:
        raise errors.UsageError(
            f"{places.redacted(dest)}: {without_secrets(str(error), dest)}",
            "pip install 'ckptrun[remote]' brings S3 and SFTP",
        ) from error
    if protocol in _S3:
        from ckptrun.backup.s3 import S3Place  # noqa: PLC0415  # one of several

        return S3Place(fs, path, dest)
    return RemotePlace(fs, path, dest)


@contextmanager
def told(dest: str) -> Iterator[None]:
    """Whatever a library raises in the block becomes a sentence without secrets.

    Raises:
        errors.IoFailure: with that sentence.
    """
    try:
        yield
    except (errors.CkptrunError, Broken, ImportError, ValueError, FileNotFoundError):
        raise
    except Exception as error:  # every library has a tree of its own
        said = without_secrets(str(error) or type(error).__name__, dest)
        raise errors.IoFailure(f"{places.redacted(dest)}: {said}", _CREDENTIALS) from None


def sentences(method: Method) -> Method:
    """A method of a place whose failures are sentences; a missing file stays one."""

    @functools.wraps(method)
    def guarded(self: RemotePlace, *args: Any, **options: Any) -> Any:
        try:
            with told(self.dest):
                return method(self, *args, **options)
        except (ValueError, ImportError, FileNotFoundError) as error:
            said = without_secrets(str(error), self.dest)
            raise errors.IoFailure(f"{self.shown}: {said}", _CREDENTIALS) from None

    return guarded  # type: ignore[return-value]  # of the same shape


def without_secrets(text: str, dest: str) -> str:
    """A text without what stands before the @ of a URL, nor passwords in other URLs."""
    text = places.redacted(text)
    user, _, _ = urllib.parse.urlsplit(dest).netloc.rpartition("@")
    for secret in (user, *user.split(":", 1)[1:]):
        for word in (secret, urllib.parse.unquote(secret)):
            if ":" in user and len(word) > 2:
                text = text.replace(word, "***")
    return text


class RemotePlace:
    """A prefix in a filesystem of fsspec's whose files appear whole, as in every object store."""

    remote = True

    def __init__(self, fs: Any, base: str, dest: str) -> None:
        self.fs, self.base, self.dest = fs, base.rstrip("/"), dest
        self.shown = places.redacted(dest)

    @sentences
    def homes(self) -> list[str]:
        try:
            found = self.fs.ls(self.base, detail=True, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "directory")

    @sentences
    def read(self, home: str, name: str) -> bytes | None:
        try:
            with self.fs.open(self.path(home, name), "rb") as file:
                return bytes(file.read(LARGEST))
        except FileNotFoundError:
            return None

    @sentences
    def write(self, home: str, name: str, data: bytes) -> None:
        path = self.path(home, name)
        self._with_directory(path, lambda: self.fs.pipe_file(path, data))

    @sentences
    def remove(self, home: str, name: str) -> None:
        try:
            self.fs.rm_file(self.path(home, name))
        except FileNotFoundError:
            pass

    @sentences
    def sizes(self, home: str) -> dict[str, int]:
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self.path(home), detail=True)
        except FileNotFoundError:
            return {}
        start = len(self.path(home)) + 1
        return {path[start:]: int(entry["size"]) for path, entry in found.items() if path[start:] not in places.OURS}

    @sentences
    def put(self, unit: Unit, part: Part, home: str, tell: Tell, *, link: bool) -> str:  # noqa: ARG002  # there are no links
        require_as_saved(unit, part)
        fd = copying.open_source(unit.path(part))
        try:
            self.send(fd, part, self.path(home, part.path), tell)
        finally:
            os.close(fd)
        return SENT

    def send(self, fd: int, part: Part, path: str, tell: Tell) -> None:
        """All bytes of an open file; nothing is there before all is."""
        with self._with_directory(path, lambda: self.fs.open(path, "wb")) as file:
            for at in range(0, part.size, BLOCK):
                file.write(block(fd, at, min(BLOCK, part.size - at)))
                tell(min(BLOCK, part.size - at))

    def finish(self, home: str, record: Record) -> None:
        """Links and empty directories stand in the record only: most of these places have none."""

    @sentences
    def fetch(self, home: str, part: Part, fd: int, tell: Tell) -> None:
        done = min(os.fstat(fd).st_size, part.size)
        tell(done)
        with self.fs.open(self.path(home, part.path), "rb") as file:
            file.seek(done)
            while data := file.read(BLOCK):
                os.pwrite(fd, data, done)
                done += len(data)
                tell(len(data))
        os.ftruncate(fd, done)

    @sentences
    def digest(self, home: str, part: Part, tell: Tell) -> str:
        import xxhash  # noqa: PLC0415  # where bytes are read

        found = xxhash.xxh3_128()
        with self.fs.open(self.path(home, part.path), "rb") as file:
            while data := file.read(BLOCK):
                found.update(data)
                tell(len(data))
        return found.hexdigest()

    @contextmanager
    def alone(self, home: str) -> Iterator[None]:  # noqa: ARG002  # there are no locks
        """Two at once send the same bytes to the same names."""
        yield

    @sentences
    def clear(self, home: str) -> None:
        try:
            self.fs.rm(self.path(home), recursive=True)
        except FileNotFoundError:
            pass

    def close(self) -> None:
        """The libraries close what they opened."""

    def _with_directory(self, path: str, act: Callable[[], Any]) -> Any:
        """Do it; where that needs a directory, make that. Object stores need none, and would make buckets."""
        try:
            return act()
        except FileNotFoundError:
            self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            return act()

    def path(self, home: str, name: str = "") -> str:
        """What fsspec calls a file of a home."""
        return "/".join(word for word in (self.base, home, name) if word)


def require_as_saved(unit: Unit, part: Part) -> None:
    """Return if a file holds what the manifest says: nothing that rotted is sent.

    Raises:
        Broken: it does not.
    """
    if part.path in unit.read:
        return
    found = copying.digest_of(unit.path(part))
    if found != part.xxh3_128:
        unit.require_unchanged([part])
        raise Broken(names.CORRUPT, f"{part.path} has checksum {found}, and was saved with {part.xxh3_128}")


def block(fd: int, at: int, size: int) -> bytes:
    """So many bytes of an open file.

    Raises:
        Broken: it has become shorter.
    """
    data = os.pread(fd, size, at)
    while len(data) < size:
        more = os.pread(fd, size - len(data), at + len(data))
        if not more:
            raise Broken(names.PARTIAL, "a file became shorter while it was sent")
        data += more
    return data


__all__ = ["BLOCK", "SENT", "RemotePlace", "block", "open_remote", "require_as_saved", "sentences", "told"]
