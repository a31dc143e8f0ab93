"""The command as our child, and the orphans that the kernel gives us: waited for, so that none stays a zombie."""

from __future__ import annotations

import os


class Children:
    """The command (`pid`) and adopted orphans. Helpers that we start ourselves in our own session are left to whoever started them."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit: int | None = None
        self.signal: int | None = None
        self.ended = False
        self._session = os.getsid(0)
        try:
            self.fd = os.pidfd_open(pid)  # readable when the command has ended
        except (OSError, AttributeError):  # an old kernel, a sandbox, macOS: looked at in every round instead
            self.fd = -1

    def look(self) -> bool:
        """Whether the command has ended, just now or before; how it ended is in `exit` and `signal`."""
        if not self.ended:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.ended = True
                code = os.waitstatus_to_exitcode(status)
                self.exit, self.signal = (code, None) if code >= 0 else (None, -code)
        return self.ended

    def reap(self) -> bool:
        """Take leave of orphans that have ended; False when there is no child at all, so that nothing of the tree is left."""
        while hasattr(os, "waitid"):  # not on an old macOS
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return False
            if found is None or found.si_pid == self.pid or not self._is_orphan(found.si_pid):
                return True
            os.waitpid(found.si_pid, os.WNOHANG)
        return True

    def close(self) -> None:
        """Let go of the pidfd."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _is_orphan(self, pid: int) -> bool:
        try:
            return os.getsid(pid) != self._session
        except OSError:
            return False
