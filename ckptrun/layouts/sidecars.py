"""What frameworks write about their checkpoints into small files: metrics, epochs, which one is best. PURE: text in, facts out.

Each row names the file, relative to the checkpoint or to the directory that holds it, and the function that reads it. A text that cannot
be understood says nothing: it is no reason to call a checkpoint broken.
"""
# ruff: noqa: SIM905  # a table of words is easier to read and to extend without quotes

from __future__ import annotations

import csv
import math
import os
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LARGEST = 64 << 20  # bytes: log_history of a long training
_MOST_METRICS = 64
# What is written beside metrics into the same records and measures nothing that could be better or worse.
_NO_METRICS = frozenset(
    "step epoch batch iteration iterations global_step timestamp time date pid training_iteration trial_id total_flos time_total_s"
    " time_this_iter_s iterations_since_restore time_since_restore should_checkpoint done learning_rate lr".split()
)
_NO_METRIC_ENDS = ("_runtime", "_per_second", "_best", "_steps", "_samples", "_batch_count")


class Facts(Noun, frozen=True, kw_only=True):
    """What a file says of one checkpoint, or of all (`by_step`, `by_epoch`, `by_name`); `best` is the name of the best."""

    step: int | None = None
    epoch: float | None = None
    metrics: dict[str, float] = {}
    temporary: bool = False  # the framework removes it when the next one is saved
    by_step: dict[int, Facts] = {}
    by_epoch: dict[int, Facts] = {}
    by_name: dict[str, Facts] = {}
    best: str = ""


class Sidecar(Noun, frozen=True, kw_only=True):
    """Where a layout's facts stand and how they are read. `newest`: in a file inside the newest checkpoint that speaks of all."""

    read: Callable[[bytes], Facts]
    inside: str = ""  # path in each checkpoint that is a directory
    part: str = ""  # of one that is several files: the ending of the one to read
    needs: str = ""  # a name inside without which nobody looks for it
    beside: tuple[str, ...] = ()  # paths from the directory that holds the checkpoints; the first that is there
    newest: bool = False


def metrics(record: object) -> dict[str, float]:
    """The numbers of a record that measure something."""
    if not isinstance(record, dict):
        return {}
    found = {str(key): value for key, value in record.items() if _is_number(value) and not _is_none(str(key))}
    return {key: float(value) for key, value in list(found.items())[:_MOST_METRICS]}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_none(key: str) -> bool:
    last = key.lower().rpartition("/")[2]
    return last in _NO_METRICS or last.endswith(_NO_METRIC_ENDS) or key.startswith(("lr/", "time", "config/"))


def _json(data: bytes) -> Any:
    """The document, with NaN and Infinity as Python writes them; None if it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        import json  # noqa: PLC0415  # for the rare document only

        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return None


def _records(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value == int(value) else None


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


# --- one for each file -------------------------------------------------------------------------------------------------
def _orbax(data: bytes) -> Facts:
    return Facts(metrics=metrics(_json(data)))


def committed(data: bytes) -> bool:
    """Does Orbax's `_CHECKPOINT_METADATA` say when the step was committed?"""
    found = _json(data)
    return isinstance(found, dict) and bool(found.get("commit_timestamp_nsecs"))


def _transformers(data: bytes) -> Facts:
    found = _json(data)
    if not isinstance(found, dict):
        return Facts()
    by_step: dict[int, Facts] = {}
    for record in _records(found.get("log_history")):
        if (step := _whole(record.get("step"))) is not None:
            told = {**(by_step[step].metrics if step in by_step else {}), **metrics(record)}
            by_step[step] = Facts(metrics=told, epoch=_real(record.get("epoch")))
    best = found.get("best_model_checkpoint")
    return Facts(
        step=_whole(found.get("global_step")), by_step=by_step, best=os.path.basename(best) if isinstance(best, str) else ""
    )


def _levanter(data: bytes) -> Facts:
    found = _json(data)
    return Facts(temporary=isinstance(found, dict) and bool(found.get("is_temporary") or found.get("ephemeral")))


def _keras_backup(data: bytes) -> Facts:
    found = _json(data)
    return Facts(epoch=_whole(found.get("epoch")) if isinstance(found, dict) else None)


def _spacy(data: bytes) -> Facts:
    found = _json(data)
    return Facts(metrics=metrics(found.get("performance")) if isinstance(found, dict) else {})


def _skorch(data: bytes) -> Facts:
    """history.json is a list with one record for each epoch; the files are of its last."""
    rows = _records(_json(data))
    return Facts(epoch=_whole(rows[-1].get("epoch")), metrics=metrics(rows[-1])) if rows else Facts()


def _ray(data: bytes) -> Facts:
    """result.json has one JSON object in each line; checkpoint_manager_snapshot.json (Ray Train 2) has a list of them."""
    snapshot = _json(data)
    if isinstance(snapshot, dict) and "checkpoint_results" in snapshot:
        rows = _records(snapshot["checkpoint_results"])
        named = {str(row.get("checkpoint_dir_name")): Facts(metrics=metrics(row.get("metrics"))) for row in rows}
        return Facts(by_name=named)
    lines = [row for line in data.splitlines() if isinstance(row := _json(line), dict)]
    saved = [row for row in lines if row.get("checkpoint_dir_name") or row.get("should_checkpoint")]
    return Facts(by_name={_of_ray(row, number): Facts(metrics=metrics(row)) for number, row in enumerate(saved)})


def _of_ray(row: dict[str, Any], number: int) -> str:
    return str(row.get("checkpoint_dir_name") or f"checkpoint_{number:06d}")


def _table(data: bytes, first: int) -> Facts:
    """A CSV with a column `epoch` that begins at `first` where the files begin at 0."""
    rows = csv.DictReader(data.decode("utf-8", "replace").splitlines())
    by_epoch = {}
    for row in rows:
        numbers = {key.strip(): number for key, text in row.items() if key and (number := _number(text)) is not None}
        if (epoch := _whole(numbers.get("epoch"))) is not None:
            by_epoch[epoch - first] = Facts(metrics=metrics(numbers))
    return Facts(by_epoch=by_epoch)


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


SIDECARS = {
    "orbax": Sidecar(read=_orbax, inside="metrics/metrics", needs="metrics"),
    "transformers": Sidecar(read=_transformers, inside="trainer_state.json", newest=True),
    "levanter": Sidecar(read=_levanter, inside="metadata.json", needs="metadata.json"),
    "olmo": Sidecar(read=_levanter, inside=".metadata.json", needs=".metadata.json"),
    "keras-backup": Sidecar(read=_keras_backup, part="training_metadata.json"),
    "spacy": Sidecar(read=_spacy, inside="meta.json", needs="meta.json"),
    "skorch": Sidecar(read=_skorch, part="history.json"),
    "ray": Sidecar(read=_ray, beside=("checkpoint_manager_snapshot.json", "result.json")),
    "ultralytics": Sidecar(read=lambda data: _table(data, 1), beside=("../results.csv", "results.csv")),
    "timm": Sidecar(read=lambda data: _table(data, 0), beside=("summary.csv",)),
}


def facts_of(all_of_them: Facts, *, name: str, step: int | None, epoch: float | None) -> Iterable[Facts]:
    """What a file that speaks of several says of one of them."""
    if name in all_of_them.by_name:
        yield all_of_them.by_name[name]
    if step is not None and step in all_of_them.by_step:
        yield all_of_them.by_step[step]
    if epoch is not None and epoch == int(epoch) and int(epoch) in all_of_them.by_epoch:
        yield all_of_them.by_epoch[int(epoch)]
