"""What frameworks write about their checkpoints into small files: metrics, epochs, which one is best. PURE: text in, facts out.

Each row names the file, relative to the checkpoint or to the directory that holds it, and the function that reads it. A text that cannot
be understood says nothing: it is no reason to call a checkpoint broken.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from ckptrun.layouts import records, tables
from ckptrun.layouts.facts import Facts
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LARGEST = 64 << 20  # bytes: log_history of a long training


class Sidecar(Noun, frozen=True, kw_only=True):
    """Where a layout's facts stand and how they are read. `newest`: in a file inside the newest checkpoint that speaks of all."""

    read: Callable[[bytes], Facts]
    inside: str = ""  # path in each checkpoint that is a directory
    part: str = ""  # of one that is several files: the ending of the one to read
    needs: str = ""  # a name inside without which nobody looks for it
    beside: tuple[str, ...] = ()  # paths from the directory that holds the checkpoints; the first that is there
    newest: bool = False


_LOGS = tuple(
    f"{where}{name}" for where in ("", "../") for name in ("training.log", "log.csv", "history.csv")
)  # CSVLogger's

SIDECARS = {
    "orbax": Sidecar(read=records.orbax, inside="metrics/metrics", needs="metrics"),
    "transformers": Sidecar(read=records.transformers, inside="trainer_state.json", newest=True),
    "levanter": Sidecar(read=records.levanter, inside="metadata.json", needs="metadata.json"),
    "olmo": Sidecar(read=records.levanter, inside=".metadata.json", needs=".metadata.json"),
    "keras-backup": Sidecar(read=records.keras_backup, part="training_metadata.json"),
    "spacy": Sidecar(read=records.spacy, inside="meta.json", needs="meta.json"),
    "skorch": Sidecar(read=records.skorch, part="history.json"),
    "ray": Sidecar(read=records.ray, beside=("checkpoint_manager_snapshot.json", "result.json", "progress.csv")),
    "ultralytics": Sidecar(read=tables.ultralytics, beside=("../results.csv", "results.csv")),
    "timm": Sidecar(read=lambda data: tables.by_epoch(data, 0), beside=("summary.csv",)),
    "keras": Sidecar(read=lambda data: tables.by_epoch(data, -1), beside=_LOGS),
    "lightning": Sidecar(read=tables.lightning, beside=("../metrics.csv", "metrics.csv")),
    "sb3": Sidecar(read=tables.progress, beside=("progress.csv", "../progress.csv")),
    "gomlx": Sidecar(read=records.gomlx, beside=("training_plot_points.json",)),
    "speechbrain": Sidecar(read=records.speechbrain, inside="CKPT.yaml", needs="CKPT.yaml"),
}


def facts_of(
    all_of_them: Facts, *, name: str, step: int | None, epoch: float | None, after: int | None = None
) -> Iterable[Facts]:
    """What a file that speaks of several says of one of them, which was saved `after` another."""
    if name in all_of_them.by_name:
        yield all_of_them.by_name[name]
    if step is not None and step in all_of_them.by_step:
        yield all_of_them.by_step[step]
    if epoch is not None and epoch == int(epoch) and int(epoch) in all_of_them.by_epoch:
        yield all_of_them.by_epoch[int(epoch)]
    if step is not None and all_of_them.as_of:
        yield _as_of(all_of_them.as_of, step, after)


def _as_of(log: dict[int, Facts], step: int, after: int | None) -> Facts:
    steps = sorted(log)
    first = 0 if after is None else bisect.bisect_right(steps, after)
    found: dict[str, float] = {}
    for each in steps[first : bisect.bisect_right(steps, step)]:
        found.update(log[each].metrics)
    return Facts(metrics=found)
