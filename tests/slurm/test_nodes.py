"""A node that is lost: the job goes on elsewhere, and what still runs on the lost node can do no harm any more."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from support import wait_until
from training import Training

if TYPE_CHECKING:
    from cluster import Cluster


def test_a_lost_nodes_processes_cannot_write_any_more(slurm: Cluster) -> None:
    training = Training(slurm, "exec")
    training.wait_step()
    node = slurm.show(training.job)["NodeList"]
    old = training.record(1)["pid"]
    os.kill(old, signal.SIGSTOP)  # beside a fast machine's strays the old ckptrun would be gone before it could do harm
    slurm.end_node(node)  # slurmd dies as in a crash; the processes of its jobs live on
    slurm.admin("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    training.wait_back()
    training.finish()
    before = training.ledger()
    os.kill(old, signal.SIGCONT)
    wait_until(lambda: not os.path.exists(f"/proc/{old}") or _state(old) == "Z", what="the old ckptrun has ended")
    assert training.ledger() == before
    assert training.record(1)["outcome"] != "completed"
    assert [line["outcome"] for line in before if line["event"] == "attempt_ended"] == ["completed"]


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]
