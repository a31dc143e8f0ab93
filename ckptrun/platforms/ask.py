"""Asking somebody in a child process, with a time-out: whoever does not answer may hang, a save must not.

A question is asked now and its answer looked at later. Its child stays in our session, where nobody takes it for a part of
the training.
"""

from __future__ import annotations

import os
import select
import signal
import time

from ckptrun.model import Noun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PIPE_HOLDS = 4096  # bytes that can be written to a pipe before anybody reads
MISSING = 127  # as a shell says that there is no such command
HANGS = 124  # as timeout(1) says it
_RESET = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP)


class Answer(Noun, frozen=True, kw_only=True):
    """What a command said: its exit code (MISSING, HANGS), stdout, and stderr."""

    code: int
    out: str = ""
    err: str = ""


class Question:
    """A command that was started and whose answer is awaited."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], given: bytes = b"", patience: float = 5.0) -> None:
        self.answer: Answer | None = None
        self._end = time.monotonic() + patience
        self._text: dict[int, bytearray] = {}
        self._pid = 0
        self._start(list(argv), dict(environ), given)

    def poll(self, timeout: float = 0.0) -> Answer | None:
        """The answer, if it comes within `timeout` seconds; a question that hangs is given up and answered with HANGS."""
        until = time.monotonic() + timeout
        while self.answer is None:
            now = time.monotonic()
            ready = select.select(list(self._text), [], [], max(0.0, min(until, self._end) - now))[0]
            for fd in ready:
                self._read(fd)
            if not self._text:
                self.answer = self._finish()
            elif not ready and time.monotonic() >= self._end:
                self._give_up()
            elif not ready and time.monotonic() >= until:
                return None
        return self.answer

    def drop(self) -> None:
        """Nobody wants the answer any more."""
        if self.answer is None:
            self._give_up()

    def _start(self, argv: list[str], env: dict[str, str], given: bytes) -> None:
        stdin = _file_of(given)
        out, err = os.pipe(), os.pipe()
        actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, out[1], 1),
            (os.POSIX_SPAWN_DUP2, err[1], 2),
        ]
        try:
            self._pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions, setsigmask=(), setsigdef=_RESET)
        except OSError:
            self.answer = Answer(code=MISSING)
        self._fds = (out[0], err[0])
        for fd in (stdin, out[1], err[1]):
            os.close(fd)
        for fd in self._fds:
            if self._pid:
                self._text[fd] = bytearray()
            else:
                os.close(fd)
        self._said: list[bytearray] = list(self._text.values())

    def _read(self, fd: int) -> None:
        chunk = os.read(fd, 1 << 16)
        if chunk:
            self._text[fd] += chunk
            return
        os.close(fd)
        del self._text[fd]

    def _finish(self) -> Answer:
        out, err = (bytes(text).decode("utf-8", "surrogateescape") for text in self._said)
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        except ChildProcessError:  # whoever waits for all children was faster
            code = 0 if out or not err else 1
        return Answer(code=code, out=out, err=err)

    def _give_up(self) -> None:
        try:
            os.kill(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for fd in list(self._text):
            os.close(fd)
            del self._text[fd]
        said = self._finish()
        self.answer = Answer(code=HANGS, out=said.out, err=said.err)


def wait(question: Question) -> Answer:
    """The answer, as soon as it is there or the question's patience has ended."""
    while (answer := question.poll(1.0)) is None:
        pass
    return answer


def _file_of(given: bytes) -> int:
    if not given:
        return os.open(os.devnull, os.O_RDONLY)
    if len(given) <= _PIPE_HOLDS:
        reading, writing = os.pipe()
        os.write(writing, given)
        os.close(writing)
        return reading
    import tempfile  # noqa: PLC0415  # only when a job is submitted again

    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.flush()
        fd = os.dup(file.fileno())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
