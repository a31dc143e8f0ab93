"""What must hold of a run's directory, whatever happened to the process that saved into it."""

from __future__ import annotations

import os

from ckptrun import names
from ckptrun.checkpoints import cleanup, scan, verify
from ckptrun.policy import resume


def acknowledged(stdout: str) -> list[str]:
    """The checkpoints that the script had been told are saved."""
    return [line.split()[1] for line in stdout.splitlines() if line.startswith("ack ")]


def breaches(root: str, acks: list[str]) -> list[str]:
    """What does not hold; nothing, if the promise is kept."""
    checkpoints = os.path.join(root, names.CHECKPOINTS)
    found = scan.scan_run(checkpoints, os.path.join(root, names.ATTEMPTS), sizes=True)
    states = {item.name: verify.deep(item) for item in found if not item.name.startswith(names.TMP_PREFIX)}
    broken = [
        f"{name} bears a final name and is {state}: {why}"
        for name, (state, why) in states.items()
        if state != names.COMPLETE
    ]
    broken += [f"{name} was acknowledged and is gone" for name in acks if name not in states]
    plan = resume.decide(found)
    newest = max(acks, default="")
    if acks and (plan.chosen is None or plan.chosen.name < newest):
        broken.append(f"{newest} was acknowledged, and the next start goes on from {plan.chosen and plan.chosen.name}")
    return broken


def leftovers(root: str, attempt: int) -> list[str]:
    """What is still half-written after the next start has cleaned up."""
    checkpoints = os.path.join(root, names.CHECKPOINTS)
    swept = cleanup.sweep(checkpoints, os.path.join(root, names.TRASH), attempt, lambda: None)
    return swept.left + [name for name in os.listdir(checkpoints) if name.startswith(names.TMP_PREFIX)]
