"""What frameworks write about their checkpoints into JSON and other small texts. PURE: bytes in, facts out.

A text that cannot be understood says nothing: it is no reason to call a checkpoint broken.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from ckptrun.layouts import tables
from ckptrun.layouts.facts import Facts, counted, metrics, whole


def orbax(data: bytes) -> Facts:
    """metrics/metrics: one object."""
    return Facts(metrics=metrics(_json(data)))


def committed(data: bytes) -> bool:
    """Does Orbax's `_CHECKPOINT_METADATA` say when the step was committed?"""
    found = _json(data)
    return isinstance(found, dict) and bool(found.get("commit_timestamp_nsecs"))


def transformers(data: bytes) -> Facts:
    """trainer_state.json, whose log_history has the metrics of every step that was evaluated."""
    found = _json(data)
    if not isinstance(found, dict):
        return Facts()
    by_step: dict[int, Facts] = {}
    for record in _records(found.get("log_history")):
        if (step := whole(record.get("step"))) is not None:
            told = {**(by_step[step].metrics if step in by_step else {}), **metrics(record)}
            by_step[step] = Facts(metrics=told, epoch=_real(record.get("epoch")))
    best, step = found.get("best_model_checkpoint"), whole(found.get("global_step"))
    if step is not None:
        by_step.setdefault(step, Facts(epoch=_real(found.get("epoch"))))
    return Facts(step=step, by_step=by_step, best=os.path.basename(best) if isinstance(best, str) else "")


def levanter(data: bytes) -> Facts:
    """metadata.json, and OLMo-core's .metadata.json."""
    found = _json(data)
    return Facts(temporary=isinstance(found, dict) and bool(found.get("is_temporary") or found.get("ephemeral")))


def keras_backup(data: bytes) -> Facts:
    """training_metadata.json: the epoch to go on with."""
    found = _json(data)
    return Facts(epoch=whole(found.get("epoch")) if isinstance(found, dict) else None)


def spacy(data: bytes) -> Facts:
    """meta.json: `performance`."""
    found = _json(data)
    return Facts(metrics=metrics(found.get("performance")) if isinstance(found, dict) else {})


def skorch(data: bytes) -> Facts:
    """history.json is a list with one record for each epoch; the files are of its last."""
    rows = _records(_json(data))
    return Facts(epoch=whole(rows[-1].get("epoch")), metrics=metrics(rows[-1])) if rows else Facts()


def ray(data: bytes) -> Facts:
    """result.json has one JSON object in each line; checkpoint_manager_snapshot.json (Ray Train 2) has a list of them."""
    snapshot = _json(data)
    if isinstance(snapshot, dict) and "checkpoint_results" in snapshot:
        rows = _records(snapshot["checkpoint_results"])
        return Facts(by_name={str(row.get("checkpoint_dir_name")): _counted(row.get("metrics")) for row in rows})
    if data[:1] not in (b"{", b""):
        return tables.ray(data)
    lines = [row for line in data.splitlines() if isinstance(row := _json(line), dict)]
    saved = [row for row in lines if row.get("checkpoint_dir_name") or row.get("should_checkpoint")]
    return Facts(by_name={_of_ray(row, number): counted(row) for number, row in enumerate(saved)})


def _counted(record: object) -> Facts:
    return counted(record) if isinstance(record, dict) else Facts()


def _of_ray(row: dict[str, Any], number: int) -> str:
    return str(row.get("checkpoint_dir_name") or f"checkpoint_{number:06d}")


def gomlx(data: bytes) -> Facts:
    """training_plot_points.json: one point of one curve in each line (gomlx ui/plots, Point)."""
    by_step: dict[int, dict[str, float]] = {}
    for line in data.splitlines():
        point = _json(line)
        if isinstance(point, dict) and (step := whole(point.get("Step"))) is not None:
            by_step.setdefault(step, {}).update(metrics({str(point.get("MetricName")): point.get("Value")}))
    return Facts(as_of={step: Facts(metrics=found) for step, found in by_step.items()})


def speechbrain(data: bytes) -> Facts:
    """CKPT.yaml: `WER: 12.3`, a number in each line."""
    pairs = (line.partition(":") for line in data.decode("utf-8", "replace").splitlines() if ": " in line)
    record = {key.strip(): found for key, _, text in pairs if (found := _json(text.strip().encode())) is not None}
    return counted(record)


# --- texts -------------------------------------------------------------------------------------------------------------
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


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
