"""Every shared name, once: variables, files, exit codes. Imports nothing, so that a script can import it for free."""

VERSION = "0.1.0"
FORMAT = 1  # of every file on disk and every JSON document; an unknown one is refused with a sentence

# --- the environment a script is given ---------------------------------------------------------------------------------
ENV = "CKPTRUN"
ENV_RUN = "CKPTRUN_RUN"
ENV_RUN_DIR = "CKPTRUN_RUN_DIR"
ENV_ATTEMPT = "CKPTRUN_ATTEMPT"
ENV_ATTEMPT_ID = "CKPTRUN_ATTEMPT_ID"
ENV_CHECKPOINT_DIR = "CKPTRUN_CHECKPOINT_DIR"
ENV_OUTPUT_DIR = "CKPTRUN_OUTPUT_DIR"
ENV_INPUT_DIR = "CKPTRUN_INPUT_DIR"
ENV_RESUME_FROM = "CKPTRUN_RESUME_FROM"
ENV_RESUME_STEP = "CKPTRUN_RESUME_STEP"
ENV_REQUEST_FILE = "CKPTRUN_REQUEST_FILE"
ENV_NOTIFY = "CKPTRUN_NOTIFY"
ENV_DEADLINE = "CKPTRUN_DEADLINE"
ENV_GRACE_SECONDS = "CKPTRUN_GRACE_SECONDS"
ENV_SWEEP = "CKPTRUN_SWEEP"  # JSON: the values of this task of a sweep, by name; not set outside of one
ENV_EVERY = "CKPTRUN_EVERY"  # the cadence that should_save obeys, as text (`20`, `10m`, `2epochs`)

# What a child is given, and what is removed from the environment when ckptrun itself starts or submits another run.
CHILD_ENV = (
    ENV,
    ENV_RUN,
    ENV_RUN_DIR,
    ENV_ATTEMPT,
    ENV_ATTEMPT_ID,
    ENV_CHECKPOINT_DIR,
    ENV_OUTPUT_DIR,
    ENV_INPUT_DIR,
    ENV_RESUME_FROM,
    ENV_RESUME_STEP,
    ENV_REQUEST_FILE,
    ENV_NOTIFY,
    ENV_DEADLINE,
    ENV_GRACE_SECONDS,
    ENV_EVERY,
    ENV_SWEEP,
)
# What is filled in where it stands in braces in the command, beside a sweep's own names.
TEMPLATES = (
    "checkpoint_dir",
    "output_dir",
    "input_dir",
    "resume_from",
    "resume_step",
    "attempt",
    "run",
    "python",
    "array_task",
)
ENV_ROOT = "CKPTRUN_ROOT"  # an option, for every verb
ENV_SUBMITTED = "CKPTRUN_SUBMITTED"  # set in jobs that ckptrun submitted: their starts are automatic
ENV_TRAIN_PREFIX = "CKPTRUN_TRAIN_"

# --- files of a run (DESIGN: "On disk") --------------------------------------------------------------------------------
DEFAULT_ROOT = "runs"
DEFAULT_CONFIG = "ckptrun.yaml"
RUN_YAML = "run.yaml"
LEDGER = "ledger.jsonl"
LEASE_LOCK = "lease.lock"
LEASE_JSON = "lease.json"
CONTROL = "control"
INBOX = "inbox"
REQUEST = "request.json"
NOTIFY_SOCKET = "notify"  # in the node-local directory, beside the request file
REQUEUE_ASKED = "requeue"  # there too: the script asked the scheduler to requeue its job
PROGRESS = "progress.json"
STOPPED = "stopped.json"  # in control/: the durable mark of a stop by the user
ANSWERS = "answers"  # in control/: what became of requests from the inbox
REFUSED = "refused"  # in control/: what came into the inbox and was not a request
CHECKPOINTS = "checkpoints"
ELSEWHERE = "elsewhere"  # where a checkpoint lies that is in no run
ATTEMPTS = "attempts"
ARRAY_TASK = "{array_task}"  # in a run's name: the number of the task in a scheduler's array
GROUP = "group"  # in control/: how the tasks of one start on many nodes find each other
TASKS = "tasks"  # in an attempt: what its other tasks, on other nodes, wrote
JOBS = "jobs"  # batch scripts that were submitted for the run, and which jobs they became
SUPERSEDED = "superseded"
BRANCHES = "branches"  # which runs were branched from which of its checkpoints
BACKUP = "backup"
BACKUP_JSON = "backup.json"  # in a backup: the proof that it is whole
BACKUP_BEGUN = "backup.begun.json"  # what an unfinished one will hold
TRASH = "trash"
THINNED = "thinned"  # in .ckptrun/: marks on checkpoints of other frameworks whose optimizer's files were removed
PINS = "pins"  # one file for each checkpoint that is never removed
ATTEMPT_JSON = "attempt.json"
LOG = "log.txt"
LOG_TAIL = "log.tail-"  # + 0 or 1: the ring behind log.txt while the attempt runs (supervise/logfile.py)
LOG_HEAD_BYTES = 16 * 1024 * 1024
LOG_TAIL_BYTES = 64 * 1024 * 1024
OUTPUT = "output"
INPUT = "input"
INPUT_MODEL = "model"
COPIES = "copies"  # in an attempt: earlier versions of a file that the script rewrites in place
COPY_OF = ".copy.json"  # beside one: whose it is
DONE = "done"  # in an attempt's directory: proof of completion
MANIFEST = "checkpoint.json"
SEALS = "seals"  # in .ckptrun/: checksums of checkpoints of other frameworks, one file for each
TMP_PREFIX = ".tmp-"
STEP_PREFIX = "step-"
LATEST = "latest"
SIDE = ".ckptrun"  # beside directories of other frameworks: pins, trash

# --- requests ----------------------------------------------------------------------------------------------------------
SAVE = "save"
SAVE_AND_STOP = "save_and_stop"
STOP_NOW = "stop_now"  # inbox, and from the leader to its followers: `ckptrun stop --now`
BY_SCRIPT = "the script asked to be requeued"  # the reason of a stop that nobody outside wanted

# --- checkpoint states -------------------------------------------------------------------------------------------------
COMPLETE = "complete"
PARTIAL = "partial"
CORRUPT = "corrupt"
UNKNOWN = "unknown"  # could not be read (EIO, ESTALE, EACCES): says nothing about the checkpoint
SOFT_DELETED = "soft-deleted"

# --- outcomes ----------------------------------------------------------------------------------------------------------
COMPLETED = "completed"
PREEMPTED = "preempted"
TIMED_OUT = "timed_out"
STOPPED_BY_USER = "stopped"
FAILED = "failed"
KILLED = "killed"
STALLED = "stalled"
OUTCOMES = (COMPLETED, PREEMPTED, TIMED_OUT, STOPPED_BY_USER, FAILED, KILLED, STALLED)

# --- exit codes --------------------------------------------------------------------------------------------------------
EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_LEASED = 69
EXIT_CANNOT_CREATE = 73
EXIT_IO = 74
EXIT_AGAIN = 75
EXIT_CONFIG = 78
EXIT_DO_NOT_RESTART = 93
EXIT_INTERRUPTED = 130
# A child's own code that means one of these to a scheduler is reported as 1 (the true one is in attempt.json).
OWN_CODES = (
    EXIT_USAGE,
    EXIT_LEASED,
    EXIT_CANNOT_CREATE,
    EXIT_IO,
    EXIT_AGAIN,
    EXIT_CONFIG,
    EXIT_DO_NOT_RESTART,
    EXIT_INTERRUPTED,
)

# --- times, in seconds -------------------------------------------------------------------------------------------------
HEARTBEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 90.0
DEFAULT_GRACE_SECONDS = 27.0
BOOKKEEPING_SECONDS = 3.0
TERM_TO_KILL_SECONDS = 10.0
DEFAULT_EVERY = "10m"
