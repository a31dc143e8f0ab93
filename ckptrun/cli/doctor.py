"""`ckptrun doctor`: what would make a training lose work here, and what to do about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ckptrun import errors, names
from ckptrun.cli import desk
from ckptrun.cli.help import verb
from ckptrun.cli.params import FILE, json_option, root_option

if TYPE_CHECKING:
    from ckptrun.platforms.doctor import Finding

_STYLES = {"ok": "green", "note": "yellow", "problem": "red"}


@verb(
    "doctor",
    examples=[
        ("ckptrun doctor", "this machine, the filesystem of the runs, Slurm's configuration"),
        ("ckptrun doctor job.sbatch", "also a batch script: which of Slurm's signals reach ckptrun in it"),
        ("ckptrun doctor --json job.sbatch", "the same for a program"),
    ],
    codes={
        names.EXIT_OK: "no problem was found",
        names.EXIT_FAILURE: "there is a problem: work would be lost; each says what to do",
        names.EXIT_USAGE: "the command line is wrong",
        names.EXIT_IO: "the script cannot be read",
    },
)
@click.argument("script", required=False, type=FILE)
@root_option
@json_option
def command(script: str | None, root: str, *, as_json: bool) -> int:
    """Look for what would make a training lose work here: in SCRIPT (read, not run), in Slurm's configuration, on this machine."""
    from ckptrun.platforms import doctor  # noqa: PLC0415  # for this verb only

    found = doctor.examine(root, None if script is None else _read(script), os.environ)
    if as_json:
        desk.print_document({"format": names.FORMAT, "findings": [_document(finding) for finding in found]})
    else:
        _print(found)
    return names.EXIT_FAILURE if any(finding.level == doctor.PROBLEM for finding in found) else names.EXIT_OK


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except OSError as error:
        raise errors.IoFailure(f"{path} cannot be read: {error.strerror}") from error


def _document(finding: Finding) -> dict[str, Any]:
    return {"level": finding.level, "about": finding.about, "text": finding.text, "todo": finding.todo}


def _print(found: list[Finding]) -> None:
    page = desk.out()
    for finding in found:
        page.pairs([(finding.about, (f"{finding.level}: {finding.text}", _STYLES[finding.level]))])
        if finding.todo:
            page.pairs([("", f"      {finding.todo}")])
