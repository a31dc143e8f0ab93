"""The child's output on its way: read as it comes, kept in the log, shown on our own stdout and stderr; and what is typed."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import selectors
import signal
import termios
import time
from functools import partial
from typing import TYPE_CHECKING

from ckptrun.supervise.sinks import Sink
from ckptrun.supervise.spawn import Stdio
from ckptrun.supervise.terminal import Pty, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    Ready = Callable[[int, float], None]  # (what is ready, now)

_CHUNK = 1 << 18
_PIPE_SIZE = 1 << 18  # fewer wake-ups in a burst; the kernel may refuse
_LEFT_BEHIND = 1 << 22  # bytes read after the tree's end: more than pipes hold, so a stranger who holds one cannot keep us
_LAST_WORDS = 0.2  # seconds: the kernel hands over a pty's last bytes a little after its writer is gone


class Source:
    """One descriptor that the child's output comes out of."""

    def __init__(self, fd: int, sink: Sink, *, is_pty: bool = False) -> None:
        self.fd, self.sink, self.is_pty = fd, sink, is_pty
        self.open = True
        self.left = _LEFT_BEHIND

    def readable(self) -> bool:
        """There may be more, and room for it."""
        return self.open and not self.sink.full


class Streams:
    """All of a child's stdio, watched through `selector`: each registered descriptor's data is a method (what, now)."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        keep: Callable[[bytes], None],
        press: Callable[[int], None],
        *,
        stdout_to_stderr: bool,
        label: str = "ckptrun",
    ) -> None:
        self._selector, self._keep, self._press, self._label = selector, keep, press, label
        self._sinks: dict[tuple[int, int, int], Sink] = {}
        self._sources: list[Source] = []
        self._for_child: list[int] = []  # closed once the child has them
        self.active = time.monotonic()  # when the child last wrote something
        self.pty: Pty | None = None
        self.terminal: Terminal | None = None
        self._like = -1  # the terminal that the pty is modelled on
        self.err = self._sink(2)
        self._out = self.err if stdout_to_stderr else self._sink(1)
        shown = os.isatty(2 if stdout_to_stderr else 1)
        # In `ckptrun … | less` the keys are for less: a terminal is read by us only when the output is shown there, too.
        self._screen = (os.isatty(0) and shown, shown, os.isatty(2))

    # --- before and after the start -------------------------------------------------------------------------------------
    def stdio(self) -> Stdio:
        """What the child gets: a pty where we have a terminal, a pipe for output elsewhere, our own stdin otherwise.

        A terminal hangs up when the command it was opened for ends, as it does for a login shell.

        Raises:
            OSError: the system has no more pipes or ptys.
        """
        slave = self._open_pty() if any(self._screen) else None
        stdin, stdout, stderr = (slave if is_screen else None for is_screen in self._screen)
        if stdout is None:
            stdout = self._pipe(self._out)
        if stderr is None:  # `2>&1` stays one stream, in the order in which it was written
            stderr = stdout if self.err is self._out else self._pipe(self.err)
        return Stdio(stdin=stdin, stdout=stdout, stderr=stderr, terminal=slave)

    def started(self, now: float) -> None:
        """The child has its ends: let go of them, listen, and take the terminal."""
        for fd in self._for_child:
            os.close(fd)
        self._for_child.clear()
        if self._screen[0]:
            self.terminal = Terminal(0)
            self.terminal.take()
        self.settle(now)

    # --- while it runs ----------------------------------------------------------------------------------------------------
    def say(self, text: str, now: float) -> None:
        """A line of ckptrun's own, on stderr."""
        self.err.line(f"{self._label}: {text}", now)

    def settle(self, now: float) -> None:
        """After each round: notice readers that stall, tell what there is to tell, watch exactly what can make progress."""
        for sink in list(self._sinks.values()):
            sink.look(now)
            while sink.news:
                self.say(sink.news.pop(0), now)
        for sink in self._sinks.values():
            wanted = selectors.EVENT_WRITE if sink.waiting and sink.pollable else 0
            self._watch(sink.fd, wanted, sink.ready)
        for source in self._sources:
            wanted = selectors.EVENT_READ if source.readable() else 0
            if source.is_pty and source.open and self.pty is not None and self.pty.waiting:
                wanted |= selectors.EVENT_WRITE
            self._watch(source.fd, wanted, partial(self._ready, source))
        if self.terminal is not None:
            self._watch(self.terminal.fd, selectors.EVENT_READ if self.terminal.ours else 0, self._typed)

    def wake_at(self) -> float | None:
        """When patience with some reader ends."""
        times = [at for at in (sink.stalls_at() for sink in self._sinks.values()) if at is not None]
        return min(times) if times else None

    def resize(self) -> None:
        """Our window changed: so does the child's."""
        if self.pty is not None:
            self.pty.resize(fcntl.ioctl(self._like, termios.TIOCGWINSZ, bytes(8)))

    # --- after it ---------------------------------------------------------------------------------------------------------
    def drain(self, give_up: Callable[[], bool]) -> None:
        """Read what the tree left in its pipes and show it, as long as readers take it and nobody says `give_up`."""
        if self.pty is not None:
            self.pty.close_slave()
        until = time.monotonic() + _LAST_WORDS
        while not give_up():
            now = time.monotonic()
            for source in self._sources:
                empty = False
                while not empty and source.readable() and source.left > 0:
                    count = self._read(source, now)
                    source.left -= count
                    empty = not count
                if source.readable() and not (source.is_pty and source.left > 0 and now < until):
                    self._end(source)  # empty, and whoever still holds it is none of ours
            self.settle(now)
            if not any(source.open for source in self._sources) and not self._shown_later():
                break
            self._wait_for_readers()
        self._tell_what_was_missed()

    def close(self) -> None:
        """Give everything back, the terminal first."""
        if self.terminal is not None:
            self._watch(self.terminal.fd, 0, self._typed)
            self.terminal.close()
        for source in self._sources:
            self._end(source)
        for sink in self._sinks.values():
            self._watch(sink.fd, 0, self._typed)
            sink.close()
        for fd in self._for_child:
            os.close(fd)
        if self.pty is not None:
            self.pty.close()

    # --- the ends of it ---------------------------------------------------------------------------------------------------
    def _open_pty(self) -> int:
        self._like = next(fd for fd in (0, 2, 1) if os.isatty(fd))
        pty = self.pty = Pty(self._like)
        self._sources.append(Source(pty.master, self._out if self._screen[1] else self.err, is_pty=True))
        return pty.slave

    def _pipe(self, sink: Sink) -> int:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        except (OSError, AttributeError):  # a user's pages are used up; or not Linux
            pass
        self._for_child.append(writing)
        self._sources.append(Source(reading, sink))
        return writing

    def _sink(self, fd: int) -> Sink:
        info = os.fstat(fd)
        key = (info.st_dev, info.st_ino, info.st_rdev)
        if key not in self._sinks:
            self._sinks[key] = Sink(fd, "stdout" if fd == 1 else "stderr")
        return self._sinks[key]

    def _watch(self, fd: int, wanted: int, ready: Ready) -> None:
        known = self._selector.get_map().get(fd)
        if known is None and wanted:
            self._selector.register(fd, wanted, ready)
        elif known is not None and not wanted:
            self._selector.unregister(fd)
        elif known is not None and known.events != wanted:
            self._selector.modify(fd, wanted, ready)

    def _ready(self, source: Source, what: int, now: float) -> None:
        if what & selectors.EVENT_WRITE and self.pty is not None:
            self.pty.flush()
        if what & selectors.EVENT_READ:
            self._read(source, now)

    def _read(self, source: Source, now: float) -> int:
        """One chunk on its way: how many bytes, 0 when there are none."""
        try:
            data = os.read(source.fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:  # how a pty says that its other end is closed
                raise
            data = b""
        if not data:
            self._end(source)
            return 0
        self.active = now
        self._keep(data)
        source.sink.write(data, now)
        return len(data)

    def _end(self, source: Source) -> None:
        if source.open:
            source.open = False
            self._watch(source.fd, 0, self._typed)
            if not source.is_pty:  # the pty closes its own
                os.close(source.fd)

    def _typed(self, what: int, now: float) -> None:  # noqa: ARG002  # the shape of what a selector calls
        if self.terminal is None or self.pty is None:
            return
        data = self.terminal.read()
        if data == b"":  # hung up
            self._watch(self.terminal.fd, 0, self._typed)
            self.terminal.lose()
            self._press(signal.SIGHUP)
            return
        for part in self.pty.keys(data) if data else ():
            if isinstance(part, int):
                self._press(part)
            else:
                self.pty.type(part)

    def _shown_later(self) -> bool:
        return any(sink.waiting and not sink.stalled for sink in self._sinks.values())

    def _wait_for_readers(self) -> None:
        poll = select.poll()
        for sink in self._sinks.values():
            if sink.waiting and sink.pollable:
                poll.register(sink.fd, select.POLLOUT)
        if poll.poll(20 if self.pty is None else 2):
            now = time.monotonic()
            for sink in self._sinks.values():
                sink.flush(now)

    def _tell_what_was_missed(self) -> None:
        for sink in self._sinks.values():
            if sink.waiting and sink is not self.err:
                self.say(f"the end of {sink.name} was not shown, as nobody read it; it is in log.txt", time.monotonic())
