"""Slurm's word for what happens to a job, as it was seen on 22.05, and what follows from it. No Slurm is needed here."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from ckptrun import errors, names, platforms
from ckptrun.model import Group
from ckptrun.platforms.base import Why
from ckptrun.platforms.slurm import Slurm, again, ask, record, site, why

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_795_209_600.0
LINE = (
    "JobId=9 JobName=a job = b UserId=ckpt(1001) GroupId=ckpt(1001) Account=(null) JobState={state} Reason={reason} Requeue=1"
    " Restarts={restarts} BatchFlag=1 TimeLimit=00:05:00 SubmitTime=1795209530 StartTime=1795209531 EndTime={end} Deadline=N/A"
    " {preempted} SuspendTime=None Partition=main ExcNodeList=(null) NodeList=n[1-2] NumNodes=1 CPUs/Task=2 ReqB:S:C:T=0:0:*:*"
    " WorkDir=/scratch/my runs StdOut=/scratch/my runs/out.txt Power= \n"
)


def shown(
    state: str, reason: str = "None", restarts: int = 0, end: float = NOW + 30, preempted: str = "PreemptTime=None"
) -> str:
    return LINE.format(state=state, reason=reason, restarts=restarts, end=int(end), preempted=preempted)


# What `scontrol show job` shows in a handler, and (cause, comes back by itself), for the job's second run (mine = 1).
SEEN = {
    "a warning": (shown("RUNNING", restarts=1), names.TIMED_OUT, False),
    "the grace of a preemption": (shown("RUNNING", restarts=1, preempted="PreemptTime=1795209599"), names.PREEMPTED, False),
    "time limit": (shown("COMPLETING", "TimeLimit", 1), names.TIMED_OUT, False),
    "scancel": (shown("COMPLETING", restarts=1), names.STOPPED_BY_USER, False),
    "preempted, requeued": (shown("COMPLETING", restarts=2, preempted=""), names.PREEMPTED, True),
    "preempted, to be cancelled": (
        shown("COMPLETING", restarts=1, preempted="PreemptTime=1795209599"),
        names.PREEMPTED,
        False,
    ),
    "scontrol requeue by anybody": (shown("COMPLETING", restarts=2, preempted=""), names.PREEMPTED, True),
    "node down": (shown("PENDING", restarts=2, preempted=""), names.PREEMPTED, True),
    "scancel --signal, a day before the end": (shown("RUNNING", restarts=1, end=NOW + 86400), names.PREEMPTED, False),
}


@pytest.mark.parametrize("case", SEEN)
def test_the_record_says_why(case: str) -> None:
    text, cause, comes_back = SEEN[case]
    found = why.explain(record.parse(text), mine=1, now=NOW)
    assert (found.cause, found.comes_back) == (cause, comes_back)
    assert found.sentence


def test_no_record_is_no_cause() -> None:
    assert why.explain(None, mine=0, now=NOW).cause == ""


def test_a_record_is_read_whatever_is_in_it() -> None:
    found = record.parse(shown("RUNNING"))
    assert found is not None
    assert (found.job, found.name, found.end, found.nodes) == ("9", "a job = b", NOW + 30, "n[1-2]")
    assert found.fields["WorkDir"] == "/scratch/my runs"
    assert found.fields["CPUs/Task"] == "2"
    assert found.preempted is None
    assert record.parse("slurm_load_jobs error: Invalid job id specified") is None


@pytest.mark.parametrize(
    ("text", "codes"), [("(null)", set()), ("75", {75}), ("75,85-87", {75, 85, 86, 87}), ("", set()), ("x,1-", {1})]
)
def test_lists_of_exit_codes(text: str, codes: set[int]) -> None:
    assert record.codes(text) == codes


def test_a_sites_settings() -> None:
    text = """Configuration data as of 2026-11-20T21:18:51
JobRequeue              = 0
KillWait                = 30 sec
OverTimeLimit           = 1 min
RequeueExit             = 75,99
SlurmctldParameters     = preempt_send_user_signal
SLURM_VERSION           = 22.05.8
"""
    found = site.parse(text)
    assert (found.kill_wait, found.over_time_limit, found.job_requeue) == (30.0, 60.0, False)
    assert (found.requeue_codes, found.user_signal_at_preemption, found.version) == (frozenset({75, 99}), True, "22.05.8")
    assert site.parse("").kill_wait is None


PARTITIONS = """PartitionName=low GraceTime=0 PreemptMode=REQUEUE PriorityTier=1
PartitionName=grace GraceTime=60 PreemptMode=CANCEL PriorityTier=1
PartitionName=gang GraceTime=0 PreemptMode=SUSPEND PriorityTier=1
PartitionName=off GraceTime=0 PreemptMode=OFF PriorityTier=1
PartitionName=high GraceTime=0 PreemptMode=REQUEUE PriorityTier=9
"""


@pytest.mark.parametrize(
    ("plugin", "preempted"),
    [("preempt/partition_prio", {"low", "grace"}), ("preempt/qos", {"low", "grace", "high"}), ("preempt/none", set())],
)
def test_whose_jobs_may_be_preempted(plugin: str, preempted: set[str]) -> None:
    found = site.parse(f"KillWait = 30 sec\nPreemptType = {plugin}\n")
    partitions = site.partitions(PARTITIONS)
    assert {each.name for each in partitions if found.ends(each)} == preempted
    assert found.preempts(partitions[2]) == bool(preempted)  # suspended, not ended
    assert [each.grace for each in partitions] == [0, 60, 0, 0, 0]
    assert site.partitions("") == []


# --- who starts it again -------------------------------------------------------------------------------------------------
CANCELLED = Why(cause=names.STOPPED_BY_USER, sentence="cancelled")
REQUEUED = Why(cause=names.PREEMPTED, sentence="requeued", comes_back=True)
LIMIT = Why(cause=names.TIMED_OUT, sentence="the limit")
UNKNOWN = Why(sentence="Slurm does not say why")
STANDINGS = [
    (CANCELLED, True, {75}, 75, again.LEAVE, False),  # or a cancelled job comes back from the dead
    (REQUEUED, False, set(), 75, again.LEAVE, True),
    (UNKNOWN, True, {75}, 75, again.LEAVE, False),
    (LIMIT, True, {75}, 75, again.EXIT, True),
    (LIMIT, False, {75}, 75, again.REQUEUE, True),  # our code is a step's, not the job's
    (LIMIT, True, {99}, 75, again.REQUEUE, True),
    (None, True, set(), 1, again.REQUEUE, True),  # it failed, and may try again
]


@pytest.mark.parametrize(("cause", "batch_step", "codes", "code", "act", "comes_back"), STANDINGS)
def test_exactly_one_starts_it_again(
    cause: Why | None, batch_step: bool, codes: set[int], code: int, act: str, comes_back: bool
) -> None:
    standing = again.Standing(target="9", why=cause, batch_step=batch_step, exit_code=code, requeue_codes=frozenset(codes))
    plan = again.decide(standing)
    assert (plan.act, plan.comes_back) == (act, comes_back)
    assert plan.why


def test_one_task_of_an_array_is_meant_and_never_all() -> None:
    last = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "4"}
    assert again.target_of(last) == "9_4"
    assert again.target_of({"SLURM_JOB_ID": "9"}) == "9"


def test_a_successor_is_submitted_like_the_job() -> None:
    found = record.parse(shown("RUNNING"))
    assert found is not None
    options = again.options_of(found)
    assert {"--partition=main", "--time=00:05:00", "--job-name=a job = b", "--chdir=/scratch/my runs"} <= set(options)


# --- asking --------------------------------------------------------------------------------------------------------------
def _program(folder: Path, name: str, body: str) -> dict[str, str]:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_an_answer_is_all_that_was_said(on_path: Path) -> None:
    environ = _program(on_path, "scontrol", "seq 20000; echo slurm_error: bad >&2; exit 3")
    said = ask.ask(["scontrol"], environ)
    assert said.code == 3
    assert len(said.out.split()) == 20000
    assert said.why == "slurm_error: bad"


def test_a_command_that_is_missing_or_hangs(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask.ask(["no-such-command-here"], {}).code == ask.MISSING
    monkeypatch.setattr(ask, "PATIENCE", 0.2)
    environ = _program(on_path, "scontrol", "exec sleep 60")
    begun = time.monotonic()
    assert ask.ask(["scontrol"], environ).code == ask.HANGS
    assert time.monotonic() - begun < 5


def test_a_question_does_not_wait(on_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"]}
    question = ask.Question(["sleep", "60"], environ)
    assert question.poll() is None
    question.drop()
    assert question.answer is not None


def test_what_a_command_reads(on_path: Path) -> None:
    environ = _program(on_path, "sbatch", "cat")
    assert ask.ask(["sbatch"], environ, b"#!/bin/sh\n").out == "#!/bin/sh\n"


def test_the_end_is_the_records_if_the_environment_does_not_say(on_path: Path) -> None:
    environ = _program(on_path, "scontrol", f"echo '{shown('RUNNING').strip()}'")
    place = platforms.detect({**environ, "SLURM_JOB_ID": "9"})
    assert isinstance(place, Slurm)
    place.begin()
    assert place.end_time() == (NOW + 30, "the time limit of Slurm job 9")


def test_a_heartbeat_asks_nothing_until_ten_minutes_are_over(on_path: Path) -> None:
    calls = on_path / "calls"
    environ = _program(on_path, "scontrol", f"echo asked >> '{calls}'; echo '{shown('RUNNING').strip()}'")
    place = Slurm({**environ, "SLURM_JOB_ID": "9"})
    place.begin()
    for asked in (1, 2):
        for _ in range(60):
            place.end_time()
        place.grace()  # waits for an answer that is outstanding
        assert calls.read_text().count("asked") == asked
        place._asked -= 600.0


def test_a_slurm_that_does_not_answer_is_not_waited_for(on_path: Path) -> None:
    environ = _program(on_path, "scontrol", "exec sleep 60")
    place = Slurm({**environ, "SLURM_JOB_ID": "9", "SLURM_JOB_END_TIME": str(NOW)})
    begun = time.monotonic()
    place.begin()
    assert place.end_time()[0] == NOW
    assert time.monotonic() - begun < 0.5
    place.close()


STEP = {"SLURM_JOB_ID": "9", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "2"}


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"SLURM_STEP_NUM_NODES": "3"}, Group(id="9.0.0", rank=2, size=3, one_per_node=True)),
        ({"SLURM_STEP_NUM_NODES": "1"}, Group(id="9.0.0", rank=2, size=3)),
        ({"SLURM_RESTART_COUNT": "4"}, Group(id="9.0.4", rank=2, size=3)),
        ({"SLURM_STEP_NUM_TASKS": "1"}, None),
    ],
)
def test_the_tasks_of_a_step_are_a_group(more: dict[str, str], found: Group | None) -> None:
    assert Slurm({**STEP, **more}).group() == found


def test_a_batch_script_is_no_group() -> None:
    assert Slurm({"SLURM_JOB_ID": "9", "SLURM_NTASKS": "3", "SLURM_PROCID": "0"}).group() is None


def test_a_heterogeneous_job_is_refused_with_a_sentence() -> None:
    with pytest.raises(errors.UsageError, match="heterogeneous"):
        Slurm({"SLURM_JOB_ID": "9", "SLURM_HET_SIZE": "2"}).group()
