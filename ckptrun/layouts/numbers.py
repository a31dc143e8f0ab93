"""Numbers that stand in names: step, epoch, metrics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Numbers = tuple[int | None, float | None, dict[str, float]]

UNNAMED = "metric"  # what a number is called that has no name: `ckpt-01-0.90.keras`
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|inf)"
_PAIR = re.compile(rf"(?:^|[-_/, ])(?P<key>[A-Za-z][\w/]*?)=(?P<value>{_NUMBER})(?![\d.]*\d)")
_MOST_DIGITS = 18  # a longer one is no count
_NO_METRICS = frozenset(("consumed_samples", "model_name", "seed", "lr", "v"))  # NeMo's, and what people note in names


def of_name(name: str, groups: Mapping[str, str | None], *, pairs: bool = False, measures: Sequence[str] = ()) -> Numbers:
    """Step, epoch and metrics from the groups that an expression found, and, with `pairs`, from key=value in the name."""
    step: int | None = whole(groups.get("step"))
    epoch: float | None = whole(groups.get("epoch"))
    metrics = {measure: float(groups[f"m{place}"] or "nan") for place, measure in enumerate(measures)}
    if value := groups.get("value"):
        metrics[groups.get("metric") or UNNAMED] = float(value)
    if pairs:
        step, epoch = _from_pairs(name, step, epoch, metrics)
    return step, epoch, metrics


def whole(text: str | None) -> int | None:
    """A count; of `5.0`, which flax writes for floats, 5."""
    if not text or len(text) > _MOST_DIGITS:
        return None
    return int(float(text)) if "." in text else int(text)


def _from_pairs(
    name: str, step: int | None, epoch: float | None, metrics: dict[str, float]
) -> tuple[int | None, float | None]:
    for found in _PAIR.finditer(name):
        key, value = found["key"], found["value"]
        last = key.lower().rpartition("_")[2]
        if last in ("step", "epoch") and value.isdigit():
            step, epoch = (whole(value), epoch) if last == "step" else (step, whole(value))
        elif last not in ("step", "epoch") and key not in _NO_METRICS:
            metrics[key] = float(value)
    return step, epoch
