"""`ckptrun verify`: is what was saved whole?"""

from __future__ import annotations

import click

from ckptrun import names
from ckptrun.cli import desk
from ckptrun.cli.help import verb
from ckptrun.cli.params import REF, json_option, root_option, working_directory
from ckptrun.report import named, verifying, working


@verb(
    "verify",
    examples=[
        ("ckptrun verify digits-3f9a1c", "a run's checkpoints: sizes, headers, directories of archives"),
        ("ckptrun verify --deep digits-3f9a1c@latest", "every byte of one that has a checksum"),
        ("ckptrun verify --deep --jobs 4 ./outputs ./backup", "any directories, four files at a time"),
        ("ckptrun verify --json 'sweep-*'", "all runs that match, for a program"),
    ],
    codes={
        names.EXIT_OK: "all are whole",
        names.EXIT_FAILURE: "one or more are broken: which, and why, is said",
        names.EXIT_USAGE: "the command line is wrong, or there is no checkpoint",
        names.EXIT_IO: "none is broken, but something could not be read, which says nothing about it",
        names.EXIT_INTERRUPTED: "interrupted by Ctrl-C",
    },
)
@click.argument("what", nargs=-1, required=True, type=REF, metavar="DIR|RUN|REF...")
@click.option("--deep", is_flag=True, help="Read every byte that has a checksum, in the file, a manifest or a seal.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Files that are read at a time.  [default: one for each core, at most 8]",
)
@desk.pattern_option
@root_option
@json_option
def command(
    *, what: tuple[str, ...], deep: bool, jobs: int | None, patterns: tuple[str, ...], root: str, as_json: bool
) -> int:
    """Check that checkpoints are whole, without loading them.

    Nothing is unpickled. Checksums are those that stand in the files (PyTorch, Keras, NumPy's .npz), in the manifest of a
    checkpoint of ckptrun's own, or in a seal (ckptrun seal).
    """
    with working.busy("looking for checkpoints", desk.err()):
        items = named.checkpoints(what, root=root, cwd=working_directory(), patterns=desk.layouts(patterns))
    found = verifying.verify(items, deep=deep, jobs=jobs or 0, page=desk.err())
    if as_json:
        desk.print_document(verifying.document(found))
        return found.exit_code
    for remark in verifying.remarks(found):
        desk.err().line(f"remark: {remark}")
    verifying.show(found, desk.out())
    return found.exit_code
