r"""The layouts that vouch for their checkpoints: one literal each.

A new framework is a literal here, a directory in tests/layouts and a row in the README. If its checkpoints need another check of
wholeness than a marker file or the kinds of their files, that check is one function in checkpoints/wholeness.py, named in `check`.
"""

from __future__ import annotations

from ckptrun import names
from ckptrun.model import Noun


class Layout(Noun, frozen=True, kw_only=True):
    """One framework's names.

    `entry` and `unfinished` are regular expressions for whole names in a directory; their groups `step` and `epoch` are numbers,
    every other group is a metric.
    """

    name: str
    title: str
    entry: str
    directory: bool  # is a checkpoint a directory or a file?
    unfinished: str = ""  # names of what is being written, or was left by a killed save
    marker: str = ""  # written last into the directory: without it the checkpoint is not complete
    check: str = "files"  # how wholeness is judged: manifest | files
    pointer: str = ""  # a link or small file beside them that names one; a hint, never the truth


OWN = Layout(
    name="own",
    title="ckptrun",
    entry=rf"{names.STEP_PREFIX}(?P<step>\d{{8,}})(?:\.a\d{{4,}}(?:\.\d+)?)?",
    directory=True,
    unfinished=rf"\{names.TMP_PREFIX}{names.STEP_PREFIX}(?P<step>\d{{8,}})-.*",
    marker=names.MANIFEST,
    check="manifest",
    pointer=names.LATEST,
)

CATALOGUE = (OWN,)
