"""`ckptrun submit`: the options of train and of sbatch on one line, a batch script, a job."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ckptrun import config, errors, names
from ckptrun.cli import desk, orders, train, words
from ckptrun.cli.help import CODES, Option, Verb
from ckptrun.cli.params import working_directory
from ckptrun.config import destinations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.config import Config
    from ckptrun.platforms.slurm import options
    from ckptrun.platforms.slurm.script import Job
    from ckptrun.runs.jobs import Submission

_EXAMPLES = [
    ("ckptrun submit --time=4:00:00 --gpu train.py --lr 0.1", "options of sbatch as sbatch spells them"),
    ("ckptrun submit --run big --partition=spot -- python -m pkg.train", "any command after --"),
    ("ckptrun submit --print --time=4:00:00 train.py", "only show the batch script"),
    ("ckptrun submit --sbatch '--qos low --mail-type=END' train.py", "options whose names ckptrun uses itself"),
]
_CODES = {
    names.EXIT_OK: "submitted",
    names.EXIT_FAILURE: "sbatch refused it, or there is none; its own words are shown",
    names.EXIT_USAGE: CODES[names.EXIT_USAGE],
    names.EXIT_CANNOT_CREATE: CODES[names.EXIT_CANNOT_CREATE],
    names.EXIT_CONFIG: CODES[names.EXIT_CONFIG],
}
_EPILOG = """\
Every option of `ckptrun train` is taken and handed on; where sbatch has one of the same name (--chdir, -q, -v), it is train's. All others
are sbatch's, on the line or under `slurm:` in ./ckptrun.yaml (slurm: {partition: spot, time: 4:00:00}). The job is requeued until
the run is complete. Variables whose names look like secrets are not exported; --export=ALL,NAME hands one over.
"""


class _Submit(Verb):
    """Takes the options of sbatch out of the line before click sees it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        from ckptrun.platforms.slurm import options  # noqa: PLC0415  # for this verb only

        known = {
            name: not (param.is_flag or param.count)
            for param in self.params
            if isinstance(param, click.Option)
            for name in param.opts
        }
        found = options.split(args, {**known, "--help": False, "-h": False}, optional_number=("--gpu",))
        ctx.meta["ckptrun.split"] = found
        ours = [["--gpu=" + item[1]] if item[0] == "--gpu" and len(item) == 2 else item for item in found.own]
        ours = [["--gpu=1"] if item == ["--gpu"] else item for item in ours]
        return super().parse_args(ctx, [*(word for item in ours for word in item), "--", *found.rest])


def run(ctx: click.Context, **_options: object) -> int:
    """Submit a training to Slurm, so that it is requeued until it is complete.

    What stands after the options is what `ckptrun train` would be given: a SCRIPT that ends in .py, or any COMMAND after --. With
    `sweep:` in ./ckptrun.yaml all its tasks are submitted, as one array.
    """
    found: options.Split = ctx.meta["ckptrun.split"]
    if not found.rest:
        raise click.UsageError("there is no script or command", ctx)
    environ, cwd = dict(os.environ), working_directory()
    settings = train.checked(config.load(_given(ctx), environ, cwd))
    if settings.sweep_task is not None:
        raise errors.UsageError("--sweep-task: `ckptrun submit` starts all tasks", "for some of them: --array=0,2")
    _refuse_secrets(settings)
    order = orders.make(ctx, found, settings, environ, cwd)
    orders.check(order, settings)
    if ctx.params["print"] or settings.dry_run:
        return _show(order.job)
    return _submit(ctx, order, settings, environ)


def _refuse_secrets(settings: Config) -> None:
    """A batch script is kept, and read by others.

    Raises:
        UsageError: a password would stand in it.
    """
    to = settings.backup_to or ""
    shown = destinations.redacted(to)
    if shown != to and settings.sources["backup_to"].startswith("option"):
        raise errors.UsageError(
            f"--backup-to {shown}: its password would stand in the batch script",
            "write it without one (keys in ~/.ssh, ~/.aws), or give it as backup.to in the configuration file",
        )


def _given(ctx: click.Context) -> dict[str, str | Sequence[str]]:
    """What train's options say; submit's own are not settings."""
    given = train.given(ctx)
    return {name: value for name, value in given.items() if name in config.KEYS and name != "json"}


def _show(job: Job) -> int:
    from ckptrun.platforms.slurm import script  # noqa: PLC0415  # for this verb only

    click.echo(os.fsencode(script.render(job)), nl=False)
    return names.EXIT_OK


def _submit(ctx: click.Context, order: orders.Order, settings: Config, environ: dict[str, str]) -> int:
    from ckptrun.platforms.slurm import script, submit  # noqa: PLC0415  # for this verb only
    from ckptrun.runs import control, jobs, records  # noqa: PLC0415  # as above

    job = order.job
    text = script.render(job)
    handed, secrets = submit.environment(environ, submit.exported(job.sbatch))
    path = jobs.write_script(order.paths, text, array=bool(order.array))
    for one in order.runs.values():
        control.clear_stopped(one)  # a person asks for it to go on
    given = submit.submit(path, handed)
    if secrets:
        words.say(f"not exported, because they look like secrets: {', '.join(secrets)} (--export=ALL,NAME hands one over)")
    output = orders.last(script.directives(job), "--output")
    if output == job.output and not orders.last(job.sbatch, "--output"):
        output = os.path.join(jobs.folder(order.paths), os.path.basename(output))
    handed_in = jobs.Submission(
        platform="slurm",
        job=given.job,
        cluster=given.cluster,
        submitted=records.now_text(time.time()),
        by=desk.who(),
        output=output,
    )
    jobs.remember(path, handed_in)
    _note_tasks(order, settings, handed_in, path)
    return _tell(ctx, order, settings, handed_in, path)


def _note_tasks(order: orders.Order, settings: Config, handed_in: Submission, path: str) -> None:
    """Each task is a run of its own, which is seen and can be stopped while it waits."""
    from ckptrun.runs import jobs  # noqa: PLC0415  # for this verb only

    for task, one in order.runs.items():
        if task:
            output = handed_in.output.replace("%A", handed_in.job).replace("%a", task)
            jobs.note(
                one,
                msgspec.structs.replace(
                    handed_in,
                    job=f"{handed_in.job}_{task}",
                    output=output,
                    script=path,
                    sweep=orders.values(settings, task),
                ),
            )


def _tell(ctx: click.Context, order: orders.Order, settings: Config, handed_in: Submission, path: str) -> int:
    job, run_paths = handed_in.job, order.paths
    if ctx.params["json"]:
        document: dict[str, Any] = {"format": names.FORMAT, "run": run_paths.name, "run_dir": run_paths.dir}
        tasks = [
            {"task": int(task), "run": one.name, "job": f"{job}_{task}", "sweep": orders.values(settings, task) or None}
            for task, one in order.runs.items()
            if task
        ]
        desk.print_document({**document, "job": job, "script": path, "output": handed_in.output, "tasks": tasks})
        return names.EXIT_OK
    click.echo(job)
    root = os.path.dirname(run_paths.dir)
    where = "" if root == os.path.abspath(names.DEFAULT_ROOT) else f" --root {shlex.quote(root)}"
    runs = [one.name for one in order.runs.values()] or [run_paths.name]
    what = f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs, {runs[0]} to {runs[-1]},"
    all_of_them = runs[0] if len(runs) == 1 else shlex.quote(order.name.replace(names.ARRAY_TASK, "*"))
    words.say(f"submitted {what} as job {job} ({path})")
    words.say(
        f"follow {'it' if len(runs) == 1 else 'them'} with: ckptrun status {all_of_them}{where}, ckptrun logs -f {runs[0]}{where}"
    )
    return names.EXIT_OK


def _params() -> list[click.Parameter]:
    """Submit's own options, then train's, then the command."""
    section = "Submitting"
    own = [
        Option(["--print"], section=section, is_flag=True, help="Only print the batch script.", allow_from_autoenv=False),
        Option(["--gpu"], section=section, metavar="[N]", default="", help="--gpus=N of sbatch.  [N: 1]", allow_from_autoenv=False),
        Option(["--sbatch"], section=section, metavar="OPTS", multiple=True, help="More options of sbatch, as a shell would read them. May be repeated.", allow_from_autoenv=False),
        Option(["--json"], section=section, is_flag=True, help="One JSON document on stdout.", allow_from_autoenv=False),
    ]  # fmt: skip
    taken = {name for option in own for name in option.opts}
    return [*own, *(param for param in train.command.params if not taken & set(param.opts))]


command = _Submit(
    "submit",
    callback=click.pass_context(run),
    help=run.__doc__,
    epilog=_EPILOG,
    usages=(
        "[TRAIN OPTIONS] [SBATCH OPTIONS] SCRIPT [ARGS]...",
        "[TRAIN OPTIONS] [SBATCH OPTIONS] -- COMMAND [ARGS]...",
    ),
    examples=_EXAMPLES,
    codes=_CODES,
    context_settings={"allow_interspersed_args": False},
    params=_params(),
)
