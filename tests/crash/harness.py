"""A command, killed at every system call that changes something, and with every one of them failing.

A `Case` says how to make a world and what to run in it. `calls` lists, from a run that nothing disturbs, every mutating call after a
mark; `killed` and `failed` run the case again in a fresh world with one of them struck. What must hold afterwards is the caller's.

    case = Case(prepare, argv)
    for call in case.calls(tmp_path):
        with case.killed(tmp_path, call) as struck:
            assert struck.fired
            …look at struck.root, struck.stdout…

strace's `when=K` counts the calls of one name in one process, so that is how a call is named here; where several processes make a K-th
call of that name each of them is struck. SIGKILL lands before the call is made, an error instead of it.
"""
# ruff: noqa: SIM905  # lists of words are easier to read without quotes

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MUTATING = tuple(
    "open openat creat mkdir mkdirat rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat rmdir write pwrite64 writev"
    " pwritev sendfile copy_file_range truncate ftruncate fallocate fsync fdatasync sync_file_range chmod fchmod fchmodat utimensat"
    " flock".split()
)
ERRORS = ("ENOSPC", "EIO", "EDQUOT")
MARK = "/ckptrun: the imports are done"  # os.access of this path in a script begins the part that is struck
_KILLED = "+++ killed by SIGKILL"
_HEX = re.compile(rb"(?:\\x[0-9a-f]{2})+")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)", re.DOTALL)
_RETURNED = re.compile(r"\) += -?\d")
_DESCRIBED = re.compile(r"<(/[^>]*)>")
_NAMED = re.compile(r'<(/[^>]*)>, |"([^"]*)"')
_RANDOM = re.compile(r"(?<=-)(?:[0-9a-f]{12,16}|[0-9a-f]{8})\b|\d+")  # which of two is emptied first is not known either
_BY_DESCRIPTOR = frozenset("write pwrite64 writev pwritev sendfile ftruncate fallocate fsync fdatasync fchmod flock".split())
_CREATES = ("O_CREAT", "O_TRUNC", "O_WRONLY", "O_RDWR")


class Call(NamedTuple):
    """The `number`-th call of `name` in a process, and what it did when nothing disturbed it."""

    name: str
    number: int
    text: str
    moment: tuple[str, str, int] = (
        "",
        "",
        0,
    )  # what it is whatever its number: name, what it is done to, which one of those

    def __str__(self) -> str:
        return f"{self.name} #{self.number}: {self.text[:200]}"


class Ran(NamedTuple):
    """What became of one run."""

    root: str
    code: int  # negative: killed by this signal
    stdout: str
    stderr: str
    trace: list[str]  # decoded lines
    fired: bool  # something was struck
    hits: frozenset[tuple[str, str, int]] = frozenset()  # the moments of the calls that were

    @property
    def silent(self) -> bool:
        """It ended well and said nothing."""
        return self.code == 0 and not self.stderr.strip()


class Case:
    """`prepare(root)` makes a world in an empty directory; `argv(root)` runs in it with `env(root)` added to the environment.

    `alone`: it sees no other processes, where that can be had: reading of each is calls of an open, as many as there are just now.
    """

    def __init__(
        self,
        prepare: Callable[[str], None],
        argv: Callable[[str], list[str]],
        env: Callable[[str], dict[str, str]] = lambda _: {},
        *,
        mark: str = MARK,
        also: tuple[str, ...] = (),
        alone: bool = False,
    ) -> None:
        self.prepare = prepare
        self._argv, self._env, self._mark, self._also = argv, env, mark, also
        self._around = _alone() if alone else []

    def calls(self, place: object, names: tuple[str, ...] = MUTATING) -> list[Call]:
        """Every mutating call below the world (or a path that holds one of `also`), after the mark (all, if it is ""), in order."""
        with self.baseline(place) as ran:
            return list(_calls(ran.trace, (ran.root, *self._also), names, self._mark))

    @contextmanager
    def baseline(self, place: object) -> Iterator[Ran]:
        """A run that nothing disturbs; its world is there inside the block."""
        with self.ran(place) as ran:
            assert ran.code == 0, f"the case fails by itself:\n{ran.stdout}{ran.stderr}"
            yield ran

    def ran(self, place: object) -> Iterator[Ran]:
        """A run that nothing disturbs and that may fail."""
        return self._ran(place, "baseline", [])

    def killed(self, place: object, call: Call) -> Iterator[Ran]:
        """A run whose process is killed just before `call`."""
        return self._ran(place, "killed", [f"inject={call.name}:signal=KILL:when={call.number}"])

    def failed(self, place: object, call: Call, error: str) -> Iterator[Ran]:
        """A run in which `call` is not made and returns `error`."""
        return self._ran(place, "failed", [f"inject={call.name}:error={error}:when={call.number}"])

    @contextmanager
    def _ran(self, place: object, name: str, inject: list[str]) -> Iterator[Ran]:
        root = os.path.realpath(os.path.join(os.fspath(place), name))  # type: ignore[call-overload]
        os.mkdir(root)
        try:
            self.prepare(root)
            yield self._run(root, inject)
        finally:
            shutil.rmtree(root)

    def _run(self, root: str, inject: list[str]) -> Ran:
        trace = f"{root}.trace"
        options = [
            "-f",
            "-qq",
            "-y",
            "-xx",
            "-s",
            "65536",
            "-o",
            trace,
            "-e",
            f"trace={','.join(MUTATING)},access,faccessat,faccessat2,close",
        ]
        for expression in inject:
            options += ["-e", expression]
        env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", **self._env(root)}
        try:
            done = support.run([*self._around, strace(), *options, *self._argv(root)], cwd=root, env=env)
            with open(trace, "rb") as file:
                lines = list(_joined(_decoded(line) for line in file.read().splitlines()))
        finally:
            os.unlink(trace)
        hits = frozenset(_hits(lines, root))
        return Ran(root, done.returncode, done.stdout, done.stderr, lines, bool(hits), hits)


def strace() -> str:
    """strace, or the test is skipped: it is missing, or may not trace here."""
    found = shutil.which("strace")
    if not found:
        pytest.skip("strace is not installed")
    if subprocess.run([found, "-qq", "-o", os.devnull, "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    return found


def _alone() -> list[str]:
    """What starts a command in a process namespace of its own, with a /proc of its own; nothing where that may not be done."""
    around = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    tried = subprocess.run([*around, "true"], check=False, capture_output=True) if shutil.which("unshare") else None
    return around if tried and not tried.returncode else []


def _calls(trace: list[str], places: tuple[str, ...], names: tuple[str, ...], mark: str) -> Iterator[Call]:
    begun = not mark
    seen = set()
    for _, call in _all(trace, places[0]):
        begun = begun or mark in call.text
        reads = call.name in ("open", "openat") and not any(flag in call.text for flag in _CREATES)
        inside = begun and call.name in names and any(place in call.text for place in places)
        if inside and not reads and (call.name, call.number) not in seen:
            seen.add((call.name, call.number))
            yield call


def _all(trace: list[str], root: str) -> Iterator[tuple[str, Call]]:
    """Every call with the process that made it."""
    counts: dict[tuple[str, str], int] = {}
    which: dict[tuple[str, str], int] = {}
    for line in trace:
        found = _LINE.match(line)
        if not found:
            continue
        pid, name, rest = found.groups()
        what = _done_to(name, rest, root)
        counts[pid, name] = number = counts.get((pid, name), 0) + 1
        which[name, what] = nth = which.get((name, what), 0) + 1
        yield pid, Call(name, number, rest, (name, what, nth))


def _done_to(name: str, rest: str, root: str) -> str:
    """What a call is done to, without what is another thing each time: the world's place, descriptors, random names, what is written."""
    found = (
        _DESCRIBED.findall(rest)[:1]
        if name in _BY_DESCRIPTOR
        else [each for pair in _NAMED.findall(rest) for each in pair if each]
    )
    return _RANDOM.sub("*", " ".join(found).replace(root, ""))


def _hits(trace: list[str], root: str) -> Iterator[tuple[str, str, int]]:
    """The moments that were struck: whose call was not made, or at which somebody was killed."""
    killed = {line.split()[0] for line in trace if _KILLED in line}
    last: dict[str, Call] = {}
    for pid, call in _all(trace, root):
        last[pid] = call
        if "(INJECTED)" in call.text:
            yield call.moment
    yield from (last[pid].moment for pid in killed & {*last} if not _RETURNED.search(last[pid].text))


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Calls that another process or thread interrupted in the trace, as one line where they ended."""
    begun: dict[str, str] = {}
    for line in lines:
        pid, _, rest = line.partition(" ")
        resumed = re.match(r" *<\.\.\. \w+ resumed>(.*)", rest, re.DOTALL)
        if line.endswith("<unfinished ...>"):
            begun[pid] = line.removesuffix("<unfinished ...>")
        elif resumed and pid in begun:
            yield begun.pop(pid) + resumed[1]
        else:
            yield line
    yield from begun.values()


def _decoded(line: bytes) -> str:
    r"""A line of the trace with its \xNN undone; text that is none becomes surrogates."""
    raw = _HEX.sub(lambda found: bytes.fromhex(found[0].replace(b"\\x", b"").decode()), line)
    return raw.decode("utf-8", "surrogateescape")
