"""Logs of a training that are tables: CSV with one row for each epoch, step or evaluation. PURE: bytes in, facts out."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import msgspec

from ckptrun.layouts.facts import Facts, counted, metrics, whole

if TYPE_CHECKING:
    from collections.abc import Iterator


def by_epoch(data: bytes, first: int) -> Facts:
    """A table with a column `epoch` that begins at `first` where the files begin at 0."""
    rows = {epoch: row for row in _rows(data) if (epoch := whole(row.get("epoch"))) is not None}
    return Facts(by_epoch={epoch - first: Facts(metrics=metrics(row)) for epoch, row in rows.items()})


def ultralytics(data: bytes) -> Facts:
    """results.csv, whose epochs begin at 1 since 8.1; its last row is of `last.pt`."""
    rows = [row for row in _rows(data) if whole(row.get("epoch")) is not None]
    if not rows:
        return Facts()
    found = by_epoch(data, 0 if any(row["epoch"] == 0 for row in rows) else 1)
    last = Facts(epoch=max(found.by_epoch), metrics=metrics(rows[-1]))
    return msgspec.structs.replace(found, by_name={"last.pt": last})


def lightning(data: bytes) -> Facts:
    """CSVLogger's metrics.csv: several rows for a step, counted from 0, where a checkpoint's name has the number of steps made."""
    merged: dict[int, dict[str, float]] = {}
    for row in _rows(data):
        if (step := whole(row.get("step"))) is not None:
            merged.setdefault(step, {}).update(metrics(row))
    older = {step: Facts(metrics=found) for step, found in merged.items()}  # before 1.6 names had the same number
    return Facts(by_step=older | {step + 1: facts for step, facts in older.items()})


def progress(data: bytes) -> Facts:
    """Stable-Baselines3's progress.csv: `time/total_timesteps`, and what is logged at some of them."""
    merged: dict[int, dict[str, float]] = {}
    for row in _rows(data):
        if (step := whole(row.get("time/total_timesteps"))) is not None:
            merged.setdefault(step, {}).update(metrics(row))
    return Facts(as_of={step: Facts(metrics=found) for step, found in merged.items()})


def ray(data: bytes) -> Facts:
    """progress.csv, where there is no result.json: the same, with `checkpoint_dir_name` as one of its columns."""
    named = {str(text.get("checkpoint_dir_name") or ""): counted(dict(_numbers(text))) for text in _texts(data)}
    return Facts(by_name={name: found for name, found in named.items() if name})


def _rows(data: bytes) -> Iterator[dict[str, float]]:
    """The numbers of each row, by the name of their column."""
    return (dict(_numbers(row)) for row in _texts(data))


def _texts(data: bytes) -> Iterator[dict[str, str]]:
    """Each row; what is no table ends it."""
    try:
        for row in csv.DictReader(data.decode("utf-8", "replace").splitlines()):
            yield {key.strip(): text for key, text in row.items() if key and isinstance(text, str)}
    except csv.Error:
        return


def _numbers(row: dict[str, str]) -> Iterator[tuple[str, float]]:
    for key, text in row.items():
        try:
            yield key, float(text)
        except ValueError:
            continue
