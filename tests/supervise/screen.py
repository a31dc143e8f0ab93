"""A terminal of the test's own: somebody types, somebody reads, the window changes its size."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import threading
import time

import psutil
from support import PATIENCE, clean_env, kill_all


class Screen:
    """Runs a command in a session of its own on a new pty; `with` ends everything on it."""

    def __init__(self, argv, cwd, rows=24, columns=80):
        self.master, slave = os.openpty()
        self.slave = slave
        self.resize(rows, columns)
        env = clean_env({"PS1": "prompt> ", "TERM": "dumb"})
        on_it = ["setsid", "--ctty", *argv]  # in a session of its own, with this as its terminal
        self.process = subprocess.Popen(on_it, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave)
        self.text, self._seen, self._news = "", 0, threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        kill_all(self._all)
        self.process.wait(PATIENCE)
        if self.slave >= 0:
            os.close(self.slave)
        self._reader.join(PATIENCE)
        os.close(self.master)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def wait_for(self, pattern, timeout=PATIENCE):
        end = time.monotonic() + timeout
        with self._news:
            while not (found := re.compile(pattern, re.MULTILINE).search(self.text, self._seen)):
                left = end - time.monotonic()
                assert left > 0, f"{pattern!r} was not shown:\n{self.text}"
                self._news.wait(left)
            self._seen = found.end()
            return found

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ISIG  # a shell that edits its line keeps this on

    def hang_up(self):
        """As when the window is closed or the connection breaks: what `close` of the last master does."""
        os.close(self.slave)
        self.slave = -1
        os.kill(self.process.pid, signal.SIGHUP)

    def _all(self):
        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            with self._news:
                self.text += data.decode("utf-8", "replace")
                self._news.notify_all()
