"""What the doctor says of batch scripts and configurations. No Slurm is needed here."""

from __future__ import annotations

import os

import pytest
from support import REPO, run_ckptrun

from ckptrun.platforms.doctor import batch, cluster
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM
from ckptrun.platforms.slurm.site import Partition, Site

APPEND = "#!/bin/bash\n#SBATCH --open-mode=append\n"
SCRIPTS = [
    # the script's body, and (level, a part of the text) of everything that is not ok
    ("exec ckptrun train t.py", []),
    ("exec -a x /opt/bin/ckptrun train t.py", []),
    ("trap : TERM USR1\nsrun --ntasks=1 ckptrun train t.py\nexit $?", []),
    ("trap 'kill -TERM $pid' SIGTERM\nckptrun train t.py & pid=$!\nwait", [(PROBLEM, "child of the shell")]),
    ("trap 'kill -TERM $pid' SIGTERM\nckptrun train t.py &\npid=$!\nwait $pid", []),
    ("ckptrun train t.py", [(PROBLEM, "child of the shell")]),
    ("python -m ckptrun train t.py", [(PROBLEM, "child of the shell")]),
    ("srun ckptrun train t.py", [(PROBLEM, "the shell dies of TERM")]),
    ("exec srun ckptrun train t.py", [(PROBLEM, "`exec srun`")]),
    ("exec conda run -n env ckptrun train t.py", [(PROBLEM, "conda run")]),
    ("python t.py", [(PROBLEM, "does not start ckptrun")]),
    ("# exec ckptrun train t.py", [(PROBLEM, "does not start ckptrun")]),
    ("trap : TERM CONT\nsrun ckptrun train t.py", [(NOTE, "CONT")]),
    ("#SBATCH --signal=B:USR1@120\ntrap : TERM\nsrun ckptrun train t.py", [(PROBLEM, "reaches the shell only")]),
    ("#SBATCH --signal=USR1@120\nexec ckptrun train t.py", [(NOTE, "srun's tasks only")]),
    ("#SBATCH --signal=B:USR1@10\nexec ckptrun train t.py", [(NOTE, "10 to 40 s")]),
    ("#SBATCH --no-requeue\nexec ckptrun train t.py", [(NOTE, "may not be requeued")]),
]


@pytest.mark.parametrize(("body", "expected"), SCRIPTS)
def test_a_batch_script(body: str, expected: list[tuple[str, str]]) -> None:
    found = [finding for finding in batch.findings(APPEND + body + "\n") if finding.level != OK]
    assert [finding.level for finding in found] == [level for level, _ in expected], found
    for finding, (_, text) in zip(found, expected, strict=True):
        assert text in finding.text
        assert finding.todo


def test_a_log_that_is_emptied_and_a_script_that_is_none() -> None:
    assert "emptied" in batch.findings("#!/bin/bash\nexec ckptrun train t.py\n")[-1].text
    assert "#!" in batch.findings("exec ckptrun train t.py\n")[0].text


@pytest.mark.parametrize("name", sorted(os.listdir(os.path.join(REPO, "slurm"))))
def test_our_own_templates_are_healthy(name: str) -> None:
    with open(os.path.join(REPO, "slurm", name), encoding="utf-8") as file:
        found = batch.findings(file.read())
    assert [finding for finding in found if finding.level == PROBLEM] == []


@pytest.mark.parametrize(
    ("site", "partition", "level", "text"),
    [
        (Site(kill_wait=5.0), None, NOTE, "KillWait: 5.0 s"),
        (Site(kill_wait=30.0), None, OK, "KillWait: 30 s"),
        (Site(job_requeue=False), None, NOTE, "JobRequeue=0"),
        (Site(over_time_limit=60.0), None, OK, "OverTimeLimit: jobs may run 1m 00s beyond"),
        (Site(requeue_codes=frozenset({75})), None, OK, "RequeueExit has 75"),
        (Site(proctrack="proctrack/linuxproc"), None, NOTE, "everything that runs in a job"),
        (
            Site(preempt_type="preempt/partition_prio"),
            Partition(name="low", preempt_mode="CANCEL", grace=60.0),
            NOTE,
            "by CANCEL",
        ),
        (Site(preempt_type="preempt/partition_prio"), Partition(name="low", preempt_mode="REQUEUE"), NOTE, "no GraceTime"),
    ],
)
def test_a_clusters_configuration(site: Site, partition: Partition | None, level: str, text: str) -> None:
    found = [finding for finding in cluster.findings(site, [partition] if partition else []) if text in finding.text]
    assert [finding.level for finding in found] == [level]


def test_where_preemption_is_off_there_is_nothing_to_say_of_it() -> None:
    found = cluster.findings(Site(preempt_type="preempt/none"), [Partition(name="low", preempt_mode="REQUEUE")])
    assert not [finding for finding in found if "partition" in finding.text]


def test_a_directory_that_cannot_be_written_is_a_problem(tmp_path) -> None:
    done = run_ckptrun("doctor", "--root", "/proc/runs", cwd=tmp_path)
    assert done.returncode == 1
    assert "nothing can be written in /proc" in done.stdout
