"""Keras, Synalinks and TensorFlow."""

from __future__ import annotations

from ckptrun.layouts.catalogue import Layout, Pointer

_SAVED = r"\.(?:keras|weights\.h5|weights\.hdf5|h5|hdf5|program\.json|variables\.json)"
_PARTS = r"\.(?:index|meta|data-\d{5}-of-\d{5})"
_OF_BACKUP = r"latest\.(?:weights\.h5|variables\.json|program\.json|keras)"

# keras/src/callbacks/backup_and_restore.py, synalinks/…/backup_and_restore.py:110: .bkp is the generation before.
BACKUP = Layout(
    name="keras-backup",
    title="Keras and Synalinks BackupAndRestore",
    entry=(rf"{_OF_BACKUP}(?P<bkp>\.bkp)?", r"training_metadata\.json(?P<bkp>\.bkp)?"),
    unit=("bkp",),
    main=rf"{_OF_BACKUP}(?:\.bkp)?",
    beside=rf"{_OF_BACKUP}(?:\.bkp)?",
    parts={
        "what was saved": rf"{_OF_BACKUP}(?:\.bkp)?",
        "training_metadata.json, which is written last,": r"training_metadata\.json(?:\.bkp)?",
    },
    follows=_OF_BACKUP,
    sidecar="keras-backup",
)

# What people write as the template of ModelCheckpoint: {epoch:02d}-{val_loss:.2f}. A number without a name is called `metric`.
KERAS = Layout(
    name="keras",
    title="Keras, Synalinks",
    entry=(
        rf"(?P<prefix>(?:.*?[-_.])??)(?P<epoch>\d+)-(?P<value>-?\d+\.\d+){_SAVED}",
        rf".*=.*{_SAVED}",
        r"(?P<prefix>(?:.*?[-_.])??)(?<!\d\.)(?P<epoch>\d+)\.(?:keras|weights\.h5|program\.json|variables\.json)",
    ),
    pairs=True,
    guess=True,
    sidecar="keras",
)
# Keras 2: a template without an extension is a directory in TensorFlow's format.
SAVED_MODEL = Layout(
    name="keras-directory",
    title="Keras 2, a directory",
    entry=(r"(?P<prefix>(?:.*?[-_.])??)(?P<epoch>\d{1,6})(?:-(?P<value>-?\d+\.\d+))?(?:\.(?:tf|keras))?",),
    directory=True,
    inside=r"saved_model\.pb|keras_metadata\.pb",
    needs={"saved_model.pb": r"saved_model\.pb", "variables": r"variables"},
    ranks=False,
    check="structure",
)

# tensorflow/python/checkpoint/checkpoint_management.py. What keep_checkpoint_every_n_hours kept is not in the text file.
TENSORFLOW = Layout(
    name="tensorflow",
    title="TensorFlow",
    entry=(
        rf"(?P<stem>(?P<prefix>.+)-(?P<step>\d+)){_PARTS}",
        rf"(?P<stem>(?P<prefix>(?:.*?[-_.])??)(?<!\d\.)(?P<epoch>\d+)(?:-(?P<value>-?\d+\.\d+))?\.(?:ckpt|tf|weights)){_PARTS}",
        rf"(?!variables\.)(?P<stem>(?P<prefix>.+?)){_PARTS}",  # a SavedModel's variables are no state
    ),
    unit=("prefix", "step", "epoch", "value"),
    main=r".*\.index",
    prefix_path=True,
    proof=r".*\.data-\d{5}-of-\d{5}",
    parts={"its .index file": r".*\.index"},
    unfinished=(r"(?P<prefix>.+?)(?:-(?P<step>\d+))?_temp",),
    unfinished_inside=r"part-.*",
    check="structure",
    pointers=(Pointer(name=r"checkpoint", format="tf"),),
)

LAYOUTS = (TENSORFLOW, BACKUP, SAVED_MODEL, KERAS)
