"""The group of all verbs, which imports a verb only when it is called."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

import click

from ckptrun import errors, names

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# The verbs in the order of --help: what each does in one line, so that --help imports none of them.
# A new verb is a file `ckptrun/cli/NAME.py` that has `command`, and a line here.
VERBS = {
    "train": "Run a training so that it survives being stopped.",
    "submit": "Submit a training to Slurm, requeued until it is complete.",
    "ls": "List checkpoints, and what state each is in.",
    "verify": "Check that what was saved is whole, by every byte if asked.",
    "seal": "Write down checksums of checkpoints that have none.",
    "show": "Tell the story of one run, attempt or checkpoint.",
    "diff": "Say where two checkpoints differ.",
    "mean": "Average the weights of several checkpoints.",
    "branch": "Begin a new run at a checkpoint of another.",
    "status": "Say what is running where, and how far it is.",
    "logs": "Print what an attempt wrote.",
    "save": "Ask a running attempt to save and go on.",
    "stop": "Ask a running attempt to save and stop.",
    "wait": "Wait until a run has ended.",
    "prune": "Remove checkpoints that nobody asked to keep.",
    "pin": "Pin checkpoints: they are never removed.",
    "unpin": "Take pins away.",
    "backup": "Copy whole checkpoints to where they are safe.",
    "restore": "Put a backup back as a checkpoint.",
    "doctor": "Look for what would make a training lose work here.",
    "completion": "Print the shell's completion script.",
}


class Verbs(click.Group):
    """A click group over `VERBS`."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"ckptrun.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; an unknown verb is answered with the nearest known one."""
        name = args[0]
        if name not in VERBS and not name.startswith("-") and (name.endswith(".py") or os.path.isfile(name)):
            raise errors.UsageError(f"{name!r} is not a verb but a script", f"did you mean: {_as_train(args)}")
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(name, possibilities=VERBS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing a verb."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Verbs that begin with `incomplete`, without importing one; else the group's own options."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

        matching = [CompletionItem(name, help=line) for name, line in VERBS.items() if name.startswith(incomplete)]
        return [*matching, *click.Command.shell_complete(self, ctx, incomplete)]


def _as_train(args: list[str]) -> str:
    import shlex  # noqa: PLC0415  # for mistakes only

    return "ckptrun train " + shlex.join(args)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"ckptrun {names.VERSION}")
        ctx.exit()


@click.group(
    cls=Verbs,
    name="ckptrun",
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`ckptrun VERB --help` has examples and exit codes. ckptrun sends nothing to anybody.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_print_version,
    help="Print the version.",
)
def group() -> None:
    """Make a training survive machines that are taken away.

    However the job ends, the next start goes on from the newest checkpoint that is whole.

    \b
      ckptrun train train.py     start it, or go on with it
      ckptrun status             what is running
      ckptrun ls                 what was saved
    """  # noqa: D301  # click's mark for lines that are not wrapped
