r"""The layouts that vouch for their checkpoints: one literal each, ckptrun's own here, the frameworks' by family beside it.

A new framework is a literal in a family's file, a directory in tests/layouts and a row in the README. What a literal cannot say (how
metrics are written into a file beside the checkpoint, what a pointer looks like) is one function in `sidecars` or one row in `pointers`.
"""

from __future__ import annotations

import functools

from ckptrun import names
from ckptrun.model import Noun


class Pointer(Noun, frozen=True, kw_only=True):
    """A link or small file beside the checkpoints that names one of them: a hint, never the truth."""

    name: str  # regular expression for its whole name
    format: str = "link"  # a row of `pointers`
    best: bool = False  # it names the best one, not the latest
    vouches: bool = False  # written when all ranks have saved: what it names is complete


class Layout(Noun, frozen=True, kw_only=True):
    """One framework's names. All strings are regular expressions for whole names, unless said otherwise.

    Groups of `entry` and `unfinished` with a meaning: `step`, `epoch`; `metric` and `value`, the name of a number and it; `prefix`, what
    tells one series from another in the same directory; `stem`, the unit's name. Of several expressions in `entry` the first is what the framework itself would
    write: where one such directory has the contents that it must have, others of that name belong to it even if they lack them.
    """

    name: str
    title: str
    entry: tuple[str, ...]
    directory: bool | None = False  # is a checkpoint a directory or a file? None: either
    unit: tuple[str, ...] | None = None  # entries with the same values of these groups are one checkpoint; None: each is one
    main: str = ""  # which of a unit's entries a script is given
    prefix_path: bool = False  # a script is given the group `stem`, which is no file: TensorFlow
    measures: tuple[str, ...] = ()  # what the groups m0, m1, … measure
    pairs: bool = False  # metrics, step and epoch stand in the name as key=value
    # where it applies
    within: str = ""  # only in a directory of this name
    beside: str = ""  # only where such an entry lies
    proof: str = ""  # a unit is one only if it has such an entry
    inside: str = ""  # a directory is one only if it holds such a name
    below: str = ""  # or, a level deeper, such a path
    not_below: str = ""  # but not if it holds such a path: then it holds checkpoints
    nest: str = ""  # and a directory of this name, if it holds, however deep, one file that is `nested`, and nothing else
    nested: str = ""  # that is the checkpoint
    exact: bool = False  # digits in its expressions are meant, not examples
    guess: bool = False  # names that anything might have: what they say is no statement
    # what is whole
    unfinished: tuple[str, ...] = ()  # names of what is being written, or was left by a killed save
    unfinished_inside: str = ""  # directories with such a name are meant only if they hold this
    needs: dict[str, str] = {}  # what is missing, in words → the name inside a directory that is it
    together: dict[str, str] = {}  # a name inside → another one that must be there then
    parts: dict[str, str] = {}  # the same of a unit's entries
    never: str = ""  # a name inside that says that it is not complete
    veto: str = ""  # a name beside that says so; {name} is the checkpoint's, {stem} without its extension
    marker: str = ""  # written last into the directory; decides only where some have it, see `siblings`
    ranks: bool = True  # is one that has fewer files of a kind than all others short of them?
    check: str = "files"  # how wholeness is judged: manifest | files | structure
    # what belongs to it, and what is said about it
    companions: tuple[str, ...] = ()  # names beside that belong to it, templates as `veto`
    shared: str = ""  # names beside that all of them need, and no removal of one may take
    follows: str = ""  # rewritten with every save: as new as the newest
    best: str = ""  # what the framework calls its best
    pointers: tuple[Pointer, ...] = ()
    sidecar: str = ""  # where metrics are written: a row of `sidecars`


OWN = Layout(
    name="own",
    title="ckptrun",
    entry=(rf"{names.STEP_PREFIX}(?P<step>\d{{8,}})(?:\.a\d{{4,}}(?:\.\d+)?)?",),
    directory=True,
    unfinished=(rf"\{names.TMP_PREFIX}{names.STEP_PREFIX}(?P<step>\d{{8,}})-.*",),
    marker=names.MANIFEST,
    check="manifest",
    pointers=(Pointer(name=names.LATEST),),
)

# Names that end so are copies that a person made: they are nobody's to count, and never pruned.
NO_COPY = r"(?!.*[-_. ](?:backup|bak|keep|kept|copy|old|orig|merged|saved?)\d*$)"


@functools.cache
def frameworks() -> tuple[Layout, ...]:
    """All others, in the order in which they are tried: those that know their checkpoints by more than a name come first."""
    # ruff: noqa: PLC0415  # a run that holds nothing but ours need not load them
    from ckptrun.layouts.catalogue import huggingface, jax, keras, others, scale, torch

    known = scale.LAYOUTS + jax.LAYOUTS + huggingface.LAYOUTS + torch.LAYOUTS + keras.LAYOUTS + others.LAYOUTS
    return known + scale.ANY_NAME


def layout(name: str) -> Layout | None:
    """The literal of that name; None for guesses."""
    if name == OWN.name:
        return OWN
    return next((item for item in frameworks() if item.name == name), None)
