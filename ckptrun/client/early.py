"""Hashing and syncing large files while the block still writes the next ones: a commit then has little left to do.

The kernel tells (inotify) when a file has been closed by the last who could write to it, through a descriptor or a mapping. What was
hashed after that is what will be committed, unless the same is told again, or the file's size, time or links say otherwise at the end;
then it is hashed once more. Where there is no inotify, or one core only, everything is done at the end.
"""

from __future__ import annotations

import os
import stat
import struct

from ckptrun.client import hashing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGE = 8 << 20  # bytes: smaller files are hashed in a millisecond at the end
_CLOSE_WRITE, _OVERFLOW = 0x8, 0x4000  # inotify(7)
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_EVENT = struct.Struct("iIII")


class Early:
    """Watches a folder from `start` to `stop`; `known` gives what was hashed in between."""

    def __init__(self, folder: str, watch: int) -> None:
        import threading  # noqa: PLC0415  # in the process anyway by the time of a save

        self._folder, self._watch, self._stopping = folder, watch, os.pipe()
        self._lock = threading.Lock()
        self._known: dict[int, tuple[tuple[int, int], str]] = {}  # inode → size and time, digest
        self._failed: dict[int, OSError] = {}  # inode → what its fsync said: the kernel says it once only
        self._at = 0  # the inode that is being hashed
        self._forgotten = 0  # how often what is being hashed became old meanwhile
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="ckptrun-early", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing new, and forget what was written to after it was hashed."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._closed()
                os.close(self._stopping[1])  # wakes the thread; a write could fail, and it would be waited for in vain

    def busy_with(self, path: str) -> bool:
        """Is this file being hashed at this moment?"""
        inode = self._at
        return bool(inode) and _inode(path) == inode

    def known(self, found: os.stat_result) -> str:
        """The digest of a file in this state, "" if it has to be hashed.

        Raises:
            OSError: its fsync failed.
        """
        with self._lock:
            if found.st_ino in self._failed:
                raise self._failed[found.st_ino]
            state, digest = self._known.get(found.st_ino, ((0, 0), ""))
        return digest if state == (found.st_size, found.st_mtime_ns) and found.st_nlink == 1 else ""

    def join(self) -> None:
        """Wait for the file that is being hashed, and let go of everything else."""
        self.stop()
        self._thread.join()
        for fd in (self._watch, self._stopping[0]):
            if fd >= 0:
                os.close(fd)
        self._watch, self._stopping = -1, (-1, -1)

    def _work(self) -> None:
        import select  # noqa: PLC0415  # as above

        poll = select.poll()
        poll.register(self._watch, select.POLLIN)
        poll.register(self._stopping[0], select.POLLIN)
        while not self._stopped:
            poll.poll()
            for name in self._news():
                self._take(name)

    def _news(self) -> list[str]:
        with self._lock:
            return [] if self._stopped else self._closed()

    def _take(self, name: str) -> None:
        path = os.path.join(self._folder, name)
        try:
            if self._stopped or os.lstat(path).st_size < _LARGE:
                return
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # renamed or removed meanwhile: it is looked at in the end
        try:
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode):
                self._settle(fd, found)
        except OSError:
            pass  # it could not be read; the end will tell
        finally:
            self._at = 0
            os.close(fd)

    def _settle(self, fd: int, found: os.stat_result) -> None:
        with self._lock:
            self._at, forgotten = found.st_ino, self._forgotten
        digest = hashing.digest(fd)
        try:
            os.fsync(fd)
        except OSError as error:
            self._failed[found.st_ino] = error
        with self._lock:
            if self._forgotten == forgotten:
                self._known[found.st_ino] = ((found.st_size, found.st_mtime_ns), digest)

    def _closed(self) -> list[str]:
        """The names that somebody who could write to them has closed: what was, or is being, hashed of them may be old."""
        names = list(dict.fromkeys(self._events()))
        for name in names:
            inode = _inode(os.path.join(self._folder, name)) if name else 0
            if inode:
                self._known.pop(inode, None)
            else:
                self._known.clear()  # renamed since, or too much has happened to be told one by one
            self._forgotten += inode in (0, self._at)
        return names

    def _events(self) -> list[str]:
        """The names in all events that are waiting; "" stands for events that were lost."""
        names: list[str] = []
        while True:
            try:
                data = os.read(self._watch, 1 << 16)
            except BlockingIOError:
                return names
            at = 0
            while at < len(data):
                _, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size
                names.append("" if mask & _OVERFLOW else os.fsdecode(data[at : at + length].rstrip(b"\0")))
                at += length


def start(folder: str) -> Early | None:
    """Watch `folder`; None where it cannot be watched, or where there is no core to spare."""
    if (os.cpu_count() or 1) < 2 or not hashing.can_hash():
        return None
    watch = _watch(folder)
    return Early(folder, watch) if watch >= 0 else None


def _watch(folder: str) -> int:
    try:
        import ctypes  # noqa: PLC0415  # at the first save only

        libc: Any = ctypes.CDLL(None)
        watch = int(libc.inotify_init1(_FLAGS))
        if watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(folder), _CLOSE_WRITE) < 0:
            os.close(watch)
            return -1
    except (ImportError, AttributeError, OSError):
        return -1
    return watch


def _inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0
