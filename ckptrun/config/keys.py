"""Every setting of `ckptrun train`, once: its name, what it may be, an example, and where it may be written."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from ckptrun import names
from ckptrun.config import keeping, kinds
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable

STRATEGIES = ("short", "normal", "long")
_ONE_CALL = "it is about one start only: give it as {option} or as {variable}"


class Key(Noun, frozen=True, kw_only=True):
    """One setting. `unset` says in words what no value means."""

    name: str  # in Config; the option is --name, the variable CKPTRUN_TRAIN_NAME, with - and _ as usual
    kind: Callable[[str, str], Any]
    example: str
    default: Any = None
    unset: str = "none"
    path: str = ""  # in the file; the name itself when empty
    many: bool = False  # a list, each item of this kind
    tree: bool = False  # in the file a mapping or a list of its own, not only a text
    not_in_file: str = ""  # why it may not stand in the file
    extra_variable: str = ""  # another variable that gives it, weaker than its own
    option_name: str = ""  # when it is not the name itself; "-" = there is no option

    @property
    def option(self) -> str:
        """`--max-failures`; "" when it has none."""
        return "" if self.option_name == "-" else "--" + (self.option_name or self.name).replace("_", "-")

    @property
    def variable(self) -> str:
        """`CKPTRUN_TRAIN_MAX_FAILURES`."""
        return names.ENV_TRAIN_PREFIX + (self.option_name.strip("-") or self.name).upper()

    @property
    def in_file(self) -> str:
        """`restart.max_failures`."""
        return self.path or self.name

    @property
    def line(self) -> str:
        """How it is written in a file, with its example: `grace: 90s`, `restart: {by: exit}`."""
        group, dot, name = self.in_file.rpartition(".")
        example = f"[{self.example}]" if self.many else self.example
        return f"{group}: {{{name}: {example}}}" if dot else f"{name}: {example}"

    @property
    def why_not_in_file(self) -> str:
        """A sentence, or "" when it may stand in the file."""
        return self.not_in_file.format(option=self.option, variable=self.variable)


_TABLE = (
    # which run, and where
    Key(name="run", kind=kinds.run_name, example="digits", unset="from the script's name, the directory and the command"),
    Key(name="root", kind=kinds.directory, example="runs", default=names.DEFAULT_ROOT, extra_variable=names.ENV_ROOT),
    Key(name="config", kind=kinds.text, example=names.DEFAULT_CONFIG, not_in_file="a file cannot name another one"),
    Key(name="strategy", kind=kinds.choice(*STRATEGIES), example="long", default="normal"),
    Key(name="data", kind=kinds.text, example="../mnist:mnist", default=[], many=True),
    Key(name="chdir", kind=kinds.existing_directory, example="src", unset="the caller's directory"),
    Key(name="if_held", kind=kinds.choice("end", "wait"), example="wait", default="end"),
    Key(name="sweep", kind=kinds.sweep, example="{lr: [0.1, 0.01]}", tree=True),
    Key(
        name="sweep_task",
        kind=kinds.whole(0),
        example="3",
        unset="the number of the task in its array",
        not_in_file=_ONE_CALL,
    ),
    # saving
    Key(name="every", kind=kinds.every, example="10m", default=names.DEFAULT_EVERY),
    Key(name="grace", kind=kinds.duration, example="90s", unset="what the platform gives, less 3 s; else 27 s"),
    Key(name="save_signal", kind=kinds.signal_number, example="USR1", default=int(signal.SIGUSR1)),
    Key(
        name="signal_means",
        kind=kinds.choice("save", "stop"),
        example="save",
        unset="stop, unless the script says otherwise",
    ),
    Key(name="time_limit", kind=kinds.duration_or_off, example="4h", unset="the scheduler's, if it has one"),
    Key(name="stall_timeout", kind=kinds.duration_or_off, example="30m", unset="off"),
    Key(name="patterns", option_name="pattern", kind=kinds.pattern, example="'ckpt-{epoch:02d}.pt'", default=[], many=True),
    Key(name="seal", kind=kinds.choice("end", "each", "off"), example="off", default="end"),
    Key(
        name="backup_to",
        path="backup.to",
        kind=kinds.destination,
        example="s3://bucket/runs",
        unset="nowhere: checkpoints are as safe as the disk that they are on",
    ),
    Key(name="backup_every", path="backup.every", kind=kinds.duration, example="30m", default=600.0),
    Key(name="keep_copies", kind=kinds.whole(0), example="2", default=2),
    # resuming
    Key(name="on_resume", kind=kinds.arguments, example="'--resume {resume_from}'", default=[]),
    Key(name="resume_at", kind=kinds.whole(0), example="1200", unset="the newest whole checkpoint", not_in_file=_ONE_CALL),
    Key(
        name="from_ref",
        option_name="from",
        path="from",
        kind=kinds.text,
        example="digits-3f9a1c@120",
        not_in_file=_ONE_CALL,
    ),
    Key(name="fresh", kind=kinds.flag, example="yes", default=False, not_in_file=_ONE_CALL),
    Key(name="changed", kind=kinds.flag, example="yes", default=False, not_in_file=_ONE_CALL),
    Key(name="again", kind=kinds.flag, example="yes", default=False, not_in_file=_ONE_CALL),
    # ending and starting again
    Key(
        name="done_when", kind=kinds.done_when, example="'step>=2000'", unset="the script says so, or it ends with 0 unasked"
    ),
    Key(
        name="restart_by",
        path="restart.by",
        kind=kinds.choice("scheduler", "self", "exit"),
        example="exit",
        unset="scheduler if the job can be requeued, else exit",
    ),
    Key(name="max_failures", path="restart.max_failures", kind=kinds.whole(0), example="3", default=3),
    Key(name="catch_requeue", path="restart.catch_requeue", kind=kinds.flag, example="no", default=True, option_name="-"),
    Key(name="preempt_exit_code", kind=kinds.exit_code, example="85", default=names.EXIT_AGAIN),
    Key(name="child_preempt_code", kind=kinds.whole(1, 255), example="75"),
    # what is kept
    Key(name="keep_last", path="retention.keep_last", kind=keeping.count, example="3", default=keeping.NONE),
    Key(name="keep_first", path="retention.keep_first", kind=keeping.count, example="1", default=keeping.NONE),
    Key(name="keep_best", path="retention.keep_best", kind=keeping.best, example="3:val_loss", default=[], many=True),
    Key(name="keep_every", path="retention.keep_every", kind=keeping.every, example="1000", default=[], many=True),
    Key(name="keep_within", path="retention.keep_within", kind=keeping.within, example="2d", default=0.0),
    Key(name="keep_hourly", path="retention.keep_hourly", kind=keeping.count, example="24", default=keeping.NONE),
    Key(name="keep_daily", path="retention.keep_daily", kind=keeping.count, example="7", default=keeping.NONE),
    Key(name="keep_weekly", path="retention.keep_weekly", kind=keeping.count, example="4", default=keeping.NONE),
    Key(name="keep_monthly", path="retention.keep_monthly", kind=keeping.count, example="12", default=keeping.NONE),
    Key(name="keep_yearly", path="retention.keep_yearly", kind=keeping.count, example="2", default=keeping.NONE),
    Key(name="keep_permanent", path="retention.keep_permanent", kind=kinds.flag, example="yes", default=False),
    Key(
        name="without_metric",
        path="retention.without_metric",
        kind=kinds.choice(keeping.KEEP, keeping.REMOVE),
        example="remove",
        default=keeping.KEEP,
    ),
    Key(name="max_bytes", path="retention.max_bytes", kind=keeping.size, example="200G", unset="off"),
    Key(name="until_free", path="retention.until_free", kind=keeping.size, example="50G", unset="off"),
    Key(name="thin", path="retention.thin", kind=kinds.flag, example="yes", default=False),
    Key(name="tracker_ids", kind=kinds.flag, example="no", default=True, option_name="-"),
    # this call
    Key(name="dry_run", kind=kinds.flag, example="yes", default=False, not_in_file=_ONE_CALL),
    Key(name="json", kind=kinds.flag, example="yes", default=False, not_in_file=_ONE_CALL),
    Key(name="quiet", kind=kinds.whole(0), example="1", default=0),
    Key(name="verbose", kind=kinds.whole(0), example="1", default=0),
)
KEYS = {key.name: key for key in _TABLE}
RETENTION = tuple(key.name for key in _TABLE if key.path.startswith("retention."))
BY_PATH = {key.in_file: key for key in _TABLE}
BY_VARIABLE = {key.variable: key for key in _TABLE}
BY_OPTION = {key.option: key for key in _TABLE if key.option}
GROUPS = {key.in_file.partition(".")[0] for key in _TABLE if "." in key.in_file}  # mappings in the file: `restart:`
SECTIONS = ("slurm",)  # mappings in the file whose keys are not ours: read by `sections`
