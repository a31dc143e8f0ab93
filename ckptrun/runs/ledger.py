"""The run's history: one JSON object a line, appended and fsynced by the lease holder only."""

from __future__ import annotations

import os
import stat
from typing import Any

import msgspec

from ckptrun import names
from ckptrun.runs import documents, durable, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Entry = dict[str, Any]

HEADER = "ledger"  # the event of a ledger's first line: says the format
UNREADABLE = "unreadable"  # the event that stands for a line that is torn or not JSON
_LONGEST_LINE = 1 << 20  # bytes
_HEADER_LIMIT = 4096  # bytes
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Ledger:
    """Appends events of one attempt; every append first asks the guard.

    `guard` raises errors.LeaseLost where we may not write any more. `attempt` is written into every line (0 = none yet).
    """

    def __init__(self, path: str, guard: Callable[[], None], clock: Callable[[], float], attempt: int = 0) -> None:
        self.attempt = attempt
        self._path, self._guard, self._clock = path, guard, clock
        self._fd = -1

    def append(self, event: str, **fields: Any) -> None:
        """One event, durable on return.

        Raises:
            errors.LeaseLost: the run is somebody else's now.
            errors.IoFailure: it could not be written; what was written of it is closed as a torn line by the next append.
        """
        self.append_many([(event, fields)])

    def append_many(self, events: Iterable[tuple[str, Entry]]) -> None:
        """Several events with one write and one fsync.

        Raises:
            errors.LeaseLost, errors.IoFailure: as `append`.
        """
        now = records.now_text(self._clock())
        lines = b"".join(_line(now, event, self.attempt, fields) for event, fields in events)
        self._guard()
        try:
            if self._fd < 0:
                self._open()
                lines = self._missing(now) + lines
            self._write(lines)
        except OSError as error:
            self.close()  # the next append looks at what is there
            raise durable.io_error(error, self._path) from error

    def close(self) -> None:
        """Close the file; a later append opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = os.open(self._path, _OPEN, durable.FILE_MODE)
        state = os.fstat(self._fd)
        if not stat.S_ISREG(state.st_mode):
            raise documents.Unreadable(f"{durable.printable(self._path)} is not a regular file")
        if not state.st_size:  # new: its lines are worth nothing without its name
            durable.fsync_dir(os.path.dirname(self._path))

    def _missing(self, now: str) -> bytes:
        """What must go before the next line: the end of a torn one, a header where there is none.

        Raises:
            documents.Unreadable: a later version writes this ledger.
        """
        size = os.fstat(self._fd).st_size
        first = os.pread(self._fd, _HEADER_LIMIT, 0).partition(b"\n")[0]
        torn = b"\n" if size and os.pread(self._fd, 1, size - 1) != b"\n" else b""
        return torn + (b"" if _is_header(first, self._path) else self._header(now))

    def _write(self, lines: bytes) -> None:
        """One write(2), so that readers, and a predecessor that comes late, see whole lines; then to the disk."""
        written = os.write(self._fd, lines)
        if written < len(lines):
            durable.write_all(self._fd, lines[written:])  # says why it was short: a full disk, as a rule
        os.fsync(self._fd)

    def _header(self, now: str) -> bytes:
        return _line(now, HEADER, self.attempt, {"format": names.FORMAT, "version": names.VERSION})


def read(path: str) -> list[Entry]:
    """All entries, oldest first; see `entries`."""
    return list(entries(path))


def entries(path: str) -> Iterator[Entry]:
    """Entry by entry; a line that is torn or not a JSON object becomes {"event": "unreadable", "line": N, "text": …}.

    Raises:
        documents.Unreadable: not a file, or written by a later version.
        errors.IoFailure: it could not be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
                if line.strip():
                    yield _entry(line, number, path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise documents.unreadable_or_failed(error, path) from error


def _entry(line: bytes, number: int, path: str) -> Entry:
    try:
        entry = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        return {
            "event": UNREADABLE,
            "line": number,
            "text": durable.printable(line[:200].decode("utf-8", "surrogateescape")),
        }
    if entry["event"] == HEADER:
        _check(entry, path)
    return entry


def _is_header(first: bytes, path: str) -> bool:
    return bool(first) and _entry(first, 1, path)["event"] == HEADER


def _check(entry: Entry, path: str) -> None:
    found = entry.get("format")
    documents.check_format(found if isinstance(found, int) else 0, durable.printable(path))


def _line(now: str, event: str, attempt: int, fields: Entry) -> bytes:
    return documents.compact({"time": now, "event": event, "attempt": attempt, **fields}) + b"\n"


__all__ = ["HEADER", "UNREADABLE", "Ledger", "entries", "read"]
