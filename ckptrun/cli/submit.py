"""`ckptrun submit`: the options of train and of sbatch on one line, a batch script, a job."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from ckptrun import config, errors, names
from ckptrun.cli import command as commands
from ckptrun.cli import desk, train, words
from ckptrun.cli.help import CODES, Option, Verb
from ckptrun.cli.params import working_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.config import Config
    from ckptrun.platforms.slurm import options
    from ckptrun.platforms.slurm.script import Job
    from ckptrun.runs.paths import RunPaths

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
_OWN = ("--print", "--gpu", "--sbatch", "--json", "--dry-run")
_NOT_HANDED_ON = ("--run", "--root", *_OWN)


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

    What stands after the options is what `ckptrun train` would be given: a SCRIPT that ends in .py, or any COMMAND after --.
    """
    found: options.Split = ctx.meta["ckptrun.split"]
    if not found.rest:
        raise click.UsageError("there is no script or command", ctx)
    environ, cwd = dict(os.environ), working_directory()
    settings = config.load(_given(ctx), environ, cwd)
    run_paths, job = _job(ctx, found, settings, environ, cwd)
    return _show(job) if ctx.params["print"] or settings.dry_run else _submit(ctx, run_paths, job, environ)


def _given(ctx: click.Context) -> dict[str, str | Sequence[str]]:
    """What train's options say; submit's own are not settings."""
    given = train.given(ctx)
    return {name: value for name, value in given.items() if name in config.KEYS and name != "json"}


def _job(
    ctx: click.Context, found: options.Split, settings: Config, environ: dict[str, str], cwd: str
) -> tuple[RunPaths, Job]:
    from ckptrun.platforms.slurm import script  # noqa: PLC0415  # for this verb only
    from ckptrun.runs import jobs, paths  # noqa: PLC0415  # as above

    command = commands.resolve(
        found.rest, literal=found.literal, cwd=settings.chdir or cwd, search=environ.get("PATH", os.defpath)
    )
    sbatch = _sbatch(ctx, found, settings, cwd)
    array = any(option.name == "--array" for option in sbatch)
    name = settings.run or paths.derive_name(command, cwd) + (f"-{names.ARRAY_TASK}" if array else "")
    run_paths = paths.run_paths(settings.root, name.replace(names.ARRAY_TASK, "array"))
    handed = [word for item in found.own if item[0].split("=", 1)[0] not in _NOT_HANDED_ON for word in item]
    separator = ["--"] if found.literal else []
    job = script.Job(
        ckptrun=_ckptrun(),
        arguments=["--run", name, "--root", settings.root, *handed, *separator, *found.rest],
        launcher=script.launcher(command),
        sbatch=sbatch,
        name=run_paths.name,
        output=os.path.join(jobs.folder(run_paths), "%A_%a.out" if array else "%j.out"),
    )
    return run_paths, job


def _sbatch(ctx: click.Context, found: options.Split, settings: Config, cwd: str) -> list[options.Option]:
    """From `slurm:` in the file, then --sbatch, then the line: the later wins."""
    import shlex  # noqa: PLC0415  # for this verb only

    from ckptrun.config import sections  # noqa: PLC0415  # as above
    from ckptrun.platforms.slurm.options import Option as Sbatch  # noqa: PLC0415  # as above
    from ckptrun.platforms.slurm.options import parse  # noqa: PLC0415  # as above

    written = [option for pair in sections.slurm(settings.config, cwd) for option in _from_file(*pair)]
    try:
        spelled = [option for text in ctx.params["sbatch"] for option in parse(shlex.split(text))]
    except ValueError as error:
        raise errors.UsageError(
            f"--sbatch: {error}", "write it as a shell would read it: --sbatch '--comment \"a b\"'"
        ) from None
    gpus = [Sbatch(name="--gpus", value=ctx.params["gpu"])] if ctx.params["gpu"] else []
    return [*written, *spelled, *gpus, *found.sbatch]


def _from_file(name: str, text: str) -> list[options.Option]:
    """One line of `slurm:`; `yes` and `no` stand for an option without a value, and for its absence."""
    from ckptrun.platforms.slurm import options  # noqa: PLC0415  # for this verb only

    word = text.lower()
    if name in options.FLAGS and word in ("", "yes", "true", "on"):
        return [options.Option(name=name)]
    if name in options.FLAGS and word in ("no", "false", "off"):
        return [options.Option(name="--no-requeue")] if name == "--requeue" else []
    return options.parse([f"{name}={text}"])


def _ckptrun() -> list[str]:
    """How this very ckptrun is started on another machine of the cluster."""
    program = os.path.abspath(sys.argv[0])
    installed = os.path.basename(program) == "ckptrun" and os.access(program, os.X_OK)
    return [program] if installed else [sys.executable, "-m", "ckptrun"]


def _show(job: Job) -> int:
    from ckptrun.platforms.slurm import script  # noqa: PLC0415  # for this verb only

    click.echo(os.fsencode(script.render(job)), nl=False)
    return names.EXIT_OK


def _submit(ctx: click.Context, run_paths: RunPaths, job: Job, environ: dict[str, str]) -> int:
    from ckptrun.platforms.slurm import script, submit  # noqa: PLC0415  # for this verb only
    from ckptrun.runs import control, jobs, records  # noqa: PLC0415  # as above

    text = script.render(job)
    handed, secrets = submit.environment(environ, submit.exported(job.sbatch))
    array = any(option.name == "--array" for option in job.sbatch)
    path = jobs.write_script(run_paths, text, array=array)
    if not array:
        control.clear_stopped(run_paths)  # a person asks for it to go on
    given = submit.submit(path, handed)
    if secrets:
        words.say(f"not exported, because they look like secrets: {', '.join(secrets)} (--export=ALL,NAME hands one over)")
    output = next(
        (option.value or "" for option in reversed(script.directives(job)) if option.name == "--output"), job.output
    )
    now = records.now_text(time.time())
    jobs.remember(
        path,
        jobs.Submission(platform="slurm", job=given.job, cluster=given.cluster, submitted=now, by=desk.who(), output=output),
    )
    return _tell(ctx, run_paths, given.job, path, output)


def _tell(ctx: click.Context, run_paths: RunPaths, job: str, path: str, output: str) -> int:
    if ctx.params["json"]:
        document: dict[str, Any] = {"format": names.FORMAT, "run": run_paths.name, "run_dir": run_paths.dir}
        desk.print_document({**document, "job": job, "script": path, "output": output})
        return names.EXIT_OK
    click.echo(job)
    root = os.path.dirname(run_paths.dir)
    where = "" if root == os.path.abspath(names.DEFAULT_ROOT) else f" --root {root}"
    words.say(f"submitted run {run_paths.name} as job {job} ({path})")
    words.say(f"follow it with: ckptrun status {run_paths.name}{where}, ckptrun logs -f {run_paths.name}{where}")
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
