"""What a small file says of checkpoints, and which of the numbers in a record measure something. PURE."""
# ruff: noqa: SIM905  # a table of words is easier to read and to extend without quotes

from __future__ import annotations

import math
from typing import Any

from ckptrun.model import Noun

_MOST_METRICS = 64
# What is written beside metrics into the same records and measures nothing that could be better or worse.
_NO_METRICS = frozenset(
    "step epoch batch iteration iterations global_step timestamp time date pid training_iteration trial_id total_flos time_total_s"
    " time_this_iter_s iterations_since_restore time_since_restore should_checkpoint done learning_rate lr dur unixtime n_updates"
    " total_timesteps seed".split()
)
_NO_METRIC_ENDS = ("_runtime", "_per_second", "_best", "_steps", "_samples", "_batch_count")
_NO_METRIC_STARTS = ("lr/", "lr-", "time", "config/")


class Facts(Noun, frozen=True, kw_only=True):
    """What a file says of one checkpoint, or of all (`by_step`, `by_epoch`, `by_name`); `best` is the name of the best.

    `as_of` is a log: of a checkpoint it says what was measured last before it, and after the one before.
    """

    step: int | None = None
    epoch: float | None = None
    metrics: dict[str, float] = {}
    temporary: bool = False  # the framework removes it when the next one is saved
    by_step: dict[int, Facts] = {}
    by_epoch: dict[int, Facts] = {}
    by_name: dict[str, Facts] = {}
    as_of: dict[int, Facts] = {}
    best: str = ""


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
    return last in _NO_METRICS or last.endswith(_NO_METRIC_ENDS) or key.startswith(_NO_METRIC_STARTS)


def whole(value: object) -> int | None:
    """A count, None if it is none."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value == int(value) else None


def counted(record: dict[str, Any]) -> Facts:
    """A record's metrics, with the step and epoch that stand beside them."""
    steps = (whole(record.get(key)) for key in ("global_step", "step", "training_iteration"))
    return Facts(
        step=next((step for step in steps if step is not None), None),
        epoch=whole(record.get("epoch")),
        metrics=metrics(record),
    )
