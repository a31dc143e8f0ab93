"""`ckptrun completion`: the script that teaches a shell the verbs, options and runs."""

from __future__ import annotations

import click

from ckptrun.cli.help import verb

_WHERE = {
    "bash": "~/.local/share/bash-completion/completions/ckptrun   (bash 4.4 or later)",
    "zsh": "_ckptrun in a directory of $fpath, before compinit runs",
    "fish": "~/.config/fish/completions/ckptrun.fish",
}


@verb(
    "completion",
    examples=[
        ("ckptrun completion bash > ~/.local/share/bash-completion/completions/ckptrun", "for every new bash"),
        ('eval "$(ckptrun completion zsh)"', "for this shell only"),
    ],
)
@click.argument("shell", type=click.Choice(list(_WHERE)))
def command(shell: str) -> int:
    """Print the completion script of SHELL: bash, zsh or fish."""
    from ckptrun.cli import shells  # noqa: PLC0415  # for this verb only
    from ckptrun.cli.group import group  # noqa: PLC0415  # as above

    source = shells.script(shell, group, "ckptrun", "_CKPTRUN_COMPLETE")
    click.echo(_commented(shell, source), nl=False)
    return 0


def _commented(shell: str, source: str) -> str:
    comment = f"# Put this into {_WHERE[shell]}\n"
    if not source.startswith("#compdef"):
        return comment + source
    first, rest = source.split("\n", 1)  # zsh wants to find #compdef in the first line
    return f"{first}\n{comment}{rest}"
