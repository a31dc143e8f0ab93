"""JAX: Orbax, flax, levanter."""

from __future__ import annotations

from ckptrun.layouts.catalogue import NO_COPY, Layout

# orbax/checkpoint/_src/path/{atomicity,step}.py. Since 0.12.3 commit_success.txt is written in rename mode too; in COMMIT_FILE mode (object
# stores) nothing else says that a step is complete. It lies inside temporary item directories as well, so only a step's own counts.
ORBAX = Layout(
    name="orbax",
    title="Orbax",
    entry=(r"(?!ocdbt\.process_)(?:(?P<prefix>.+)_)?(?P<step>\d+)",),
    directory=True,
    inside=r"_CHECKPOINT_METADATA|commit_success\.txt|_METADATA|manifest\.ocdbt|ocdbt\.process_\d+",
    below=r"[^/]*[^/\d]/(?:_METADATA|manifest\.ocdbt|commit_success\.txt|checkpoint|\.zarray)",
    not_below=r"[^/]+/_CHECKPOINT_METADATA",
    unfinished=(r"(?:(?P<prefix>.+)_)?(?P<step>\d+)\.orbax-checkpoint-tmp(?:-\d+)?",),
    marker=r"commit_success\.txt",
    ranks=False,
    check="structure",
    sidecar="orbax",
)

# One that a Checkpointer wrote under a name of the user's own; items inside of a step have no metadata of their own.
ORBAX_NAMED = Layout(
    name="orbax-named",
    title="Orbax, any name",
    entry=(rf"{NO_COPY}(?!ocdbt\.process_|default$).+(?<!\.orbax-checkpoint-tmp)",),
    directory=True,
    inside=r"_CHECKPOINT_METADATA|orbax\.checkpoint",
    unfinished=(r".+\.orbax-checkpoint-tmp(?:-\d+)?",),
    ranks=False,
    check="structure",
    best=r"(?:.*[-_])?best",
)

# flax/training/checkpoints.py, before Orbax: a msgpack file, with its distributed arrays in a directory beside.
FLAX = Layout(
    name="flax",
    title="flax (legacy)",
    entry=(r"(?P<prefix>(?:.*_)?(?:checkpoint|ckpt|state|train_state|model|params)s?_)(?P<step>-?\d+(?:\.\d+)?)(?:_gda)?",),
    directory=None,
    unit=("prefix", "step"),
    main=r".*\d",
    parts={"the msgpack file": r".*\d"},
    unfinished=(r"(?P<prefix>(?:.*_)?(?:checkpoint|ckpt|state|train_state|model|params)s?_)tmp",),
    inside=r"array_\d+|.*\.gda.*|\.zarray|.*\.\d+",
)

# levanter/checkpoint.py:571: metadata.json is written last; `is_temporary` ones go with the next save.
LEVANTER = Layout(
    name="levanter",
    title="levanter",
    entry=(r"step-(?P<step>\d+)",),
    directory=True,
    inside=r"metadata\.json|manifest\.ocdbt|ocdbt\.process_\d+",
    needs={"metadata.json, which is written last,": r"metadata\.json"},
    ranks=False,
    check="structure",
    sidecar="levanter",
)

LAYOUTS = (ORBAX, LEVANTER, ORBAX_NAMED, FLAX)
