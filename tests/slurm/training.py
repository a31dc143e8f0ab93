"""A recorded training as a job of the cluster: where it stands, what it did, and whether any step was lost or done twice."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from support import wait_until

if TYPE_CHECKING:
    from cluster import Cluster

_HERE = os.path.dirname(os.path.abspath(__file__))
# How ckptrun can stand in a batch script. A shell that does not trap TERM dies of it, and Slurm then kills everything.
STANDING = {
    "exec": "exec {command}",
    "srun": "trap : TERM USR1 USR2\nsrun --ntasks=1 {command}\nexit $?",
    "forwarded": (
        "{command} & pid=$!\ntrap 'kill -TERM $pid' TERM\ntrap 'kill -USR1 $pid' USR1\n"
        "while :; do wait $pid; rc=$?; kill -0 $pid 2>/dev/null || exit $rc; done"
    ),
    "plain": "{command}\nexit $?",
}


class Training:
    """`ckptrun train --run r puppet.py`, or another script that records itself, in a directory of its own.

    `standing` is a key of STANDING, or such a text.
    """

    def __init__(
        self,
        cluster: Cluster,
        standing: str,
        *sbatch: str,
        steps: int = 400,
        seconds: float = 0.05,
        train: str = "",
        before: str = "",
        script: str = "puppet.py",
    ) -> None:
        self.cluster, self.steps = cluster, steps
        self.folder = cluster.folder()
        for name in {"puppet.py", script}:
            shutil.copy(os.path.join(_HERE, name), self.folder)
        command = f"ckptrun train --run r {train} {script} {steps} {seconds}"
        self.job = cluster.sbatch(
            "\n".join([before, STANDING.get(standing, standing).format(command=command)]), *sbatch, cwd=self.folder
        )

    # --- what it did ---------------------------------------------------------------------------------------------------------
    def log(self) -> list[dict[str, Any]]:
        """What the script recorded, in order."""
        try:
            with open(os.path.join(self.folder, "steps.jsonl"), encoding="utf-8") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def ledger(self) -> list[dict[str, Any]]:
        """The run's ledger."""
        with open(os.path.join(self.folder, "runs", "r", "ledger.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def record(self, attempt: int) -> dict[str, Any]:
        """attempt.json of one attempt."""
        with open(
            os.path.join(self.folder, "runs", "r", "attempts", f"{attempt:04d}", "attempt.json"), encoding="utf-8"
        ) as file:
            return dict(json.load(file))

    def attempt(self) -> int:
        """The number of the newest attempt."""
        return max(int(name) for name in os.listdir(os.path.join(self.folder, "runs", "r", "attempts")))

    def output(self) -> str:
        """What the job wrote, without asking Slurm where."""
        with open(os.path.join(self.folder, "out"), encoding="utf-8", errors="backslashreplace") as file:
            return file.read()

    def tell(self) -> str:
        """What the job wrote."""
        return self.cluster.tell(self.job)

    # --- waiting -------------------------------------------------------------------------------------------------------------
    def wait_step(self, count: int = 3, attempt: int = 1) -> None:
        """Until an attempt has done so many steps."""

        def done() -> bool:
            return sum(line["event"] == "step" and line["attempt"] == attempt for line in self.log()) >= count

        self._wait(done, f"{count} steps of attempt {attempt}")

    def wait_back(self, attempt: int = 2, *, skip_delay: bool = True) -> None:
        """Until the job has come back by itself and an attempt has begun; from then on steps take no time."""
        self.cluster.wait_restart(self.job, attempt - 1, skip_delay=skip_delay)
        self.wait_event("start", attempt)
        self.hurry()

    def hurry(self) -> None:
        """Let the rest be over soon."""
        with open(os.path.join(self.folder, "hurry"), "w", encoding="utf-8"):
            pass

    def wait_event(self, event: str, attempt: int = 1) -> None:
        """Until the script has recorded it."""
        self._wait(
            lambda: any(line["event"] == event and line["attempt"] == attempt for line in self.log()),
            f"{event} in {attempt}",
        )

    def _wait(self, done: Any, what: str) -> None:
        try:
            wait_until(done, timeout=40, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tell()}\n{self.cluster.show(self.job)}") from None

    # --- judging -------------------------------------------------------------------------------------------------------------
    def finish(self, final: bytes = b"") -> dict[str, str]:
        """Wait for the end, and check that the final state is that of an uninterrupted training, by default puppet.py's."""
        record = self.cluster.wait(self.job, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL")
        assert record["JobState"] == "COMPLETED", self.tell()
        attempts = os.path.join(self.folder, "runs", "r", "attempts")
        finals = [os.path.join(attempts, name, "output", "final") for name in sorted(os.listdir(attempts))]
        found = [path for path in finals if os.path.exists(path)]
        assert len(found) == 1, self.tell()
        with open(found[0], "rb") as file:
            assert file.read() == (final or uninterrupted(self.steps)), "the final state is another one"
        return record

    def check_steps(self) -> None:
        """Each step was done once, in order, over all attempts."""
        done = [line["step"] for line in self.log() if line["event"] == "step"]
        assert done == list(range(self.steps)), f"steps lost or doubled: {_jumps(done)}\n{self.tell()}"


def uninterrupted(steps: int) -> bytes:
    """The state after so many steps of puppet.py."""
    state = b""
    for step in range(steps):
        state = hashlib.sha256(state + str(step).encode()).digest()
    return state


def _jumps(done: list[int]) -> list[tuple[int, int]]:
    return [(before, after) for before, after in itertools.pairwise(done) if after != before + 1]
