"""What the doctor says of batch scripts and configurations. No Slurm is needed here."""

from __future__ import annotations

import os
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import REPO

from ckptrun.platforms.doctor import batch, cluster, directives, mounts, quota, shell
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM
from ckptrun.platforms.slurm.site import Partition, Site

APPEND = "#!/bin/bash\n#SBATCH --open-mode=append\n"
CHILD, SHELL_DIES, ONCE = (PROBLEM, "child of the shell"), (PROBLEM, "the shell dies of TERM"), (PROBLEM, "a run has one")
FORWARD = "trap 'kill -TERM $pid' SIGTERM\nckptrun train t.py & pid=$!\n"
SCRIPTS = [
    # the script's body, and (level, a part of the text) of everything that is not ok
    ("exec ckptrun train t.py", []),
    ("exec -a x /opt/bin/ckptrun train t.py", []),
    ("exec env A=1 ckptrun -v train t.py", []),
    ("exec python3 -m ckptrun train t.py", []),
    ("exec ckptrun \\\n  train \\\n  --run x t.py  # the end", []),
    ("cd work && exec ckptrun train t.py", []),
    ("main() {\n  exec ckptrun train t.py\n}\nmain", []),
    ("if [ -f a ]; then\n  exec ckptrun train a.py\nelse\n  exec ckptrun train b.py\nfi", []),
    ("case $1 in a) exec ckptrun train a.py;; *) exec ckptrun train b.py;; esac", []),
    ("cat > note <<END\nckptrun train t.py\nEND\nexec ckptrun train t.py", []),
    ("exec ckptrun train t.py > out.txt 2>&1", []),
    ("trap : TERM USR1\nsrun --ntasks=1 ckptrun train t.py\nexit $?", []),
    ("trap : TERM\nsrun -n1 bash -c true\nsrun --ntasks 1 --cpus-per-task=4 ckptrun train t.py", []),
    (f"{FORWARD}while kill -0 $pid; do wait $pid; done", []),
    (f"{FORWARD}wait $pid; wait $pid", []),
    ("stop() { kill -TERM $pid; }\ntrap stop TERM\nckptrun train t.py & pid=$!\nwhile kill -0 $pid; do wait; done", []),
    (f"{FORWARD}wait", [(PROBLEM, "its `wait` returns")]),
    ("trap 'echo bye' TERM\nckptrun train t.py & pid=$!\nwait; wait", [CHILD]),
    ("trap 'kill $pid' TERM\ntrap - TERM\nckptrun train t.py & pid=$!\nwait; wait", [CHILD]),
    ("ckptrun train t.py", [CHILD]),
    ("python -m ckptrun train t.py", [CHILD]),
    ("train() {\n ckptrun train t.py\n}\ntrain", [CHILD]),
    ("if true; then ckptrun train t.py; fi", [CHILD]),
    ("( exec ckptrun train t.py )", [CHILD]),
    ("exec ckptrun train t.py &\nwait", [CHILD]),
    ("exec ckptrun train t.py 2>&1 | tee log", [(PROBLEM, "part of a pipeline")]),
    ("trap : TERM\nsrun ckptrun train t.py |& tee log", [(NOTE, "the exit code is that of the pipeline")]),
    ("srun ckptrun train t.py", [SHELL_DIES]),
    ("srun \\\n  --ntasks=1 \\\n  ckptrun train t.py", [SHELL_DIES]),
    ("exec srun ckptrun train t.py", [(PROBLEM, "`exec srun`")]),
    ("trap : TERM\nsrun --ntasks=4 ckptrun train t.py", []),
    ("#SBATCH -n 4\nexec ckptrun train -- srun python t.py", []),
    ("exec torchrun --nproc-per-node=4 ckptrun train t.py", [ONCE]),
    ("exec mpirun -n 4 ckptrun train t.py", [ONCE]),
    ("exec ckptrun train -- torchrun --nproc-per-node=4 t.py", []),
    ("exec ckptrun train -- srun --kill-on-bad-exit=1 python t.py", [(NOTE, "kill the other ranks")]),
    ("exec ckptrun train -- srun -K python t.py", [(NOTE, "kill the other ranks")]),
    ("exec ckptrun train -- srun -W 3 python t.py", [(NOTE, "kill the other ranks")]),
    ("exec conda run -n env ckptrun train t.py", [(PROBLEM, "`conda run`")]),
    ("conda run -n env ckptrun train t.py", [CHILD, (PROBLEM, "`conda run`")]),
    ("exec uv run ckptrun train t.py", [(NOTE, "`uv run`")]),
    ("exec apptainer exec --nv image.sif ckptrun train t.py", [(NOTE, "`apptainer exec`")]),
    ("exec singularity run image.sif ckptrun train t.py", [(NOTE, "`singularity run`")]),
    ("exec docker run image ckptrun train t.py", [(PROBLEM, "outside of the job")]),
    ("exec ckptrun train -- docker run image python t.py", [(NOTE, "not below ckptrun")]),
    ("exec ckptrun train -- apptainer exec image.sif python t.py", []),
    ("exec wandb agent team/sweep", [(PROBLEM, "does not start ckptrun"), (PROBLEM, "`wandb agent`")]),
    ("exec ckptrun train -- wandb agent --count 1 team/sweep", []),
    ("srun bash -c 'ckptrun train t.py; echo done'", [(PROBLEM, "the shell of `-c`")]),
    ("exec bash -c 'exec ckptrun train t.py'", [(NOTE, "makes way")]),
    ('CMD="ckptrun train t.py"\nsrun $CMD', [(NOTE, "in a variable or in quotes")]),
    ("CMD=(ckptrun train t.py)\nsrun ${CMD[@]}", [(NOTE, "in a variable or in quotes")]),
    ("function train {\n  exec ckptrun train t.py\n}\ntrain", []),
    ("python t.py", [(PROBLEM, "does not start ckptrun")]),
    ("# exec ckptrun train t.py", [(PROBLEM, "does not start ckptrun")]),
    ("ckptrun submit t.py", [(NOTE, "submits another job")]),
    ("exec ckptrun train a.py\nexec ckptrun train b.py", [(PROBLEM, "never reached")]),
    ("trap : TERM\nsrun ckptrun train a.py\nsrun ckptrun train b.py", [(NOTE, "goes on to the next")]),
    ("trap : TERM\nsrun ckptrun train a.py || exit $?\nsrun ckptrun train b.py", []),
    ("set -e\ntrap : TERM\nsrun ckptrun train a.py\nsrun ckptrun train b.py", []),
    ("trap : TERM\nsrun ckptrun train a.py &\nsrun ckptrun train b.py &\nwait", [(NOTE, "end together")]),
    ("trap : TERM\nuntil srun ckptrun train t.py; do sleep 1; done", [(NOTE, "in a loop")]),
    ("trap 'scontrol requeue $SLURM_JOB_ID' USR1\nexec ckptrun train t.py", [(NOTE, "requeues or submits itself")]),
    ('trap : TERM\nsrun ckptrun train t.py || sbatch "$0"', [(NOTE, "requeues or submits itself")]),
    ("trap : TERM CONT\nsrun ckptrun train t.py", [(NOTE, "CONT")]),
    ("#SBATCH hetjob\n#SBATCH -N1\nexec ckptrun train t.py", [(PROBLEM, "heterogeneous")]),
    ("exec ckptrun train t.py\n#SBATCH --time=5", [(NOTE, "after the first command")]),
    ("#SBATCH --signal=B:USR1@120\ntrap : TERM\nsrun ckptrun train t.py", [(PROBLEM, "reaches the shell only")]),
    ("#SBATCH --signal=USR1@120\nexec ckptrun train t.py", [(NOTE, "srun's tasks only")]),
    ("#SBATCH --signal=B:USR1@10\nexec ckptrun train t.py", [(NOTE, "10 to 40 s")]),
    ("#SBATCH --signal=B:USR1@120 -t 60\nexec ckptrun train t.py", []),
    ("#SBATCH --signal=B:USR1@120 -t 3\nexec ckptrun train t.py", [(PROBLEM, "at the start")]),
    ("#SBATCH --signal=B:USR1 --time=0:02:00\nexec ckptrun train t.py", [(PROBLEM, "at the start")]),
    ("#SBATCH --signal=B:USR1@120 -t 3\ntrap '' USR1\nexec ckptrun train t.py", []),
    ("#SBATCH --signal=USR1@3600\n#SBATCH -t1:00:00\ntrap : TERM\nsrun ckptrun train t.py", [(PROBLEM, "at the start")]),
    ("#SBATCH --no-requeue\nexec ckptrun train t.py", [(NOTE, "may not be requeued")]),
]


@pytest.mark.parametrize(("body", "expected"), SCRIPTS)
def test_a_batch_script(body: str, expected: list[tuple[str, str]]) -> None:
    found = [finding for finding in batch.findings(APPEND + body + "\n") if finding.level != OK]
    assert [finding.level for finding in found] == [level for level, _ in expected], found
    for finding, (_, text) in zip(found, expected, strict=True):
        assert text in finding.text
        assert finding.todo


# As PyTorch's and Lightning's documentation have them, with ckptrun put in.
MULTINODE = r"""#!/bin/bash

#SBATCH --job-name=multinode-example
#SBATCH --nodes=4
#SBATCH --ntasks=4
#SBATCH --gpus-per-task=1

nodes=( $( scontrol show hostnames $SLURM_JOB_NODELIST ) )
nodes_array=($nodes)
head_node=${nodes_array[0]}
head_node_ip=$(srun --nodes=1 --ntasks=1 -w "$head_node" hostname --ip-address)

echo Node IP: $head_node_ip
export LOGLEVEL=INFO

%s srun torchrun \
--nnodes 4 \
--nproc_per_node 1 \
--rdzv_id $RANDOM \
--rdzv_backend c10d \
--rdzv_endpoint $head_node_ip:29500 \
/shared/examples/multinode_torchrun.py 50 10
"""
LIGHTNING = r"""#!/bin/bash -l

# SLURM SUBMIT SCRIPT
#SBATCH --nodes=4             # This needs to match Trainer(num_nodes=...)
#SBATCH --gres=gpu:8
#SBATCH --ntasks-per-node=8   # This needs to match Trainer(devices=...)
#SBATCH --mem=0
#SBATCH --time=0-02:00:00
#SBATCH --signal=SIGUSR1@90

# activate conda env
source activate $1

# debugging flags (optional)
export NCCL_DEBUG=INFO

%s
"""
LONGER = [
    (MULTINODE % "exec ckptrun train --", [(NOTE, "emptied")]),
    (MULTINODE % "ckptrun train --", [CHILD, (NOTE, "emptied")]),
    (MULTINODE % "", [(PROBLEM, "does not start"), (NOTE, "emptied")]),
    (LIGHTNING % "srun ckptrun train train.py", [SHELL_DIES, (NOTE, "emptied")]),
    (LIGHTNING % "exec ckptrun train -- srun python train.py", [(NOTE, "emptied"), (NOTE, "srun's tasks only")]),
]


@pytest.mark.parametrize(("script", "expected"), LONGER)
def test_a_longer_script(script: str, expected: list[tuple[str, str]]) -> None:
    found = [finding for finding in batch.findings(script) if finding.level != OK]
    assert [finding.level for finding in found] == [level for level, _ in expected], found
    for finding, (_, text) in zip(found, expected, strict=True):
        assert text in finding.text


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
        (Site(requeue_codes=frozenset({93})), None, NOTE, "RequeueExit has 93"),
        (Site(hold_codes=frozenset({75})), None, PROBLEM, "RequeueExitHold has 75"),
        (Site(version="20.11.9"), None, NOTE, "22.05 and later"),
        (Site(version="24.11.1"), None, OK, "Slurm 24.11.1"),
        (Site(appends=True), None, OK, "is kept when it starts again"),
        (Site(), None, OK, "is emptied when it starts again"),
        (Site(preempt_type="preempt/qos", user_signal_at_preemption=True), None, OK, "--signal is also sent"),
        (Site(preempt_type="preempt/qos"), None, OK, "--signal is not sent"),
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


def test_a_script_is_judged_by_the_cluster_that_it_is_for() -> None:
    script = "#!/bin/bash\nexec ckptrun train t.py\n"
    assert [finding.level for finding in batch.findings(script, Site(appends=True))] == [OK]
    assert "JobRequeue=0" in batch.findings(script, Site(appends=True, job_requeue=False))[-1].text


def test_a_script_of_sbatch_wrap() -> None:
    found = batch.findings("#!/bin/sh\n\n# This script was created by sbatch --wrap.\n\nckptrun train t.py\n")
    assert "--wrap 'exec ckptrun train" in found[0].todo


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 300), ("5:30", 330), ("1:00:00", 3600), ("2-3", 183600), ("1-0:30", 88200), ("1-00:00:10", 86410),
        ("UNLIMITED", None), ("", None), ("x", None),
    ],
)  # fmt: skip
def test_time_limits_as_sbatch_spells_them(text: str, expected: float | None) -> None:
    assert directives.seconds(text) == expected


@given(st.lists(st.lists(st.text(min_size=1).filter(lambda word: "\0" not in word), min_size=1, max_size=4), max_size=4))
def test_quoted_words_are_read_as_they_were(commands: list[list[str]]) -> None:
    commands = [["run", *words] for words in commands]
    assert [each.words for each in shell.read("\n".join(shlex.join(words) for words in commands))] == commands


@given(st.text(alphabet="if then fi {}()|&;<>'\"`$#\\\n ab=ckptrun train"))
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    batch.findings(f"#!/bin/sh\n{text}")


MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /home rw,nosuid - nfs4 server:/home rw,vers=4.2,hard,local_lock=none
31 22 0:27 / /old\\040home rw - nfs server:/old rw,vers=3,nolock,soft,local_lock=all
32 22 0:28 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw,flock,lazystatfs
33 22 0:29 / /proj rw - lustre 10.0.0.1@tcp:/proj rw,localflock
34 22 0:30 / /shm rw - tmpfs tmpfs rw,size=1g
35 22 0:31 / /shm/sub ro - ext4 /dev/sdb rw
36 22 0:32 / /bucket rw - fuse.s3fs s3fs rw
37 22 0:33 / /bee rw - beegfs beegfs_nodev rw
38 22 0:34 / /share rw - cifs //server/share rw,nobrl
no mount at all
"""
PLACES = [
    # a directory, whether a scheduler chooses the machine, and what is found
    ("/data/runs", False, [(OK, "/data/runs: ext4, this machine's own")]),
    ("/data/runs", True, [(NOTE, "does not find its run")]),
    ("/home", True, [(OK, "nfs4 from server:/home")]),
    ("/homes", True, [(NOTE, "ext4")]),
    ("/old home/me", True, [(OK, "nfs from server:/old"), (NOTE, "(nolock): locks are"), (NOTE, "(soft): reading")]),
    ("/scratch/me/runs", True, [(OK, "lustre")]),
    ("/proj/me", True, [(OK, "lustre"), (NOTE, "(localflock)")]),
    ("/shm/x", False, [(NOTE, "in memory")]),
    ("/shm/sub/x", False, [(PROBLEM, "read-only")]),
    ("/bucket", True, [(PROBLEM, "object store")]),
    ("/bee", True, [(OK, "beegfs"), (NOTE, "tuneUseGlobalFileLocks")]),
    ("/share", True, [(OK, "cifs"), (NOTE, "(nobrl)")]),
]


@pytest.mark.parametrize(("folder", "shared", "expected"), PLACES)
def test_where_a_directory_lies(folder: str, shared: bool, expected: list[tuple[str, str]]) -> None:
    mount = mounts.of(folder, mounts.parse(MOUNTINFO))
    assert mount is not None
    found = mounts.findings(folder, mount, shared=shared)
    assert [finding.level for finding in found] == [level for level, _ in expected]
    for finding, (level, text) in zip(found, expected, strict=True):
        assert text in finding.text
        assert bool(finding.todo) == (level != OK)


QUOTA = """\
Disk quotas for user ana (uid 1000):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
      /dev/sda1    {used}   {soft}    2000       0      {files}      10      20       0
"""  # quota --raw-grace
LFS = "     /scratch/very/long\n                  {used}    {soft}    2000       -      {files}      10      20       -\n"  # lfs quota -q


@pytest.mark.parametrize("text", [QUOTA, LFS])
@pytest.mark.parametrize(
    ("used", "soft", "files", "levels"),
    [
        ("100", 1000, "3", [OK, OK]),
        ("950", 1000, "3", [NOTE, OK]),
        ("1500*", 1000, "3", [PROBLEM, OK]),
        ("100", 0, "10", [OK, PROBLEM]),
    ],
)
def test_a_quota(text: str, used: str, soft: int, files: str, levels: list[str]) -> None:
    found = quota.parse(text.format(used=used, soft=soft, files=files))
    assert found is not None
    assert found.limit == (soft or 2000) * 1024
    assert [finding.level for finding in quota.findings("/home", found)] == levels


@pytest.mark.parametrize("text", ["", "Disk quotas for user ana (uid 1000): none\n", "x 1 2 3\n", "a b c d e f g h i j\n"])
def test_no_quota(text: str) -> None:
    assert quota.parse(text) is None


def test_without_limits_there_is_nothing_to_say_of_a_quota() -> None:
    assert quota.findings("/home", quota.Quota(used=5, limit=0, files=1, file_limit=0)) == []
