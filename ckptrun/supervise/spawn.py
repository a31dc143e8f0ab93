"""Starting the command: fork, a clean child, exec; a failure comes back as a sentence."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import termios
from typing import TYPE_CHECKING

from ckptrun.errors import CkptrunError, IoFailure, UsageError
from ckptrun.model import Noun
from ckptrun.supervise import kernel

if TYPE_CHECKING:
    from ckptrun.supervise.spec import Spec


class Stdio(Noun, frozen=True, kw_only=True):
    """What the child gets as 0, 1 and 2 (None = ours, untouched), and the pty's slave that becomes its terminal."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    terminal: int | None = None


def spawn(spec: Spec, stdio: Stdio, ignored: frozenset[int]) -> int:
    """Start the command in a session of its own; its pid, once exec has worked.

    The child dies with us (SIGTERM), has default signals but for a HUP that was ignored at entry, and an empty signal mask.

    Raises:
        UsageError: there is no such command or directory, or it is not executable.
        IoFailure: the system refused.
    """
    reading, writing = os.pipe()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # none of our handlers may run in the child
    try:
        pid = os.fork()
    except OSError as error:
        os.close(writing)
        os.close(reading)
        raise IoFailure(f"cannot start a process: {error.strerror}") from error
    finally:
        if os.getpid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if pid == 0:
        _become(spec, stdio, ignored, parent, writing)
    os.close(writing)
    with open(reading, "rb") as report:
        failure = report.read()
    if failure:
        os.waitpid(pid, 0)
        stage, code = failure.split()
        raise explain(spec, stage.decode(), int(code))
    return pid


def _become(spec: Spec, stdio: Stdio, ignored: frozenset[int], parent: int, report: int) -> None:
    """The child's side of the fork; never returns."""
    stage = b"set-up"
    try:
        os.setsid()
        kernel.ask_for_sigterm_when_parent_dies()
        _default_signals(ignored)
        if os.getppid() != parent:  # it died before we could ask to be told
            os._exit(128 + signal.SIGTERM)
        _attach(stdio)
        stage = b"chdir"
        os.chdir(spec.cwd)
        stage = b"exec"
        os.execvpe(spec.argv[0], spec.argv, spec.env)  # noqa: S606  # a launcher
    except OSError as error:
        os.write(report, b"%s %d" % (stage, error.errno or 0))
    except BaseException:
        os.write(report, b"%s %d" % (stage, errno.EINVAL))
    finally:
        os._exit(127)


def _default_signals(ignored: frozenset[int]) -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        keep = number == signal.SIGHUP and number in ignored  # nohup is meant for the command
        signal.signal(number, signal.SIG_IGN if keep else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _attach(stdio: Stdio) -> None:
    if stdio.terminal is not None:
        fcntl.ioctl(stdio.terminal, termios.TIOCSCTTY, 0)
    for target, fd in enumerate((stdio.stdin, stdio.stdout, stdio.stderr)):
        if fd is not None:
            os.dup2(fd, target, inheritable=True)


# --- what went wrong -----------------------------------------------------------------------------------------------------
def explain(spec: Spec, stage: str, code: int) -> CkptrunError:
    """The error that says why the command could not be started."""
    command, why = spec.argv[0], os.strerror(code)
    if stage == "chdir":
        return UsageError(f"cannot enter the working directory: {spec.cwd}: {why}", "give another one with --chdir")
    if code == errno.ENOENT and _exists(spec):
        return UsageError(f"the interpreter that its first line (#!) names does not exist: {command}")
    sentence = _SENTENCES.get(code)
    if stage == "exec" and sentence is not None:
        return UsageError(f"{sentence[0]}: {command}", sentence[1])
    return IoFailure(f"cannot start the command: {command}: {why}")


_SENTENCES = {
    errno.ENOENT: ("no such command", "is it installed, and on the PATH of this job?"),
    errno.ENOTDIR: ("no such command (a part of its path is no directory)", ""),
    errno.EACCES: ("not executable", "chmod +x, or name the interpreter: ckptrun train -- python3 SCRIPT"),
    errno.EISDIR: ("a directory, not a command", ""),
    errno.ENOEXEC: (
        "not a program (no #! line, or made for another machine)",
        "name the interpreter: ckptrun train -- sh SCRIPT",
    ),
    errno.ELOOP: ("its symbolic links go round in a circle", ""),
    errno.ENAMETOOLONG: ("the command's name is too long", ""),
    errno.E2BIG: ("the command line and the environment together are too long for the system", ""),
    errno.EINVAL: ("an empty or impossible command line", ""),
}


def _exists(spec: Spec) -> bool:
    name = spec.argv[0]
    folders = [""] if "/" in name else spec.env.get("PATH", os.defpath).split(os.pathsep)
    return any(os.path.isfile(os.path.join(spec.cwd, folder, name)) for folder in folders)
