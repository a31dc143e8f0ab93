"""Work beside the training, by another ckptrun: a process of its own, of low priority, that nobody waits for while the script runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NICE = 10


class Done(Noun, frozen=True):
    """How it ended, and what it said."""

    code: int
    out: bytes = b""
    err: str = ""

    @property
    def why(self) -> str:
        """The last thing that it complained about, in one line."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        wrong = [line for line in lines if line.startswith("error: ")]
        return (wrong or lines or [f"it ended with {self.code}"])[-1].removeprefix("error: ")


class Helper:
    """One ckptrun in the background. It stays in our session, so that nobody takes it for a part of the training."""

    def __init__(
        self, args: Sequence[str], environ: Mapping[str, str], *, module: str = "ckptrun", nice: bool = True
    ) -> None:
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  # closed when it is done
        env = {key: value for key, value in environ.items() if key not in names.CHILD_ENV}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            env=env,
            cwd="/",
        )
        if nice:
            try:
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)
            except OSError:  # it is done already
                pass

    def poll(self) -> Done | None:
        """What came of it, once it has ended."""
        if self._process.poll() is None:
            return None
        return self._done()

    def stop(self) -> Done:
        """End it; what it has done so far stays for the next one to go on with."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return self._done()

    def _done(self) -> Done:
        said = []
        for file in (self._out, self._err):
            file.seek(0)
            said.append(file.read())
            file.close()
        return Done(self._process.returncode, said[0], said[1].decode("utf-8", "backslashreplace"))
