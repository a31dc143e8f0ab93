"""The loop: sleeps in the kernel, looks, steps the machine, acts. One wake-up in ten seconds when nothing happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckptrun.model import Ended
    from ckptrun.supervise.signals import Intake
    from ckptrun.supervise.spec import Ground, Spec


def run(spec: Spec, ground: Ground, intake: Intake) -> Ended:
    """Run the command to its end, whatever that is, and say what was seen.

    Raises:
        UsageError: the command cannot be started: no such command, not executable, no such directory.
        IoFailure: the system refused a process, a pipe or a pty.
    """
    raise NotImplementedError
