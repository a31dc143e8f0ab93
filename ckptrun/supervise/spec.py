"""What a session hands to `supervise.run`: the command to run (Spec) and the ground it stands on (Ground)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Protocol

from ckptrun import names
from ckptrun.model import Checkpoint, Learned, Noun, Request

if TYPE_CHECKING:
    from ckptrun.supervise.events import Event


class Spec(Noun, frozen=True, kw_only=True):
    """One start of the command, fully worked out: nothing in it is looked up again."""

    argv: list[str]
    env: dict[str, str]  # all of the child's environment
    cwd: str
    attempt: int
    attempt_id: str
    attempt_dir: str  # log.txt goes here
    local_dir: str  # node-local, 0700, exists: the request file and the notify socket are made in it
    grace: float = names.DEFAULT_GRACE_SECONDS
    grace_given: bool = False  # the user said it, so that it also bounds a notice whose end is known
    term_to_kill: float = names.TERM_TO_KILL_SECONDS  # less where the platform's own KILL is near
    save_signal: int = signal.SIGUSR1
    save_signal_given: bool = False  # the user's word that runtimes (node, Go, …) handle it
    signal_means: str = "stop"  # stop: handlers save and exit; save: the script goes on after a save
    stall_timeout: float | None = None
    stdout_to_stderr: bool = False  # `--json`: our stdout is kept for the document
    verbosity: int = 0  # -1 quiet, 0, 1, 2
    learned: Learned = Learned()
    label: str = "ckptrun"  # what our own lines begin with
    beat: float | None = None  # seconds between two heartbeats, less than usual where others must be heard
    follows: bool = False  # one of several tasks, another of which leads: what is asked, and when, is its word
    ahead: float = 0.0  # seconds that a request needs to reach every node


class Ground(Protocol):
    """Everything that supervise needs from outside. No method may block for longer than a write to the run's directory."""

    def clock(self) -> float:
        """Unix time."""

    def beat(self) -> bool:
        """Renew the lease; False when it is lost."""

    def glance(self) -> float | None:
        """Look after what the script writes by itself; seconds until the next time, None = with the next heartbeat."""

    def inbox(self) -> list[Request]:
        """What others asked since the last call (`ckptrun save`, `ckptrun stop`)."""

    def news(self) -> list[Event]:
        """What happened since the last call where the same command runs on other nodes."""

    def elsewhere(self) -> int:
        """On how many other nodes it still runs and must be waited for."""

    def end_elsewhere(self) -> None:
        """Have it ended there, too: SIGTERM goes out here."""

    def pass_on(self, action: str, reason: str, cause: str) -> None:
        """Tell the leader what was asked of us."""

    def end_time(self) -> tuple[float | None, str]:
        """When this attempt must be over (Unix time; None = unknown) and whose word that is: "time limit"."""

    def saved_since(self, unix_time: float) -> Checkpoint | None:
        """The newest complete checkpoint that was written after that time, for scripts that report none."""

    def publish(self, request: Request | None) -> None:
        """Show the request in force in the run's directory."""

    def answer(self, request_id: str, ok: bool, text: str, checkpoint: str) -> None:  # noqa: FBT001  # a plain value
        """Tell the asker what became of a request."""

    def mark_stopped(self, by: str) -> None:
        """Leave the durable mark of a stop by the user."""

    def record(self, event: str, **fields: Any) -> None:
        """Append to the ledger."""

    def progress(self, fields: dict[str, Any]) -> None:
        """Show how far the attempt is: step, total, epoch, steps_per_second, last_save, saving, deadline, request."""
