"""Backups while a training runs, at its end, and on the way back: for disks that vanish with the machine (`--backup-to`).

The newest checkpoint is sent by a helper, one at a time; what it has sent is gone on with by the next. Nothing that goes wrong here
changes how an attempt ends, and it is said.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names, units
from ckptrun.config import destinations
from ckptrun.policy import backup as policy
from ckptrun.session import resuming
from ckptrun.session.helper import Done, Helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Ended
    from ckptrun.runs.lease import Lease
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.signals import Intake

    Tell = Callable[[str], None]
    Record = Callable[..., None]

BACKED_UP, FETCHED = "backed_up", "fetched"  # in the ledger
_TO, _FROM = (
    "CKPTRUN_BACKUP_TO",
    "CKPTRUN_RESTORE_BACKUP",
)  # a URL may hold a password, and `ps` shows arguments to everybody
_SPARE = 1.0  # seconds before the deadline
_backers: dict[str, Backer] = {}


def of(scene: Scene) -> Backer:
    """The one that backs this run up, for all attempts of this process: one upload at a time."""
    if scene.paths.dir not in _backers:
        _backers[scene.paths.dir] = Backer(scene)
    return _backers[scene.paths.dir]


class Backer:
    """Sends the newest checkpoint to where the settings say, at most every so often."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._helper: Helper | None = None
        self._next = 0.0
        self._said = ""  # the last backup that was told of
        self.shown = destinations.redacted(str(scene.config.backup_to))

    def look(self, record: Record, trouble: Tell) -> None:
        """Take note of what has ended; begin where it is time to."""
        if self._helper is not None and (done := self._helper.poll()) is not None:
            self._helper = None
            self._note(done, record, trouble)
        if self._helper is None and time.monotonic() >= self._next:
            self._helper = self._begun(trouble)

    def _begun(self, trouble: Tell) -> Helper | None:
        self._next = time.monotonic() + self._scene.config.backup_every
        environ = {**self._scene.environ, _TO: str(self._scene.config.backup_to)}
        try:
            return Helper(["backup", "--if-any", "--json", self._scene.paths.dir], environ)
        except OSError as error:
            trouble(f"no backup was begun: {error.strerror}")
            return None

    def _note(self, done: Done, record: Record, trouble: Tell, *, final: bool = False) -> None:
        if done.code < 0:
            self._next = 0.0  # somebody ended it, as schedulers do with all processes of a job: again
        elif done.code != names.EXIT_OK:
            trouble(f"the newest checkpoint is NOT backed up to {self.shown}: {done.why}")
        for made in _document(done).get("backups", ()):
            if made["state"] == "made" or (final and made["path"] != self._said):
                self._said = made["path"]  # one that was ended may have made it, and not lived to say so
                record(BACKED_UP, name=made["name"], to=made["path"], sent=made["sent"])
                self._scene.say(f"backed up: {made['path']}", level=0 if final else 1)

    def finish(self, held: Lease, intake: Intake, deadline: float | None, record: Record) -> None:
        """Send the newest one that there is now, as long as there is time; newer wins over what is under way."""
        if self._helper is not None:
            stopped = self._helper.stop()
            if stopped.code == names.EXIT_OK:
                self._note(stopped, record, self._warn, final=True)
        begun, helper = time.monotonic(), self._begun(self._warn)
        self._helper = None
        if helper is None:
            return
        done = _wait(helper, self._scene, held, intake, deadline)
        if done is not None:
            self._note(done, record, self._warn, final=True)
        else:
            helper.stop()
            self._warn(
                f"the newest checkpoint is NOT wholly backed up to {self.shown}: there was no more time "
                f"({units.duration(time.monotonic() - begun)}); `ckptrun backup --to DEST {self._scene.run}` goes on with it"
            )

    def _warn(self, sentence: str) -> None:
        self._scene.say(f"warning: {sentence}", level=-1)


def _document(done: Done) -> dict[str, Any]:
    found = msgspec.json.decode(done.out) if done.code == names.EXIT_OK else {}
    return dict(found)


def _wait(helper: Helper, scene: Scene, held: Lease, intake: Intake, deadline: float | None) -> Done | None:
    """What came of it; None: the deadline came, or somebody insists on an end."""
    beat = time.monotonic()
    while (done := helper.poll()) is None:
        if deadline is not None and scene.clock() >= deadline - _SPARE:
            return None
        if time.monotonic() - beat >= names.HEARTBEAT_SECONDS:
            beat = time.monotonic()
            held.beat()
        if intake.wait(0.05) and _insists(intake.take()):
            return None
    return done


def _insists(signals: list[int]) -> bool:
    """Whether somebody wants an end now: a stop that comes after the script has ended. Slurm's second TERM comes before."""
    return any(number in (1, 2, 15) for number in signals)


def at_the_end(scene: Scene, held: Lease, intake: Intake, ended: Ended, record: Record) -> None:
    """The last backup of this start, as long as what ended it allows; without a deadline as long as it takes."""
    asked = [request.deadline for request in ended.requests if request.action != names.SAVE and request.deadline is not None]
    end, _ = scene.place.end_time()
    known = [at for at in (*asked, end) if at is not None]
    of(scene).finish(held, intake, min(known, default=None), record)


def wanted(scene: Scene, *, once: bool) -> policy.Fetch:
    """Whether this start looks for a backup, and why."""
    config = scene.config
    elsewhere = "--from" if config.from_ref else "--resume-at" if once and config.resume_at is not None else ""
    holds = resuming.holds_something(scene.paths.checkpoints) or resuming.holds_something(scene.paths.attempts)
    return policy.fetch(holds=holds, fresh=once and config.fresh, elsewhere=elsewhere)


def fetch(scene: Scene, held: Lease, intake: Intake, *, once: bool) -> None:
    """Where this machine has nothing of the run, put its newest backup back before anybody looks for checkpoints.

    Raises:
        errors.IoFailure: nobody knows whether there is one: nothing is begun from the beginning in silence.
    """
    decided = wanted(scene, once=once)
    if not decided.wanted:
        return
    source = destinations.below(str(scene.config.backup_to), scene.run)
    scene.say(f"{decided.why}: looking for a backup in {destinations.redacted(source)}")
    done = _fetched(scene, held, intake, source)
    if done is None:
        return  # a stop came; whoever looks next says so
    if done.code != names.EXIT_OK:
        raise errors.IoFailure(
            f"run {scene.run} has nothing here, and its backup cannot be fetched: {done.why}",
            "nothing was started; start the same command again, or with --fresh to begin without it",
        )
    found: dict[str, Any] = msgspec.json.decode(done.out)
    if found["state"] == "none":
        scene.say("there is none")
        return
    if found["attempt"]:  # so that numbers go on from there
        for path in (scene.paths.attempt(found["attempt"]).output, scene.paths.attempt(found["attempt"]).input):
            os.makedirs(path, exist_ok=True)
    scene.say(f"fetched {resuming.relative(scene, found['path'])}, {units.size(found['bytes'])}, from {found['backup']}")


def _fetched(scene: Scene, held: Lease, intake: Intake, source: str) -> Done | None:
    args = ["restore", "--if-any", "--json", "--to", scene.paths.dir + os.sep]
    helper = Helper(args, {**scene.environ, _FROM: source}, nice=False)
    beat = time.monotonic()
    while (done := helper.poll()) is None:
        if intake.wait(0.05):
            helper.stop()
            return None
        if time.monotonic() - beat >= names.HEARTBEAT_SECONDS:
            beat = time.monotonic()
            held.beat()
    return done
