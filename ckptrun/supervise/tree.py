"""The processes below us, as /proc shows them, and signals to exactly those."""

from __future__ import annotations

import os
import signal
import sys

from ckptrun.model import Noun
from ckptrun.runs.durable import printable

DEAD = "ZX"  # states of processes that only wait to be reaped
STOPPED = "T"


class Proc(Noun, frozen=True):
    """One process; `pid` and `start` together are never reused."""

    pid: int
    parent: int
    session: int
    start: int  # clock ticks after boot
    state: str
    name: str

    @property
    def key(self) -> tuple[int, int]:
        """What tells this process from a later one with the same pid."""
        return self.pid, self.start


class Masks(Noun, frozen=True):
    """What a process does with signals: bit N - 1 stands for signal N."""

    blocked: int = 0
    ignored: int = 0
    caught: int = 0
    starting: bool = False  # waits for a process that it is just starting, and blocks everything until that runs


def descendants(root: int, proc: str = "/proc") -> list[Proc]:
    """All living descendants of `root`, parents before children, without helpers that `root` started in its own session."""
    me = read(root, proc)
    if me is None:
        return [] if os.path.exists(f"{proc}/stat") else _from_psutil(root)
    children = _children_listed if os.path.exists(f"{proc}/{root}/task/{root}/children") else _children_scanned(proc)
    found = [child for child in children(root, proc) if child.session != me.session]
    for each in found:  # grows while we walk
        found.extend(child for child in children(each.pid, proc) if child.pid != root)
    return [each for each in found if each.state not in DEAD]


def read(pid: int, proc: str = "/proc") -> Proc | None:
    """One process, or None when there is none."""
    text = _bytes(f"{proc}/{pid}/stat")
    if not text:
        return None
    opening, closing = text.index(b"("), text.rindex(b")")
    fields = text[closing + 2 :].split()
    name = text[opening + 1 : closing].decode("utf-8", "replace")
    return Proc(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0].decode(), name)


def masks(pid: int, proc: str = "/proc") -> Masks:
    """Which signals the process blocks, ignores and catches; all zero when that cannot be known."""
    text = _bytes(f"{proc}/{pid}/status")
    blocked, ignored, caught = (int(_field(text, key) or b"0", 16) for key in (b"SigBlk", b"SigIgn", b"SigCgt"))
    return Masks(blocked, ignored, caught, _field(text, b"State").startswith(b"D"))  # vfork waits as for a disk


def argv(pid: int, proc: str = "/proc") -> list[str]:
    """The command line; empty for a process that hides it."""
    text = os.fsdecode(_bytes(f"{proc}/{pid}/cmdline"))
    return text.rstrip("\0").split("\0") if text else []


def describe(each: Proc) -> str:
    """`python train.py (4711)`, for people."""
    words = argv(each.pid) or [each.name]
    words = [os.path.basename(words[0]) or each.name, *words[1:3]]
    line = " ".join(word if len(word) <= 40 else word[:37] + "..." for word in words)
    return f"{printable(line)} ({each.pid})"


def send(each: Proc, number: int) -> bool:
    """Signal this very process; False when it is gone or not ours to signal."""
    try:
        fd = os.pidfd_open(each.pid) if sys.platform == "linux" else None
    except ProcessLookupError:
        return False
    except OSError:  # an old kernel, or a sandbox that does not know pidfds
        fd = None
    try:
        now = read(each.pid)
        if now is not None and now.start != each.start:
            return False
        if fd is None:
            os.kill(each.pid, number)
        else:
            signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        if fd is not None:
            os.close(fd)
    return True


def _field(text: bytes, key: bytes) -> bytes:
    at = text.find(b"\n" + key + b":")
    return text[at + len(key) + 2 : text.index(b"\n", at + 1)].strip() if at >= 0 else b""


def _bytes(path: str) -> bytes:
    """All of a file of /proc; empty when it is gone, also between open and read. Without Python's own layers: this is the hot path."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        parts = [os.read(fd, 1 << 16)]
        while len(parts[-1]) == 1 << 16:
            parts.append(os.read(fd, 1 << 16))
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)


# --- who is whose child ----------------------------------------------------------------------------------------------------
def _children_listed(pid: int, proc: str) -> list[Proc]:
    """From the kernel's own lists (CONFIG_PROC_CHILDREN): costs what the tree costs, however many others run here."""
    try:
        threads = os.listdir(f"{proc}/{pid}/task")
    except OSError:
        return []
    numbers = [int(word) for thread in threads for word in _bytes(f"{proc}/{pid}/task/{thread}/children").split()]
    return [each for each in (read(number, proc) for number in numbers) if each is not None]


class _children_scanned:  # noqa: N801  # a function with a memory
    """From one look at everybody."""

    def __init__(self, proc: str) -> None:
        self._of: dict[int, list[Proc]] = {}
        for entry in os.listdir(proc):
            each = read(int(entry), proc) if entry.isdigit() else None
            if each is not None:
                self._of.setdefault(each.parent, []).append(each)

    def __call__(self, pid: int, proc: str) -> list[Proc]:  # noqa: ARG002  # the shape of its twin
        return self._of.get(pid, [])


def _from_psutil(root: int) -> list[Proc]:
    """Where there is no /proc (macOS): no masks, no sessions, so only SIGTERM and SIGKILL are ever sent by it."""
    import psutil  # noqa: PLC0415  # heavy, and never needed on Linux

    found = []
    for child in psutil.Process(root).children(recursive=True):
        try:
            state = "Z" if child.status() == psutil.STATUS_ZOMBIE else "S"
            found.append(Proc(child.pid, child.ppid(), 0, int(child.create_time() * 100), state, child.name()))
        except psutil.NoSuchProcess:  # each may go at any time
            continue
    return [each for each in found if each.state not in DEAD]
