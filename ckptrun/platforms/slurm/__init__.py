"""Slurm: which job we are in, when it ends, why it is stopped, and having it started again.

    record   what scontrol says of a job (pure)
    why      why we were signalled, from that (pure)
    again    who starts the job again, and doing it
    ask      questions with a time-out
    site     what the cluster's configuration means for us (pure)
    place    what is missed where we stand in the batch script (pure)
    shim     the scontrol that a script finds (pure)
    options, script, submit   `ckptrun submit`

scontrol is asked about the job once at the start, once after each signal, and otherwise every ten minutes, each time in a
child process that nobody waits for. Facts are of Slurm 22.05: SLURM_RESTART_COUNT is absent in a job's first run,
SLURM_JOB_END_TIME came with 23.02, and the batch step has no SLURM_STEP_ID.
"""

from __future__ import annotations

import math
import os
import signal
import time

from ckptrun import errors, names
from ckptrun.model import Group, Holder, Identity, JobIdentity
from ckptrun.platforms import base, machine
from ckptrun.platforms.slurm import again, ask, place, shim, site, why
from ckptrun.platforms.slurm import record as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ckptrun.platforms.base import Restart, Why
    from ckptrun.platforms.slurm.record import JobRecord

NAME = "slurm"
ASK_AGAIN_SECONDS = 600.0
FIRST_ANSWER_SECONDS = 1.0  # a start waits for no longer than this to hear when the job ends
LAST_ANSWER_SECONDS = 6.0  # an end waits until a question is answered or given up
# Slurm's word for a job's state: is the job over, so that nothing of it writes any more? A state that is missing here is
# unknown. So is PENDING (requeued: the run before may live on, on a node that was lost) and NODE_FAIL (the same).
_OVER = {
    "COMPLETED": True,
    "CANCELLED": True,
    "FAILED": True,
    "TIMEOUT": True,
    "PREEMPTED": True,
    "OUT_OF_MEMORY": True,
    "BOOT_FAIL": True,
    "DEADLINE": True,
    "RUNNING": False,
    "SUSPENDED": False,
    "STOPPED": False,
    "SIGNALING": False,
    "STAGE_OUT": False,
}


class Slurm:
    """A process inside a Slurm job."""

    def __init__(self, environ: Mapping[str, str], clock: Callable[[], float] = time.time) -> None:  # noqa: TID251  # platforms may
        self._environ, self._clock = environ, clock
        self._target = again.target_of(environ)
        self._question: ask.Question | None = None
        self._asked = -math.inf  # when, by the monotonic clock
        self._record: JobRecord | None = None
        self._site: site.Site | None = None
        self._partition: site.Partition | None = None
        self._mute = False  # there is nobody to ask
        self._signalled = False
        self._answered_since_signal = False

    # --- who ---------------------------------------------------------------------------------------------------------------
    def identity(self) -> Identity:
        """See `base.Platform`."""
        return base.identity()

    def job(self) -> JobIdentity:
        """The job; automatic if Slurm started it again, or if ckptrun submitted it."""
        environ = self._environ
        restart = _whole(environ.get("SLURM_RESTART_COUNT", ""))
        return JobIdentity(
            platform=NAME,
            job=environ.get("SLURM_JOB_ID", ""),
            cluster=environ.get("SLURM_CLUSTER_NAME", ""),
            restart=restart,
            automatic=restart > 0 or bool(environ.get(names.ENV_SUBMITTED)),
            batch_step="SLURM_STEP_ID" not in environ and machine.parent_name() == "slurmstepd",
            node=environ.get("SLURMD_NODENAME", ""),
            array_task=environ.get("SLURM_ARRAY_TASK_ID", ""),
            target=self._target,
        )

    def group(self) -> Group | None:
        """The tasks of our step, if it has several.

        Raises:
            UsageError: a heterogeneous job.
        """
        environ = self._environ
        if _whole(environ.get("SLURM_HET_SIZE", "")) > 1:
            raise errors.UsageError(
                f"Slurm job {self._target} is heterogeneous: its parts are jobs of their own and cannot be requeued together",
                "submit one job with one kind of node, or one run for each part",
            )
        size = _whole(environ.get("SLURM_STEP_NUM_TASKS", "")) if "SLURM_STEP_ID" in environ else 1
        if size < 2:
            return None
        return Group(
            id=f"{environ.get('SLURM_JOB_ID', '')}.{environ['SLURM_STEP_ID']}.{self.job().restart}",
            rank=_whole(environ.get("SLURM_PROCID", "")),
            size=size,
            one_per_node=environ.get("SLURM_STEP_NUM_NODES") == str(size),
        )

    def begin(self) -> None:
        """Ask about the job and the site."""
        self._asked = time.monotonic()
        wanted = f"show job {self._target}\nshow partition\nshow config\n"
        self._question = ask.Question(["scontrol", "-o"], self._environ, wanted.encode())

    def warnings(self) -> list[str]:
        """What will be missed here; waits a second for the controller, and says nothing where it does not answer."""
        self._hear(FIRST_ANSWER_SECONDS)
        return place.warnings(
            place.Place(
                shell=machine.parent_name() if "SLURM_STEP_ID" not in self._environ and not self.job().batch_step else "",
                forwards=machine.parent_catches(signal.SIGTERM),
                batch_step=self.job().batch_step,
                mute=self._mute,
            ),
            self._record,
            self._site,
            self._partition,
        )

    # --- when --------------------------------------------------------------------------------------------------------------
    def end_time(self) -> tuple[float | None, str]:
        """The end of the job, as the controller last said, else of SLURM_JOB_END_TIME."""
        if self._question is None and time.monotonic() - self._asked >= ASK_AGAIN_SECONDS:
            self._ask()
        self._hear(FIRST_ANSWER_SECONDS if self._record is None and not self._from_environment() else 0.0)
        end = self._record.end if self._record is not None and self._record.end is not None else self._from_environment()
        if end is None:
            return None, ""
        preempted = self._record is not None and self._record.preempted is not None
        return end, f"{'the preemption' if preempted else 'the time limit'} of Slurm job {self._target}"

    def grace(self) -> float | None:
        """KillWait: seconds from Slurm's SIGTERM to its SIGKILL."""
        self._hear(FIRST_ANSWER_SECONDS)
        return None if self._site is None else self._site.kill_wait

    def signalled(self) -> None:
        """A signal came: ask why. A question of before the signal says nothing about it."""
        self._signalled, self._answered_since_signal = True, False
        self._drop_question()
        self._ask()

    def why_stopped(self) -> Why | None:
        """Why Slurm signalled us, None if it did not; waits until the controller has answered or is given up."""
        if not self._signalled:
            return None
        self._hear(LAST_ANSWER_SECONDS)
        known = self._record if self._answered_since_signal else None
        return why.explain(known, mine=self.job().restart, now=self._clock())

    def programs(self) -> dict[str, str]:
        """scontrol, so that a script that requeues its own job asks us."""
        text = shim.program(self._environ, self._target, os.getpid())
        return {shim.PROGRAM: text} if text else {}

    # --- and then ------------------------------------------------------------------------------------------------------------
    def can_restart(self) -> bool:
        """Whether Slurm starts this job again when it is asked to: a batch job without --no-requeue."""
        self._hear(FIRST_ANSWER_SECONDS)
        return self._record is not None and self._record.batch and self._record.requeue

    def restart(self, exit_code: int, *, insist: bool, exclude: str = "") -> Restart:
        """Have the job started again, by whoever does it here; the last act of an attempt, which may not survive it."""
        cause = self.why_stopped()
        plan = again.decide(
            again.Standing(
                target=self._target,
                why=cause,
                batch_step=self.job().batch_step,
                exit_code=exit_code,
                requeue_codes=self._site.requeue_codes if self._site else frozenset(),
            )
        )
        if plan.act != again.REQUEUE:
            return base.Restart(comes_back=plan.comes_back, sentence=plan.why)
        doing = again.Again(self._environ, self._target)
        return doing.requeue(insist=insist, exclude=exclude, record=lambda: self._record)

    def close(self) -> None:
        """Forget questions that nobody will hear the answer to."""
        self._drop_question()

    def is_over(self, holder: Holder) -> bool | None:
        """Ask squeue about the holder's job. An earlier run of our own job is over: Slurm started this one in its place.

        Its processes may live on where a node was lost. Another cluster's job is unknown.
        """
        ours = self.job()
        if holder.platform != NAME or holder.cluster != ours.cluster or not holder.job.isdigit():
            return None
        if holder.job == ours.job:
            return True if holder.restart < ours.restart else None
        whole_array = not holder.target.replace("_", "", 1).isdigit()  # of a lease that did not say so yet, or none
        return _is_over(holder.job if whole_array else holder.target, self._environ)

    # --- asking ----------------------------------------------------------------------------------------------------------------
    def _ask(self) -> None:
        self._asked = time.monotonic()
        self._question = ask.Question(["scontrol", "show", "job", "-o", self._target], self._environ)

    def _hear(self, timeout: float) -> None:
        if self._question is None:
            return
        answer = self._question.poll(timeout)
        if answer is None:
            return
        self._question = None
        self._mute = answer.code == ask.MISSING
        record = records.parse(answer.out)
        if record is not None:
            self._record, self._answered_since_signal = record, True
        if "KillWait" in answer.out:
            name = self._environ.get("SLURM_JOB_PARTITION", "")
            self._partition = next((each for each in site.partitions(answer.out) if each.name == name), None)
            self._site = site.parse(answer.out)

    def _drop_question(self) -> None:
        if self._question is not None:
            self._question.drop()
            self._question = None

    def _from_environment(self) -> float | None:
        try:
            end = float(self._environ.get("SLURM_JOB_END_TIME", ""))
        except ValueError:
            return None
        return end if math.isfinite(end) and end > 0 else None


def _is_over(job: str, environ: Mapping[str, str]) -> bool | None:
    said = ask.ask(["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"], environ)
    if said.code != 0:
        return True if "Invalid job id" in said.err else None  # the controller has forgotten it: over for minutes
    states = [_OVER.get(word) for word in said.out.split()]
    return states[0] if len(states) == 1 else None


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
