"""Ending, stopping and continuing the tree."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from ckptrun.supervise import delivery, relays, tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckptrun.supervise.tree import Proc

# An srun client that gets SIGTERM kills its ranks 13 ms later, so that its step is told instead, if it is the only one that is not
# ours. Run beside us, because a controller that hangs answers after 18 s.
_END_STEP = """
steps=$(squeue -h -s -j "$1" -o %i 2>/dev/null | grep -E '^[0-9_]+[.][0-9]+$' | grep -vx "$1[.]${2:-none}")
[ "$(echo "$steps" | wc -l)" = 1 ] && [ -n "$steps" ] && exec scancel -s TERM "$steps"
"""
_STOPS_WITHIN = 0.5  # seconds


class Ending:
    """What has been sent to whom on the way to the end."""

    def __init__(self, root: int, env: Mapping[str, str]) -> None:
        self._root, self._env = root, env
        self._told: set[delivery.Key] = set()
        self._step_told = False
        self._paused: list[Proc] = []
        self.sent: list[int] = []

    def terminate(self) -> list[str]:
        """SIGTERM, once to each; below a process that handles it nobody else gets it. Who was told, by name."""
        procs = tree.descendants(self._root)
        told = []
        for each in _without_handled(procs, self._told):
            if relays.kind(tree.argv(each.pid))[1] == "srun":
                told += self._end_step(each)
            elif tree.send(each, signal.SIGTERM):
                told.append(tree.describe(each))
            self._told.add(each.key)
        for each in procs:
            if each.state == tree.STOPPED:
                tree.send(each, signal.SIGCONT)
        self._note(signal.SIGTERM, told)
        return told

    def kill(self) -> list[str]:
        """SIGKILL to all; who was hit, by name."""
        hit = [tree.describe(each) for each in tree.descendants(self._root) if tree.send(each, signal.SIGKILL)]
        self._note(signal.SIGKILL, hit)
        return hit

    def pause(self) -> None:
        """Stop the tree, again and again until nothing new appears; those that were stopped before stay so later."""
        until = time.monotonic() + _STOPS_WITHIN
        while running := [each for each in tree.descendants(self._root) if each.state not in (tree.STOPPED, "t")]:
            known = {each.key for each in self._paused}
            self._paused += [each for each in running if each.key not in known and tree.send(each, signal.SIGSTOP)]
            if time.monotonic() > until:  # one that waits for a disk stops when that has answered
                return
            time.sleep(0.001)

    def resume(self) -> None:
        """Let those go on that we stopped, the innermost first, so that nobody finds a child that does not answer."""
        for each in reversed(self._paused):
            tree.send(each, signal.SIGCONT)
        self._paused.clear()

    def _note(self, number: int, to: list[str]) -> None:
        if to and number not in self.sent:
            self.sent.append(int(number))

    def _end_step(self, srun: Proc) -> list[str]:
        job = self._env.get("SLURM_JOB_ID", "")
        if self._step_told or not job:
            return []
        self._step_told = True
        words = ["sh", "-c", _END_STEP, "ckptrun", job, self._env.get("SLURM_STEP_ID", "")]
        nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        os.posix_spawnp("sh", words, dict(self._env), file_actions=nowhere)
        return [f"the step of {tree.describe(srun)}, by scancel"]


def _without_handled(procs: list[Proc], told: set[delivery.Key]) -> list[Proc]:
    """Those to be told, parents first, but for what lies below a process that handles SIGTERM: it ends its own."""
    handling: set[int] = set()
    wanted = []
    bit = 1 << (signal.SIGTERM - 1)
    for each in procs:
        if each.parent in handling:
            handling.add(each.pid)
            continue
        if tree.masks(each.pid).caught & bit and not delivery.kind_of(each.pid):
            handling.add(each.pid)
        if each.key not in told:
            wanted.append(each)
    return wanted
