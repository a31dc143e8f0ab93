"""Several tasks of one attempt, side by side: what a start does for the others, which is nothing where there are none.

leading     task 0: lease, ledger, requests, restarts are its business
others      what it hears of the others
following   the others: they start the command, pass on what is asked, and say how it ended
grounds     what the supervisor stands on, under both
meeting     how they find each other
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ckptrun.session.ground import Ground

if TYPE_CHECKING:
    from ckptrun.model import Ended, TaskRecord
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.ledger import Ledger
    from ckptrun.session.attempt import Begun
    from ckptrun.session.scene import Scene
    from ckptrun.supervise.signals import Intake


class Alone:
    """One task: nobody to lead. `leading.Lead` is the same for several."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def gather(self) -> bool:
        """Return True when all tasks see one directory, False when a signal came meanwhile."""
        return True

    def sleep(self, seconds: float) -> None:
        """Wait, and let the others know that we live."""
        time.sleep(seconds)

    def ranks(self) -> dict[str, str]:
        """Variables by which the ranks of the command find each other."""
        return {}

    def start(self, begun: Begun) -> None:
        """Have the others start the attempt."""

    def ground(self, held: Lease, book: Ledger, begun: Begun) -> Ground:
        """What the supervisor stands on."""
        return Ground(self._scene, held, book, attempt=begun.number, started=begun.started, local_dir=begun.spec.local_dir)

    def settle(self, ended: Ended) -> tuple[Ended, list[TaskRecord], TaskRecord | None]:
        """How all of it ended, how each task did, and whose failure it is."""
        return ended, [], None

    def over(self, code: int) -> None:
        """Tell the others that it is over, and with which code they end."""


def lead(scene: Scene, intake: Intake) -> Alone:
    """The leader's side of a start."""
    if scene.group is None:
        return Alone(scene)
    from ckptrun.session.group.leading import Lead  # noqa: PLC0415  # one task is the rule

    return Lead(scene, intake)
