"""`ckptrun train`: the options, each of which only collects its text; `config` judges them all together."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ckptrun import config, names
from ckptrun.cli import command as commands
from ckptrun.cli.help import CODES, Option, Verb
from ckptrun.cli.params import DIRECTORY, FILE, REF, working_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

_EXAMPLES = [
    ("ckptrun train train.py --lr 0.1", "start it, or go on with it: the same line each time"),
    ("ckptrun train --run big --grace 90s -- torchrun --nproc-per-node=2 train.py", "any command after --"),
    ("ckptrun train --on-resume '--resume {resume_from}' main.py", "arguments that are added on a later start only"),
    ("ckptrun train --dry-run train.py", "what would happen, and why"),
]
_CODES = {
    names.EXIT_OK: "the run is complete, now or already",
    "1 … 255": "the command's own code; 128 + N when signal N killed it (one that is in this list becomes 1)",
    names.EXIT_USAGE: CODES[names.EXIT_USAGE],
    names.EXIT_LEASED: "somebody else holds the run: who, where and since when is said (--if-held wait waits)",
    names.EXIT_CANNOT_CREATE: CODES[names.EXIT_CANNOT_CREATE],
    names.EXIT_IO: CODES[names.EXIT_IO],
    names.EXIT_AGAIN: "stopped before the end: start me again",
    names.EXIT_CONFIG: CODES[names.EXIT_CONFIG],
    names.EXIT_DO_NOT_RESTART: "do not start me again: stopped by the user, restarts used up, or no progress",
    names.EXIT_INTERRUPTED: "do not start me again: stopped by Ctrl-C",
}
_EPILOG = f"""\
Every option can also be given as a variable ({names.ENV_TRAIN_PREFIX}GRACE=90s) or in ./{names.DEFAULT_CONFIG} (grace: 90s; restart:
{{by: exit, max_failures: 5}}). An option wins over a variable, a variable over the file, the file over the strategy. --dry-run shows
where each value came from. Times are written as 90s, 10m, 1h30m or 1:30:00.

In any argument of the command, {{checkpoint_dir}} {{output_dir}} {{input_dir}} {{resume_from}} {{resume_step}} {{attempt}} {{run}} are filled in,
in a task of an array {{array_task}}, in one of a sweep the names of its values.
"""

# What is kept, as `prune` asks for it too.
KEEPING = [
    ("--keep-last", "N", "Keep the newest N."),
    ("--keep-best", "K[:METRIC]", "Keep the best K by a metric (also K:METRIC:min, K:METRIC:max). May be repeated.  [metric: as ls picks it]"),
    ("--keep-every", "N|TIME", "Keep one in N steps (multiples of N; N:greedy, N:closest) or in a time: 2h. May be repeated."),
    ("--keep-within", "TIME", "Keep those written at most so long before the newest."),
    ("--keep-hourly", "N", "Keep the newest of each of the last N hours (UTC) that have any."),
    ("--keep-daily", "N", "The same by days,"),
    ("--keep-weekly", "N", "by weeks,"),
    ("--keep-monthly", "N", "by months,"),
    ("--keep-yearly", "N", "by years."),
    ("--keep-first", "N", "Keep the oldest N."),
    ("--keep-permanent", "", "Keep those that their framework does not call temporary."),
    ("--without-metric", "WHAT", "keep or remove what lacks the metric of --keep-best.  [default: keep]"),
    ("--max-bytes", "SIZE", "Of what is not kept, remove the oldest until the rest takes at most so much."),
    ("--until-free", "SIZE", "Of what is not kept, remove the oldest until so much is free on the disk."),
    ("--thin", "", "Remove the optimizer's files of what is kept and not needed to resume."),
]  # fmt: skip
# Heading, then (option, what stands for its value, what it does). Names, kinds and defaults are in config.keys.
_OPTIONS = {
    "Which run": [
        ("--run", "NAME", "Name of the run.  [default: script's name + hash of directory and command]"),
        ("--root", "DIR", "Where the runs are; also $CKPTRUN_ROOT.  [default: ./runs]"),
        ("--config", "FILE", f"Settings in YAML.  [default: ./{names.DEFAULT_CONFIG}, if it is there]"),
        ("--strategy", "NAME", "short (minutes to hours), normal or long (days to weeks): how often to save, how often to retry.  [default: normal]"),
        ("--data", "SRC:MOUNT", "Show SRC, a path or another run's output, to the script as input/MOUNT. May be repeated."),
        ("--chdir", "DIR", "Directory of the command; SCRIPT is looked for there.  [default: this one]"),
        ("--if-held", "end|wait", "When somebody else runs the run: end with 69, or wait until it is free.  [default: end]"),
    ],
    "One task of a sweep": [
        ("--sweep", "VALUES", "Values for the tasks of an array, as under sweep: in the file: 'lr: [0.1, 0.01]' fills {lr}."),
        ("--sweep-task", "N", "Which task this is, from 0.  [default: the number in its array]"),
    ],
    "Saving": [
        ("--every", "N", "How often the script's should_save() says yes: 20 (steps), 10m or 2epochs.  [default: what the script says, else 10m]"),
        ("--grace", "TIME", "Time for a last save after a notice.  [default: what the platform gives, else 27s]"),
        ("--save-signal", "SIGNAL", "Signal that makes the script save.  [default: USR1]"),
        ("--signal-means", "save|stop", "What the script does on it: save and go on, or save and stop.  [default: stop, unless it says otherwise]"),
        ("--time-limit", "TIME", "End the attempt after this time, saved.  [default: the scheduler's]"),
        ("--stall-timeout", "TIME", "Save and end when there is no step and no output for so long.  [default: off]"),
        ("--pattern", "NAME", "How the script calls its checkpoints, where their names do not tell: 'ckpt-{epoch:02d}.pt'. May be repeated."),
        ("--seal", "end|each|off", "Write checksums of what the script saved in a layout of its own: when the run ends, or (each) also of each checkpoint while it runs, a minute after it was written.  [default: end]"),
    ],
    "Keeping safe": [
        ("--backup-to", "DEST", "Back the newest checkpoint up while it runs and at its end: a directory or a URL (s3, gs, sftp, …). A start that finds nothing of the run here fetches it back."),
        ("--backup-every", "TIME", "How long apart backups are at least.  [default: 10m]"),
        ("--keep-copies", "N", "Of a file that the script rewrites in place, keep so many earlier versions, against a kill in the middle of a save.  [default: 2]"),
    ],
    "Resuming": [
        ("--on-resume", "ARGS", "Arguments added only when there is something to resume from."),
        ("--resume-at", "STEP", "Go back to this checkpoint; later ones are set aside."),
        ("--from", "REF", "Begin with another run's checkpoint: RUN, RUN@STEP or a path."),
        ("--fresh", "", "Begin from nothing; what is there is set aside."),
        ("--changed", "", "The command was changed on purpose: go on with the run."),
        ("--again", "", "Go on with a run that is complete."),
    ],
    "Ending": [
        ("--done-when", "PROOF", "What proves that the run is complete: step>=N, epoch>=N or file:PATH."),
        ("--restart-by", "WHO", "Who starts it again: scheduler, self (a loop in place) or exit (whoever sees the exit code).  [default: scheduler if the job can be requeued, else exit]"),
        ("--max-failures", "N", "Failures in a row, without a newer checkpoint, that are started again.  [default: 3]"),
        ("--preempt-exit-code", "CODE", "Instead of 75, for systems that want 85, 99 or 143."),
        ("--child-preempt-code", "CODE", "The script's own code for \"start me again\"."),
    ],
    "Keeping": KEEPING,
    "This call": [
        ("--dry-run", "", "Print the whole plan, start nothing."),
        ("--json", "", "One JSON document on stdout at the end; the script's stdout goes to stderr."),
        ("--quiet", "-q", "Say less."),
        ("--verbose", "-v", "Say more."),
    ],
}  # fmt: skip
_CHOICES = {
    "strategy": config.STRATEGIES,
    "if_held": ("end", "wait"),
    "seal": ("end", "each", "off"),
    "signal_means": ("save", "stop"),
    "restart_by": ("scheduler", "self", "exit"),
    "save_signal": ("USR1", "USR2", "TERM", "INT", "HUP"),
    "without_metric": ("keep", "remove"),
}
_TYPES = {"DIR": DIRECTORY, "FILE": FILE, "REF": REF}


class _Train(Verb):
    """Knows whether the command came after `--`, which click leaves out of what it hands on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        rest = super().parse_args(ctx, args)
        count = len(ctx.params.get("words") or ())
        ctx.meta["ckptrun.literal"] = 0 < count < len(given) and given[-count - 1] == "--"
        return rest


def run(ctx: click.Context, words: Sequence[str], **_options: object) -> int:
    """Run a training so that it survives being stopped.

    A SCRIPT that ends in .py runs under this Python; anything else runs as it is. Options for ckptrun come before it, the
    script's own after it.
    """
    environ = dict(os.environ)
    cwd = working_directory()
    settings = checked(_settings(given(ctx), environ, cwd))
    command = commands.resolve(
        words, literal=ctx.meta["ckptrun.literal"], cwd=settings.chdir or cwd, search=environ.get("PATH", os.defpath)
    )
    from ckptrun import session  # noqa: PLC0415  # neither --help nor a mistake needs it

    start = session.dry_run if settings.dry_run else session.train
    return start(
        settings, command, environ=environ, cwd=cwd, clock=time.time, json_out=settings.json, verbosity=settings.verbosity
    )


def checked(settings: config.Config) -> config.Config:
    """The same settings, if the rules of retention among them can be meant.

    Raises:
        UsageError: they keep nothing, or nobody knows which end of a metric is better.
    """
    if settings.retains:
        from ckptrun.policy import keeping  # noqa: PLC0415  # only who asks for it pays

        keeping.require(keeping.of(settings))
    return settings


def _settings(options: dict[str, str | Sequence[str]], environ: dict[str, str], cwd: str) -> config.Config:
    """From everywhere; also what a run was given that was branched from another."""
    settings = config.load(options, environ, cwd)
    if not settings.run:
        return settings
    from ckptrun.runs import paths, records  # noqa: PLC0415  # only who names the run pays
    from ckptrun.runs.naming import is_name  # noqa: PLC0415  # as above

    asked = records.read_run(paths.run_paths(settings.root, settings.run)) if is_name(settings.run) else None
    return config.load(options, environ, cwd, branched=asked.overrides) if asked and asked.overrides else settings


def given(ctx: click.Context) -> dict[str, str | Sequence[str]]:
    """The options that stand on the command line, as text, by their name in Config."""
    found: dict[str, str | Sequence[str]] = {}
    for name, value in ctx.params.items():
        if name != "words" and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            found[name] = value if isinstance(value, tuple) else "yes" if value is True else str(value)
    return found


def option(section: str, flag: str, value: str, text: str) -> Option:
    """The option of a setting; what it says is only collected here."""
    key = config.BY_OPTION[flag]
    if value in ("-q", "-v"):
        return Option([value, flag, key.name], section=section, help=text, count=True, allow_from_autoenv=False)
    kind: dict[str, Any] = (
        {"metavar": value, "multiple": key.many, "type": click.UNPROCESSED} if value else {"is_flag": True}
    )
    if key.name in _CHOICES:
        kind["shell_complete"] = _complete
    elif value in _TYPES:
        kind["type"] = _TYPES[value]
    return Option([flag, key.name], section=section, help=text, allow_from_autoenv=False, **kind)


def _complete(_ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

    return [CompletionItem(choice) for choice in _CHOICES[param.name or ""] if choice.startswith(incomplete)]


command = _Train(
    "train",
    callback=click.pass_context(run),
    help=run.__doc__,
    epilog=_EPILOG,
    usages=("[OPTIONS] SCRIPT [ARGS]...", "[OPTIONS] -- COMMAND [ARGS]..."),
    examples=_EXAMPLES,
    codes=_CODES,
    context_settings={"allow_interspersed_args": False},
    params=[
        *(option(section, *row) for section, rows in _OPTIONS.items() for row in rows),
        click.Argument(["words"], nargs=-1, required=True, type=FILE, metavar="SCRIPT [ARGS]..."),
    ],
)
