"""Having Slurm start the job again: what to do is decided purely, then done. The very last act of an attempt.

`scontrol requeue` ends the job's processes within milliseconds, so that ledger, lease and logs must be closed before.
"""

from __future__ import annotations

from ckptrun import names
from ckptrun.model import Noun
from ckptrun.platforms.base import Restart, Why
from ckptrun.platforms.slurm import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ckptrun.platforms.slurm.ask import Answer
    from ckptrun.platforms.slurm.record import JobRecord

LEAVE, EXIT, REQUEUE = "leave", "exit", "requeue"
_DISABLED = "disabled"  # "Requested operation is presently disabled for job 9": --no-requeue, or JobRequeue=0
_PENDING = "pending execution"  # "Job is pending execution for job 13": somebody was faster


class Standing(Noun, frozen=True, kw_only=True):
    """What the decision rests on."""

    target: str  # `7`, or `7_2` for one task of an array: never the whole array
    why: Why | None = None  # why Slurm signalled us; None = it did not
    batch_step: bool = False  # our exit code is the job's
    exit_code: int
    requeue_codes: frozenset[int] = frozenset()  # RequeueExit


class Plan(Noun, frozen=True, kw_only=True):
    """LEAVE it to Slurm or to nobody, EXIT with our code, which is enough, or REQUEUE."""

    act: str
    comes_back: bool
    why: str


def decide(standing: Standing) -> Plan:
    """Who starts the job again, so that it is exactly one."""
    why, target = standing.why, standing.target
    if why is not None and why.comes_back:
        return Plan(act=LEAVE, comes_back=True, why=f"{why.sentence}: it starts again by itself")
    if why is not None and why.cause == names.STOPPED_BY_USER:
        return Plan(act=LEAVE, comes_back=False, why=f"{why.sentence}: it stays so")
    if why is not None and not why.cause:
        typed = f"if it does not come back: scontrol requeue {target}"
        return Plan(act=LEAVE, comes_back=False, why=f"{why.sentence}, so that it is not requeued from here; {typed}")
    if standing.batch_step and standing.exit_code in standing.requeue_codes:
        code = standing.exit_code
        return Plan(act=EXIT, comes_back=True, why=f"exit {code} is in RequeueExit: Slurm starts job {target} again")
    return Plan(act=REQUEUE, comes_back=True, why=f"scontrol requeue {target}")


class Again:
    """Does it, rung by rung, until one holds."""

    def __init__(self, environ: Mapping[str, str], target: str) -> None:
        self._environ, self._target = environ, target

    def requeue(self, *, insist: bool, exclude: str, record: Callable[[], JobRecord | None]) -> Restart:
        """Have the job started again, without the nodes in `exclude`. `insist`: also where the job was submitted with --no-requeue."""
        target = self._target
        asked = self._scontrol("requeue", target)
        if asked.code and _DISABLED in asked.err:
            if not insist:
                return Restart(sentence=_typed(target, "the job was submitted with --no-requeue"))
            if self._scontrol("update", f"JobId={target}", "Requeue=1").code == 0:
                asked = self._scontrol("requeue", target)
        if asked.code == 0:
            left_out = self._exclude(exclude) if exclude else ""
            return Restart(comes_back=True, sentence=f"Slurm starts job {target} again{left_out}")
        if _PENDING in asked.err:
            return Restart(comes_back=True, sentence=f"Slurm has requeued job {target} already")
        if asked.code in (ask.MISSING, ask.HANGS):
            return Restart(sentence=_typed(target, f"scontrol: {asked.why}"))
        return self._submit_again(asked.why, exclude, record())

    def _exclude(self, nodes: str) -> str:
        """The record lets itself be changed between the requeue and the next start."""
        said = self._scontrol("update", f"JobId={self._target}", f"ExcNodeList={nodes}")
        return f", not on {nodes}" if said.code == 0 else f" ({nodes} could not be excluded: {said.why})"

    def _submit_again(self, refusal: str, exclude: str, record: JobRecord | None) -> Restart:
        """The next best: the same script as a new job that begins when this one has ended."""
        if record is None or not record.batch:
            return Restart(sentence=_typed(self._target, f"requeueing was refused: {refusal}"))
        script = self._scontrol("write", "batch_script", record.job, "-")
        if script.code or not script.out.startswith("#!"):
            return Restart(sentence=_typed(self._target, f"requeueing was refused: {refusal}"))
        command = ["sbatch", "--parsable", f"--dependency=afterany:{self._target}", *options_of(record)]
        if exclude:
            command.append(f"--exclude={exclude}")
        said = ask.ask(command, self._outside(), script.out.encode("utf-8", "surrogateescape"))
        if said.code:
            return Restart(sentence=_typed(self._target, f"requeueing was refused: {refusal}; sbatch: {said.why}"))
        job = said.out.strip().split(";")[0]
        return Restart(
            comes_back=True, sentence=f"requeueing was refused ({refusal}): job {job} goes on after this one", job=job
        )

    def _outside(self) -> dict[str, str]:
        """The environment of the job's successor: none of this job's own variables, and the word that no person submits it."""
        keep = ("SLURM_CONF", "SLURM_CLUSTERS")
        clean = {key: value for key, value in self._environ.items() if key in keep or not key.startswith("SLURM")}
        return {**clean, names.ENV_SUBMITTED: "1"}

    def _scontrol(self, *words: str) -> Answer:
        return ask.ask(["scontrol", *words], self._environ)


# Fields of the record that a submission has on its command line, where the script's own #SBATCH lines may not say them.
_OPTIONS = (
    ("Partition", "--partition"),
    ("JobName", "--job-name"),
    ("TimeLimit", "--time"),
    ("NumNodes", "--nodes"),
    ("NumTasks", "--ntasks"),
    ("CPUs/Task", "--cpus-per-task"),
    ("Account", "--account"),
    ("QOS", "--qos"),
    ("WorkDir", "--chdir"),
    ("StdOut", "--output"),
    ("StdErr", "--error"),
    ("Features", "--constraint"),
    ("Comment", "--comment"),
    ("TresPerNode", "--gres"),
)
_NOTHING = ("", "(null)", "N/A", "None", "UNLIMITED")


def options_of(record: JobRecord) -> list[str]:
    """The sbatch options that make a job like this one."""
    fields = record.fields
    given = [f"{option}={fields[field]}" for field, option in _OPTIONS if fields.get(field, "") not in _NOTHING]
    array = [f"--array={record.array_task}"] if record.array_task.isdigit() else []
    return [*given, *array, "--open-mode=append"]


def _typed(target: str, why: str) -> str:
    return f"{why}; to go on: scontrol requeue {target}, or submit it again"


def target_of(environ: Mapping[str, str]) -> str:
    """This job, or this task of an array: the last task's SLURM_JOB_ID names the whole array."""
    array, task = environ.get("SLURM_ARRAY_JOB_ID", ""), environ.get("SLURM_ARRAY_TASK_ID", "")
    return f"{array}_{task}" if array and task else environ.get("SLURM_JOB_ID", "")
