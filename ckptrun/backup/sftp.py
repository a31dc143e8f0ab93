# ruff: noqa: D102  # each method does what places.Place says
"""SSH servers: files are written under a name of their own and renamed when all of it is there; what is there is gone on with.

The server must be known (~/.ssh/known_hosts), as for ssh itself: fsspec's own ways to it believe any.
"""

from __future__ import annotations

import os
import stat
import urllib.parse
from typing import TYPE_CHECKING, Any

import asyncssh
from fsspec.asyn import sync
from sshfs import SSHFileSystem

from ckptrun.backup import places
from ckptrun.backup.record import LARGEST
from ckptrun.backup.remote import BLOCK, SENT, RemotePlace, block, require_as_saved, sentences, told

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ckptrun.backup.copying import Tell
    from ckptrun.backup.record import Part
    from ckptrun.backup.unit import Unit

_KEEPALIVE = 15  # seconds without a word from the server before it is asked; thrice, then it is gone
_PARTIAL = ".part-"  # + the digest of what it will be
_WRITE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT


class SftpPlace(RemotePlace):
    """A directory of a server."""

    def __init__(self, dest: str) -> None:
        url = urllib.parse.urlsplit(dest)
        path = urllib.parse.unquote(url.path)
        base = path.removeprefix("/~/")  # in the home directory
        with told(dest):
            fs = SSHFileSystem(url.hostname or "localhost", **_options(url), skip_instance_cache=True)
            self._sftp: Any = sync(fs.loop, fs.client.start_sftp_client)
        super().__init__(fs, base, dest)

    @sentences
    def homes(self) -> list[str]:
        return sorted(name for name, attrs in self._run(self._listed(self.base)) if stat.S_ISDIR(attrs.permissions))

    @sentences
    def read(self, home: str, name: str) -> bytes | None:
        found: bytes | None = self._run(self._read(self.path(home, name)))
        return found

    @sentences
    def write(self, home: str, name: str, data: bytes) -> None:
        self._run(self._write_whole(self.path(home, name), data))

    @sentences
    def remove(self, home: str, name: str) -> None:
        self._run(self._remove(self.path(home, name)))

    @sentences
    def sizes(self, home: str) -> dict[str, int]:
        found: dict[str, int] = {}
        self._run(self._walk(self.path(home), "", found))
        return {path: size for path, size in found.items() if path not in places.OURS}

    @sentences
    def put(self, unit: Unit, part: Part, home: str, tell: Tell, *, link: bool) -> str:  # noqa: ARG002  # there are no links
        require_as_saved(unit, part)
        fd = os.open(unit.path(part), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._run(self._send(fd, part, self.path(home, part.path), tell))
        finally:
            os.close(fd)
        return SENT

    @sentences
    def fetch(self, home: str, part: Part, fd: int, tell: Tell) -> None:
        self._run(self._fetch(self.path(home, part.path), fd, part, tell))

    @sentences
    def digest(self, home: str, part: Part, tell: Tell) -> str:
        import xxhash  # noqa: PLC0415  # where bytes are read

        found = xxhash.xxh3_128()
        self._run(self._read_all(self.path(home, part.path), found, tell))
        return found.hexdigest()

    @sentences
    def clear(self, home: str) -> None:
        self._run(self._clear(self.path(home)))

    def close(self) -> None:
        self._run(self._close())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do it in fsspec's loop, and wait."""

        async def whole() -> Any:
            return await work

        return sync(self.fs.loop, whole)

    async def _close(self) -> None:
        self._sftp.exit()
        self.fs.client.close()
        await self.fs.client.wait_closed()

    # --- in the loop -----------------------------------------------------------------------------------------------------
    async def _listed(self, path: str) -> list[tuple[str, Any]]:
        try:
            found = await self._sftp.readdir(path)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return []
        return [(entry.filename, entry.attrs) for entry in found if entry.filename not in (".", "..")]

    async def _read(self, path: str) -> bytes | None:
        try:
            async with self._sftp.open(path, "rb") as file:
                return bytes(await file.read(LARGEST))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None

    async def _write_whole(self, path: str, data: bytes) -> None:
        await self._sftp.makedirs(os.path.dirname(path), exist_ok=True)
        beside = f"{path}{_PARTIAL}{os.urandom(4).hex()}"
        async with self._sftp.open(beside, "wb") as file:
            await file.write(data)
            await _fsync(file)
        await self._sftp.posix_rename(beside, path)

    async def _remove(self, path: str) -> None:
        try:
            await self._sftp.unlink(path)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            pass

    async def _walk(self, path: str, prefix: str, found: dict[str, int]) -> None:
        for name, attrs in await self._listed(path):
            if stat.S_ISDIR(attrs.permissions):
                await self._walk(f"{path}/{name}", f"{prefix}{name}/", found)
            elif stat.S_ISREG(attrs.permissions):
                found[prefix + name] = attrs.size

    async def _send(self, fd: int, part: Part, path: str, tell: Tell) -> None:
        """From where an earlier try ended, less what may have been under way then."""
        folder, name = os.path.split(path)
        await self._sftp.makedirs(folder, exist_ok=True)
        beside = f"{folder}/{_PARTIAL}{part.xxh3_128}-{name}"[: len(folder) + 200]
        done = await self._begun(beside, part.size)
        tell(done)
        async with self._sftp.open(beside, _WRITE, encoding=None) as file:
            while done < part.size:
                data = block(fd, done, min(BLOCK, part.size - done))
                await file.write(data, done)
                done += len(data)
                tell(len(data))
            await file.truncate(part.size)
            await _fsync(file)
        await self._sftp.posix_rename(beside, path)

    async def _begun(self, path: str, size: int) -> int:
        try:
            there = int((await self._sftp.stat(path)).size)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return 0
        return max(0, min(there, size) // BLOCK - 1) * BLOCK

    async def _fetch(self, path: str, fd: int, part: Part, tell: Tell) -> None:
        done = min(os.fstat(fd).st_size, part.size)
        tell(done)
        async with self._sftp.open(path, "rb") as file:
            while data := await file.read(BLOCK, done):
                os.pwrite(fd, data, done)
                done += len(data)
                tell(len(data))
        os.ftruncate(fd, done)

    async def _read_all(self, path: str, found: Any, tell: Tell) -> None:
        done = 0
        async with self._sftp.open(path, "rb") as file:
            while data := await file.read(BLOCK, done):
                found.update(data)
                done += len(data)
                tell(len(data))

    async def _clear(self, path: str) -> None:
        if await self._sftp.exists(path):
            await self._sftp.rmtree(path)


async def _fsync(file: Any) -> None:
    """Durably, where the server can (OpenSSH does)."""
    try:
        await file.fsync()
    except asyncssh.SFTPOpUnsupported:
        pass


def _options(url: urllib.parse.SplitResult) -> dict[str, Any]:
    known = {"port": url.port, "username": url.username, "password": url.password}
    given = {key: urllib.parse.unquote(value) if isinstance(value, str) else value for key, value in known.items() if value}
    return {"known_hosts": (), "keepalive_interval": _KEEPALIVE, "keepalive_count_max": 3, **given}
