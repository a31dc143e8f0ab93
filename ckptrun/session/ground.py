"""What the supervisor needs from the rest of the house while an attempt runs: the lease, the ledger, the control files, the clock.

Nothing here may stop a training: what cannot be written is said once, loudly, and the attempt goes on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckptrun import errors, names
from ckptrun.runs import control
from ckptrun.session import resuming, scheduler
from ckptrun.session import scene as scenes

if TYPE_CHECKING:
    import subprocess

    from ckptrun.model import Checkpoint, Request
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.ledger import Ledger
    from ckptrun.session.copies import Copier
    from ckptrun.session.keeping import Keeper
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.events import Event


class Ground:
    """The session's side of `supervise.run`."""

    def __init__(self, scene: Scene, lease: Lease, ledger: Ledger, *, attempt: int, started: float, local_dir: str) -> None:
        self._scene, self._lease, self._ledger = scene, lease, ledger
        self._attempt, self._started, self._local_dir = attempt, started, local_dir
        self._keeper: Keeper | None = None
        self._emptying: subprocess.Popen[bytes] | None = None
        self.troubles: list[str] = []
        self._copier: Copier | None = None

    def clock(self) -> float:
        """Unix seconds."""
        return float(self._scene.clock())

    def beat(self) -> bool:
        """Stamp the lease; False when somebody else has taken the run over."""
        self._keep_local()
        try:
            held = self._lease.beat()
        except (errors.CkptrunError, OSError) as error:
            self._trouble(f"the heartbeat could not be written: {error}")
            return True
        if self._emptying is not None:
            self._emptying.poll()  # or it stays a zombie
        if held and self._scene.config.retains:
            self._retention().now_and_then()
        if held and self._scene.config.backup_to:
            self._back_up()
        if held and self._scene.config.seal == "each":
            self._seal()
        return held

    def glance(self) -> float | None:
        """Copy aside what the script rewrites in place."""
        if not self._scene.config.keep_copies:
            return None
        if self._copier is None:
            from ckptrun.session.copies import Copier  # noqa: PLC0415  # not before the script has started

            held = self._lease.holder
            self._copier = Copier(self._scene, self._attempt, held.attempt_id if held else "")
        try:
            return self._copier.look(self._trouble)
        except (errors.CkptrunError, OSError) as error:
            self._trouble(f"a copy could not be made: {error}")
            return None

    def holds(self) -> bool:
        """Whether the run is still ours, without a stamp; what cannot be read just now is not lost."""
        try:
            return self._lease.held()
        except (errors.CkptrunError, OSError) as error:
            self._trouble(f"the lease could not be looked at: {error}")
            return True

    def _keep_local(self) -> None:
        """Or a cleaner of /tmp takes the directory away under a long training."""
        try:
            os.utime(self._local_dir)
        except OSError as error:
            self._trouble(f"{self._local_dir}: {error.strerror}")

    def inbox(self) -> list[Request]:
        """What others asked for since the last look."""
        try:
            return control.take_inbox(self._scene.paths, self._attempt, self._trouble)
        except (errors.CkptrunError, OSError) as error:
            self._trouble(f"control/inbox could not be read: {error}")
            return []

    def publish(self, request: Request | None) -> None:
        """Show the request in force in control/request.json."""
        self._try("control/request.json", lambda: control.publish(self._scene.paths, request))

    def answer(self, request_id: str, ok: bool, text: str, checkpoint: str) -> None:  # noqa: FBT001  # as Ground has it
        """Answer a request, so that whoever waits for it hears what came of it."""
        answer = control.Answer(id=request_id, ok=ok, text=text, checkpoint=checkpoint)
        self._try("control/answers", lambda: control.answer(self._scene.paths, answer))

    def mark_stopped(self, by: str) -> None:
        """Leave the durable mark that a scheduler's restart finds."""
        paths, now = self._scene.paths, self.clock()
        self._try("control/stopped.json", lambda: control.mark_stopped(paths, by=by, now=now, attempt=self._attempt))

    def record(self, event: str, **fields: Any) -> None:
        """One line in the ledger; a signal may be the platform's, which is asked why."""
        if event == "signal" and fields.get("signal") in scheduler.FROM_OUTSIDE:
            self._scene.place.signalled()
        self._try("the ledger", lambda: self._ledger.append(event, **fields))
        if event == "command_started":
            self._try("the trash", self._empty_trash)
        if event == "checkpoint" and self._scene.config.retains:
            self._retention().look()
        if event == "checkpoint" and self._scene.config.backup_to:
            self._back_up()

    def _empty_trash(self) -> None:
        """Have what killed saves and prunes left unlinked; the command has not waited for that."""
        if not (resuming.holds_something(self._scene.paths.trash) or os.path.islink(self._scene.paths.checkpoints)):
            return
        from ckptrun.session import keeping  # noqa: PLC0415  # not before the script has started

        self._emptying = keeping.empty_trash(self._scene.paths)

    def _retention(self) -> Keeper:
        if self._keeper is None:
            from ckptrun.session.keeping import Keeper  # noqa: PLC0415  # not before the script has started

            self._keeper = Keeper(self._scene, self._lease, self._ledger, self._trouble)
        return self._keeper

    def _back_up(self) -> None:
        """Let a helper send what has been saved to where it is safer."""
        from ckptrun.session import backing  # noqa: PLC0415  # not before the script has started

        self._try("a backup", lambda: backing.of(self._scene).look(self.record, self._trouble))

    def _seal(self) -> None:
        """Let a helper seal what the script saved in a layout of its own, and is at rest."""
        from ckptrun.session import sealing  # noqa: PLC0415  # as above

        self._try("a seal", lambda: sealing.of(self._scene).look(self._trouble))

    def progress(self, fields: dict[str, Any]) -> None:
        """Where the attempt is, for `ckptrun status`."""
        now = control.Progress(attempt=self._attempt, updated=self.clock(), started=self._started, **fields)
        self._try("control/progress.json", lambda: control.write_progress(self._scene.paths, now))

    def news(self) -> list[Event]:
        """Nothing: the command runs here only."""
        return []

    def elsewhere(self) -> int:
        """Nowhere else."""
        return 0

    def end_elsewhere(self) -> None:
        """There is nobody else."""

    def pass_on(self, action: str, reason: str, cause: str) -> None:
        """There is nobody above us."""

    def end_time(self) -> tuple[float | None, str]:
        """When the attempt must have ended, and who says so."""
        return scenes.end_of(self._scene, self._started)

    def saved_since(self, since: float) -> Checkpoint | None:
        """The newest complete checkpoint of this attempt written after `since`: how a save by a script without client is noticed."""
        try:
            found = scenes.checkpoints(self._scene)
        except (errors.CkptrunError, OSError) as error:
            self._trouble(f"the checkpoints could not be looked at: {error}")
            return None
        fresh = [
            item
            for item in found
            if item.state == names.COMPLETE and item.attempt in (self._attempt, None) and item.time >= since
        ]
        return fresh[-1] if fresh else None

    def _try(self, what: str, act: Any) -> None:
        try:
            act()
        except errors.LeaseLost:
            pass  # the next beat says so and ends the attempt; until then nothing is written
        except (errors.CkptrunError, OSError) as error:
            self._trouble(f"{what} could not be written: {error}")

    def _trouble(self, sentence: str) -> None:
        if sentence not in self.troubles:
            self.troubles.append(sentence)
            self._scene.say(f"warning: {sentence}", level=-1)
