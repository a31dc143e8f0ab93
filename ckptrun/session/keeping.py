"""A training that removes what its settings do not keep: after each save, now and then for scripts that save by themselves, at the end.

Only its holder does this, only renames happen here, and nothing that goes wrong ends a training. A process of its own unlinks.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ckptrun import errors
from ckptrun.checkpoints import emptying, remove
from ckptrun.policy import keeping
from ckptrun.report import gather
from ckptrun.session import pruning, resuming, thinning

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from ckptrun.checkpoints.remove import Moved
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.ledger import Ledger
    from ckptrun.runs.paths import RunPaths
    from ckptrun.session.scene import Scene

AT_LEAST = 60.0  # seconds between two looks that no save asked for
_SHARE = 1000  # and at least so many times as long as the last look took


class Keeper:
    """Applies the retention of one attempt; `trouble` is told, in one sentence each, what could not be done.

    While a training runs nothing is synced here: the process that unlinks does that first.
    """

    def __init__(
        self, scene: Scene, lease: Lease, ledger: Ledger, trouble: Callable[[str], None], *, ended: bool = False
    ) -> None:
        self._ended = ended
        self._scene, self._lease, self._ledger, self._trouble = scene, lease, ledger, trouble
        self._policy = keeping.of(scene.config)
        self._next = time.monotonic() + AT_LEAST
        self._emptying: subprocess.Popen[bytes] | None = None
        self._gone: pruning.Place | None = None  # from which something was removed, whose seals go once that is durable

    def now_and_then(self) -> None:
        """For saves that nobody reports, and for what was too young last time."""
        if self._emptying is not None and self._emptying.poll() == 0:  # asked also because it stays a zombie otherwise
            self._forget()
        if time.monotonic() >= self._next:
            self.look()

    def _forget(self) -> None:
        """Remove the seals of what is gone for good: the directories have been synced."""
        gone, self._gone = self._gone, None
        for line in pruning.tidied(gone, float(self._scene.clock())) if gone else ():
            self._trouble(f"retention: {line}")

    def look(self) -> None:
        """Remove what the settings do not keep."""
        begun = time.monotonic()
        try:
            self._prune()
        except errors.LeaseLost:
            pass  # the next beat says so and ends the attempt; until then nothing is removed
        except (errors.CkptrunError, OSError) as error:
            self._trouble(f"retention: {error}")
        now = time.monotonic()
        self._next = now + max(AT_LEAST, _SHARE * (now - begun))

    def _prune(self) -> None:
        run, now = self._scene.paths, float(self._scene.clock())
        found = pruning.without_copies(gather.run_listing(run).checkpoints)
        place = pruning.Place(checkpoints=found, run=run, root=self._scene.config.root, ours=True, ended=self._ended)
        decision = pruning.decide(place, self._policy, now)
        for note in decision.notes:
            self._trouble(f"retention: {note}")
        if not (decision.remove or decision.thin):
            return
        done = pruning.carry_out(place, decision, self._lease.require, now=now, sync=self._ended)
        thinned = thinning.thin(decision.thin, place.trash, self._lease.require, by="", now=now, sync=self._ended)
        self._tell(done, thinned)
        if self._emptying is None or self._emptying.poll() is not None:
            directories = dict.fromkeys((*done.directories, *thinned.directories))
            self._emptying = emptying.begin(pruning.waiting(place), directories, detached=False)
            self._gone = place
        if self._ended:
            self._forget()

    def _tell(self, done: Moved, thinned: Moved) -> None:
        for line in (*done.left, *thinned.left):
            self._trouble(f"retention: {line}")
        if done.moved or thinned.moved:
            removed, thin = (pruning.inside(self._scene.paths, moved) for moved in (done.moved, thinned.moved))
            self._ledger.append(pruning.PRUNED, removed=removed, thinned=thin)
            self._scene.say(f"retention: removed {', '.join(removed) or 'nothing'}", level=1)


def empty_trash(run: RunPaths) -> subprocess.Popen[bytes] | None:
    """Begin to unlink what a killed save or prune left in the trash of a run, if there is any. Others may do so at the same time."""
    places = sorted({run.trash, remove.place(run.checkpoints, run.trash)})
    waiting = [each for each in places if resuming.holds_something(each)]
    return emptying.begin(waiting, [os.path.realpath(run.checkpoints)], detached=False) if waiting else None


def at_the_end(scene: Scene, lease: Lease, ledger: Ledger) -> None:
    """The last look, when the attempt's books are written."""
    Keeper(scene, lease, ledger, lambda sentence: scene.say(f"warning: {sentence}", level=-1), ended=True).look()
