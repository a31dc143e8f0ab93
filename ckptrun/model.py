"""The nouns that the rooms share. All frozen; none touches a clock, a disk, a process or the environment.

Times are Unix seconds (float, UTC) in memory and RFC 3339 text on disk; durations are seconds; sizes are bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ckptrun import names


class Noun(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all nouns. Each says `frozen=True, kw_only=True` itself: msgspec inherits only the first, type checkers neither."""


# --- who ---------------------------------------------------------------------------------------------------------------
class Identity(Noun, frozen=True, kw_only=True):
    """Who we are on this machine: enough to tell whether a holder of a lease can still be alive."""

    host: str
    pid: int
    boot_id: str  # /proc/sys/kernel/random/boot_id; "" where there is none
    start_ticks: int = 0  # field 22 of /proc/PID/stat: tells a reused pid
    pid_ns: str = ""  # /proc/self/ns/pid: in another namespace (a container) the pid means nothing
    cgroup: str = ""  # text of /proc/self/cgroup
    uid: int = 0


class JobIdentity(Noun, frozen=True, kw_only=True):
    """The scheduler's job we are in, if any."""

    platform: str = "local"
    job: str = ""  # "" = none
    cluster: str = ""  # two clusters that share a filesystem count their jobs separately
    restart: int = 0  # how often the scheduler restarted it (0 = first start)
    automatic: bool = False  # started by a scheduler, not by a person
    batch_step: bool = False  # we are the batch step's own process, so that our exit code is the job's
    node: str = ""  # the scheduler's name of this machine
    array_task: str = ""  # "" = not a task of an array
    target: str = ""  # what the scheduler's commands take: `7`, or `7_2` for one task of an array


class Group(Noun, frozen=True, kw_only=True):
    """The tasks of one start, side by side on one or many nodes; task 0 leads. One task is no group."""

    id: str  # the same for all of one start, another after a restart: "77.0.2" is job, step, restart
    rank: int
    size: int
    one_per_node: bool = False


class Holder(Noun, frozen=True, kw_only=True):
    """Body of lease.json: who holds the run."""

    format: int = names.FORMAT
    host: str
    pid: int
    boot_id: str
    start_ticks: int = 0
    pid_ns: str = ""
    job: str = ""
    target: str = ""  # the job as the scheduler's commands take it
    restart: int = 0  # how often the scheduler had restarted that job
    cluster: str = ""
    platform: str = "local"
    attempt: int = 0  # the fencing token; 0 = lease taken, attempt not numbered yet
    attempt_id: str = ""
    since: str = ""  # RFC 3339
    state: str = "held"  # held | released
    heartbeat: str = "00000000000000000000"  # 20 digits, rewritten in place


# --- checkpoints -------------------------------------------------------------------------------------------------------
class FileEntry(Noun, frozen=True, kw_only=True):
    """One file of a manifest: path relative to the checkpoint's directory."""

    path: str
    size: int
    xxh3_128: str = ""


class Manifest(Noun, frozen=True, kw_only=True):
    """Body of checkpoint.json, the proof that a checkpoint is whole. Written last, before the rename."""

    format: int
    created: str
    files: list[FileEntry]
    step: int | None = None
    epoch: float | int | None = None
    metrics: dict[str, float | None] = {}
    nonfinite: dict[str, str] = {}  # metrics that JSON cannot hold: {"loss": "nan"}, their value above is null
    run: str = ""
    attempt: int = 0
    attempt_id: str = ""
    reason: str = ""  # every | request | final | user
    request: str = ""  # id of the request that it answers
    seconds: float = 0.0  # how long the save took, block and commit
    parent: str = ""  # what this attempt resumed from: name of a checkpoint or a path relative to the run
    thinned: list[str] = []  # files that `prune --thin` took away: what is left is no state to resume from


class Checkpoint(Noun, frozen=True, kw_only=True):
    """One resumable state as a scan found it: a file or a directory and everything that belongs to it.

    `path` is what a script is given; `files` all members of the unit, relative to `directory`.
    """

    name: str
    path: str
    directory: str
    layout: str  # own | series | single | … (a layout's name)
    place: str = names.CHECKPOINTS  # checkpoints | output | elsewhere
    attempt: int | None = None  # which attempt wrote it (from the manifest, or whose output it lies in)
    step: int | None = None
    epoch: float | int | None = None
    metrics: dict[str, float] = {}  # non-finite values are real floats here
    time: float = 0.0  # when it was written, Unix seconds
    size: int = 0  # bytes, inodes counted once
    files: list[str] = []
    state: str = names.COMPLETE  # complete | partial | corrupt | unknown | soft-deleted
    reason: str = ""  # why this state; never empty unless complete
    roles: list[str] = []  # latest | best | pinned | resumed-from | pointer
    pinned: bool = False
    thinned: bool = False  # its optimizer's files were removed: good to use, not to resume from
    temporary: bool = False  # its framework keeps it only until the next save lands (levanter, OLMo-core)
    request: str = ""  # id of the request it answers
    seconds: float = 0.0
    why_saved: str = ""
    parent: str = ""
    sized: bool = True  # False: `size` was not looked up
    entries: tuple[str, ...] = ()  # names in `directory` that are the unit: what is renamed to move or remove all of it
    shared: tuple[str, ...] = ()  # names in `directory` that it needs and others too: they stay when it goes
    series: str = ""  # what tells it from other series of the same layout in the same directory
    follows: bool = False  # its framework rewrites it with every save: as new as the newest of its series
    reused: bool = False  # its framework gives this name to one after another: last.ckpt, model_best
    called: tuple[str, ...] = ()  # what its framework calls it: best | pointer
    guess: bool = False  # recognised by a name that anything might have
    why: str = ""  # of a guess: why this file was taken for a checkpoint
    likeness: int = (
        1  # of an unknown step: 2 sounds like a state (last, ckpt), 1 like neither, 0 like a result (best, final)
    )


class Series(Noun, frozen=True, kw_only=True):
    """Checkpoints of one layout in one directory, oldest first."""

    directory: str
    layout: str
    name: str = ""  # what tells it from others of the same layout in the same directory
    run: str = ""
    pointer: str = ""  # what a framework's own pointer names
    latest: str = ""  # name, "" = none
    best: str = ""
    checkpoints: list[Checkpoint] = []


# --- requests and notices ----------------------------------------------------------------------------------------------
class Request(Noun, frozen=True, kw_only=True):
    """ckptrun asking the script to save. Body of the request file, control/request.json and control/inbox/*.json."""

    format: int = names.FORMAT
    id: str
    attempt: int
    action: str  # save | save_and_stop | stop_now (inbox only)
    reason: str = ""  # a sentence: "SIGUSR1", "time limit", "ckptrun stop by ana on login1"
    cause: str = ""  # preempted | timed_out | stopped | stalled: what the outcome will be when this ends the attempt
    deadline: float | None = None  # Unix time
    at_step: int | None = None
    created: float = 0.0
    by: str = ""  # user@host:pid


class Learned(Noun, frozen=True, kw_only=True):
    """What earlier attempts and this one taught about durations, in seconds; None = nothing known."""

    step: float | None = None  # slowest recent step
    save: float | None = None  # slowest recent save, request to durable
    first_save: float | None = None
    exit: float | None = None  # from the last save to the exit of the tree


# --- how an attempt ended ----------------------------------------------------------------------------------------------
class Ended(Noun, frozen=True, kw_only=True):
    """What supervise saw of one attempt, before anything is judged."""

    child_exit: int | None  # 0..255; None when killed by a signal or never started
    child_signal: int | None  # the signal that killed the child, or None
    sent_signals: list[int] = []  # signals that we sent to the tree (15, 9, …)
    requests: list[Request] = []  # all requests of this attempt, in order
    first_notice: float | None = None
    started: float
    ended: float
    step: int | None = None  # last step heard of
    total: int | None = None
    epoch: float | int | None = None
    saves: list[float] = []  # request-to-durable or block durations, seconds
    checkpoints: list[str] = []  # names acknowledged on the notify socket
    done: str = ""  # reason given to done(), or "done file"; "" = no proof
    lease_lost: bool = False
    oom: bool = False
    strays: list[str] = []  # what had to be ended after the command itself ended
    answered: bool = False  # the last save_and_stop was answered by a checkpoint
    learned: Learned | None = None  # what this attempt taught; earlier ones are not in it
    notes: list[str] = []


class Verdict(Noun, frozen=True, kw_only=True):
    """An attempt's outcome, why, and the code that ckptrun ends with."""

    outcome: str
    why: str
    exit_code: int
    proved: bool = False  # completion only: a proof (done(), --done-when, done file), not merely assumed


class Setting(Noun, frozen=True, kw_only=True):
    """One value and where it came from: "option", "environment CKPTRUN_…", "ckptrun.yaml:3", "strategy long", "default"."""

    value: Any
    source: str


class TaskRecord(Noun, frozen=True, kw_only=True):
    """How one of the tasks of an attempt on many nodes ended; task 0 is the leader."""

    rank: int
    node: str = ""  # the scheduler's name of its machine, else the host's
    child_exit: int | None = None
    child_signal: int | None = None
    ended: float | None = None  # Unix time by its own clock; None = it never said
    why: str = ""  # where it ended without its command's end


class Point(Noun, frozen=True, kw_only=True):
    """One task's values in a sweep: as they were written, which is what fills the command, and as they are in JSON."""

    texts: dict[str, str] = {}
    values: dict[str, Any] = {}


class Sweep(Noun, frozen=True, kw_only=True):
    """The values of all tasks, in the order of the tasks; `text` is the sweep as it can be written again, in one line."""

    text: str
    points: list[Point] = []

    def __str__(self) -> str:
        return self.text


class AttemptRecord(Noun, frozen=True, kw_only=True):
    """Body of attempts/NNNN/attempt.json."""

    format: int = names.FORMAT
    attempt: int
    attempt_id: str
    run: str
    command: list[str] = []  # as it was typed, templates unexpanded
    sweep: dict[str, Any] = {}  # the task's values, where it is one of a sweep
    argv: list[str] = []  # what was started
    cwd: str = ""
    host: str = ""
    pid: int = 0
    boot_id: str = ""
    cgroup: str = ""
    platform: str = "local"
    job: str = ""
    target: str = ""  # the job as the scheduler's commands take it: `7_2` for one task of an array
    node: str = ""  # the scheduler's name of the machine
    restart: int = 0
    automatic: bool = False
    commit: str = ""  # git commit of the working directory, "+" appended when dirty
    script_digest: str = ""
    started: str = ""
    ended: str = ""
    resumed_from: str = ""  # path relative to the run, or absolute when it lies outside
    resumed_step: int | None = None
    resume_why: str = ""
    notice: str = ""
    request: str = ""
    outcome: str = ""  # "" while it runs, or when ckptrun itself was killed
    proved: bool = False
    why: str = ""
    child_exit: int | None = None
    child_signal: int | None = None
    exit_code: int | None = None
    last_step: int | None = None
    steps_gained: int | None = None  # newest complete checkpoint's step now, minus resumed_step
    steps_lost: int | None = None  # last step heard of, minus newest complete checkpoint's step
    checkpoints: list[str] = []
    saves: list[float] = []
    local_dir: str = ""  # the node-local directory with request file and notify socket
    learned: Learned | None = None
    tasks: list[TaskRecord] = []  # where there are several
    blamed: str = ""  # the node whose task failed first, where there are several
