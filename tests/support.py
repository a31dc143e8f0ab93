"""What the tests of every room share: starting real processes, waiting for what they say, and ending all of them.

Nothing here sleeps and hopes: a puppet prints a line, `wait_for` returns as soon as it is there.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    StrPath = str | os.PathLike[str]

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = os.path.join(REPO, "examples")
PATIENCE = 60.0  # seconds until a wait gives up: long, because the machine may be slow; no test ever waits for all of it


def ckptrun_argv(*args: StrPath) -> list[str]:
    """The installed `ckptrun` of this interpreter, as a user would start it."""
    script = os.path.join(os.path.dirname(sys.executable), "ckptrun")
    program = [script] if os.path.exists(script) else [sys.executable, "-m", "ckptrun"]
    return program + [os.fspath(arg) for arg in args]


_AROUND = ("CKPTRUN", "SLURM_", "KUBERNETES_", "TORCHELASTIC_")


def clean_env(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment without a ckptrun or a scheduler around it; a value of None removes a variable."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(_AROUND)}
    for key in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "WANDB_RUN_ID"):
        env.pop(key, None)
    for key, value in (extra or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value
    return env


def run(
    argv: Sequence[StrPath],
    *,
    cwd: StrPath,
    env: Mapping[str, str | None] | None = None,
    stdin: str = "",
    timeout: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run to the end; undecodable bytes come back as surrogates."""
    return subprocess.run(
        [os.fspath(arg) for arg in argv],
        cwd=cwd,
        env=clean_env(env),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=timeout,
        check=False,
    )


def run_ckptrun(
    *args: StrPath, cwd: StrPath, env: Mapping[str, str | None] | None = None, stdin: str = "", timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """`ckptrun ARGS` to the end."""
    return run(ckptrun_argv(*args), cwd=cwd, env=env, stdin=stdin, timeout=timeout)


def start_ckptrun(*args: StrPath, cwd: StrPath, env: Mapping[str, str | None] | None = None) -> Started:
    """`ckptrun ARGS` in the background."""
    return Started(ckptrun_argv(*args), cwd=cwd, env=env)


class Started:
    """A process in the background whose stdout and stderr are read, into one text, as they come.

    `with Started(...) as it:` ends the whole tree on the way out, whatever happened.
    """

    def __init__(self, argv: Sequence[StrPath], *, cwd: StrPath, env: Mapping[str, str | None] | None = None) -> None:
        self.process = subprocess.Popen(
            [os.fspath(arg) for arg in argv],
            cwd=cwd,
            env=clean_env(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._text = ""
        self._seen = 0
        self._closed = False
        self._news = threading.Condition()
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_tree()

    @property
    def text(self) -> str:
        """All that was said so far."""
        with self._news:
            return self._text

    def wait_for(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        """The next match of `pattern` after the one returned last; AssertionError, with all that was said, if none comes."""
        regex = re.compile(pattern, re.MULTILINE)
        end = time.monotonic() + timeout
        with self._news:
            while True:
                if found := regex.search(self._text, self._seen):
                    self._seen = found.end()
                    return found
                left = end - time.monotonic()
                if self._closed or left <= 0:
                    why = "the output ended" if self._closed else f"{timeout:g} s passed"
                    raise AssertionError(f"{pattern!r} was not said ({why}, exit {self.process.poll()}):\n{self._text}")
                self._news.wait(left)

    def signal(self, signum: int) -> None:
        """To the process itself, not to its descendants."""
        self.process.send_signal(signum)

    def finish(self, timeout: float = PATIENCE) -> int:
        """The exit code once it has ended and everything it said was read; AssertionError if it does not end."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            said = self.text
            self.kill_tree()
            raise AssertionError(f"still running after {timeout:g} s; it said:\n{said}") from None
        self._reader.join(timeout)
        assert not self._reader.is_alive(), f"somebody still holds its output open; it said:\n{self.text}"
        return code

    def tree(self) -> list[psutil.Process]:
        """The process and all descendants, as they are now."""
        try:
            top = psutil.Process(self.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill_tree(self) -> int:
        """SIGKILL to the process and all descendants, none of which gets a chance to react; its exit status."""
        kill_all(self.tree)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                with self._news:
                    self._text += chunk.decode("utf-8", "surrogateescape")
                    self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()


def kill_all(list_tree: Callable[[], Iterable[psutil.Process]]) -> None:
    """Freeze what `list_tree` names until nothing new appears, then SIGKILL all of it."""
    frozen: dict[int, psutil.Process] = {}
    while new := [process for process in list_tree() if process.pid not in frozen]:
        for process in new:
            _signal(process, signal.SIGSTOP)
            frozen[process.pid] = process
    for process in frozen.values():
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, signum: int) -> None:
    try:
        process.send_signal(signum)
    except psutil.NoSuchProcess:
        pass


def wait_until(check: Callable[[], object], timeout: float = PATIENCE, what: str = "") -> None:
    """Look every 10 ms until `check()` is true: for what is seen on disk or in /proc, where nobody says "ready"."""
    end = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < end, f"did not happen within {timeout:g} s: {what or check}"
        time.sleep(0.01)


def write_files(folder: StrPath, files: Mapping[str, str | bytes]) -> None:
    """A dict of files is a world: {"ckptrun.yaml": "every: 10m", "sub/train.py": "…"}."""
    for name, body in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body.encode() if isinstance(body, str) else body)
