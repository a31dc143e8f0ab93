"""An attempt's log: its first 16 MiB in log.txt, at least its last 64 MiB in a ring of two files, joined when it ends.

While `log.tail-*` exist, log.txt counts up to its first 16 MiB only; so a join that is cut short can be done again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckptrun import names, units

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20


class LogFile:
    """Keeps a child's output. A disk that is full costs the log bytes, and the training nothing."""

    def __init__(
        self,
        folder: str,
        complain: Callable[[str], None],
        head_bytes: int = names.LOG_HEAD_BYTES,
        tail_bytes: int = names.LOG_TAIL_BYTES,
    ) -> None:
        self._folder = folder
        self._complain = complain
        self._head_bytes, self._tail_bytes = head_bytes, tail_bytes
        self._fd = -1
        self._room = head_bytes  # in the file that is being written
        self._tails = 0  # how many tail files were begun; the newest is number (tails - 1) % 2
        self._written = 0
        self._lost = 0  # bytes that could not be written since the last one that could
        self._silent = False
        self._open(names.LOG)

    def write(self, data: bytes) -> None:
        """Keep `data`."""
        view = memoryview(data)
        while view:
            if not self._room:
                self._next_tail()
            part = view[: self._room]
            self._put(part)
            self._room -= len(part)
            view = view[len(part) :]

    def close(self) -> None:
        """Join head and tail into log.txt."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._tails:
            try:
                join(self._folder, self._head_bytes, self._tail_bytes, self._written, newest=(self._tails - 1) % 2)
            except OSError as error:
                self._failed(error, 0)

    def abandon(self) -> None:
        """Write nothing more: the directory belongs to somebody else now."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _put(self, part: memoryview) -> None:
        self._written += len(part)
        done = 0
        try:
            if self._fd >= 0 and self._lost:
                os.write(self._fd, b"\n[ckptrun: %d bytes could not be written here]\n" % self._lost)
                self._lost = 0
            while self._fd >= 0 and done < len(part):
                done += os.write(self._fd, part[done:])
        except OSError as error:
            self._failed(error, len(part) - done)

    def _next_tail(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._open(f"{names.LOG_TAIL}{self._tails % 2}")
        self._tails += 1
        self._room = self._tail_bytes

    def _open(self, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        try:
            self._fd = os.open(os.path.join(self._folder, name), flags, 0o600)
        except OSError as error:
            self._failed(error, 0)

    def _failed(self, error: OSError, lost: int) -> None:
        self._lost += lost
        if not self._silent:
            self._silent = True
            self._complain(
                f"cannot write the log: {os.path.join(self._folder, names.LOG)}: {error.strerror}; training goes on"
            )


def join(
    folder: str,
    head_bytes: int = names.LOG_HEAD_BYTES,
    tail_bytes: int = names.LOG_TAIL_BYTES,
    written: int | None = None,
    *,
    newest: int | None = None,
) -> None:
    """Put the tail behind the head, with a line that says how much is left out between them.

    Not synced: the time may be short, and a log is not worth what a checkpoint is.

    Args:
        folder: the attempt's directory.
        head_bytes: how much of log.txt is head.
        tail_bytes: how much of the end is kept.
        written: how much the child wrote in all, if that is known.
        newest: which tail file was written last, if that is known.
    """
    tails = tail_files(folder, newest)
    sizes = [os.path.getsize(path) for path in tails]
    skip = max(sum(sizes) - tail_bytes, 0)
    left_out = None if written is None else max(written - head_bytes - min(sum(sizes), tail_bytes), 0)
    fd = os.open(os.path.join(folder, names.LOG), os.O_WRONLY)
    with open(fd, "wb", buffering=0) as log:
        log.truncate(head_bytes)
        log.seek(0, os.SEEK_END)
        if left_out != 0:
            how_much = "" if left_out is None else f"{left_out} bytes ({units.size(left_out)}) "
            log.write(f"\n[ckptrun: {how_much}left out here]\n".encode())
        for path, size in zip(tails, sizes, strict=True):
            _copy(path, log.fileno(), min(skip, size))
            skip -= min(skip, size)
    for path in tails:
        os.unlink(path)


def tail_files(folder: str, newest: int | None = None) -> list[str]:
    """The tail files that exist, the older first; where nobody knows, by their times, and the one that is not full is the newer."""
    paths = [os.path.join(folder, f"{names.LOG_TAIL}{number}") for number in (0, 1)]
    if newest is not None:
        return [path for path in (paths[1 - newest], paths[newest]) if os.path.exists(path)]
    found = [(os.stat(path), path) for path in paths if os.path.exists(path)]
    return [path for _, path in sorted(found, key=lambda each: (each[0].st_mtime_ns, -each[0].st_size))]


def _copy(path: str, target: int, start: int) -> None:
    with open(path, "rb", buffering=0) as source:
        source.seek(start)
        while chunk := source.read(_CHUNK):
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
