"""`ckptrun doctor` on a cluster."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster import Cluster


def test_a_cluster_and_a_script_are_examined(slurm: Cluster) -> None:
    folder = slurm.folder()
    with open(os.path.join(folder, "job.sh"), "w", encoding="utf-8") as file:
        file.write("#!/bin/bash\nckptrun train t.py\n")
    ran = slurm.run("ckptrun", "doctor", "--json", "job.sh", cwd=folder, check=False)
    assert ran.returncode == 1
    found = json.loads(ran.stdout)["findings"]
    texts = {finding["about"]: [] for finding in found}
    for finding in found:
        texts[finding["about"]].append((finding["level"], finding["text"]))
    assert any(level == "problem" for level, _ in texts["script"])
    assert any("KillWait: 5.0 s" in text for _, text in texts["slurm"])
    assert any("partition lowcancel: preemption by CANCEL" in text for _, text in texts["slurm"])
    healthy = slurm.run("ckptrun", "doctor", cwd=folder)
    assert healthy.returncode == 0


def test_a_cluster_that_does_not_answer_is_a_problem_and_not_a_wait(slurm: Cluster) -> None:
    ran = slurm.run("ckptrun", "doctor", cwd=slurm.folder(), check=False, env={"SLURM_CONF": "/nowhere/slurm.conf"})
    assert ran.returncode == 1
    assert "Slurm cannot be asked" in ran.stdout
