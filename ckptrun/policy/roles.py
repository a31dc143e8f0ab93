"""What each checkpoint is to a run: latest, best, resumed-from, pinned, pointer. PURE.

`best` needs a metric and a direction. When the user names none, one is chosen by the table below and the choice is part of the answer,
so that it can be shown; a metric whose direction nobody can know makes no checkpoint the best.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.model import Checkpoint, Noun

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

MIN, MAX, AUTO = "min", "max", "auto"
LATEST, BEST, PINNED, RESUMED_FROM, POINTER = "latest", "best", "pinned", "resumed-from", "pointer"

# A metric's last words say which way is better; the first row that has one of them decides.
_DIRECTIONS = (
    (
        MIN,
        (
            "loss",
            "error",
            "err",
            "perplexity",
            "ppl",
            "mse",
            "rmse",
            "mae",
            "mape",
            "nll",
            "bpc",
            "bpb",
            "wer",
            "cer",
            "fid",
            "kl",
        ),
    ),
    (MIN, ("cost", "energy", "distance", "divergence", "regret", "logloss", "eer", "ece")),
    (
        MAX,
        (
            "accuracy",
            "acc",
            "f1",
            "auc",
            "auroc",
            "ap",
            "map",
            "iou",
            "miou",
            "dice",
            "precision",
            "recall",
            "bleu",
            "rouge",
        ),
    ),
    (MAX, ("score", "reward", "return", "psnr", "ssim", "r2", "ndcg", "mrr", "top1", "top5", "winrate", "likelihood")),
)
_VALIDATION = ("val", "valid", "validation", "eval", "dev", "test")


class Best(Noun, frozen=True, kw_only=True):
    """The best checkpoint by a metric, or none; `why` is shown: "lowest loss", "no checkpoint has a metric"."""

    checkpoint: Checkpoint | None
    metric: str = ""
    why: str = ""


def direction(metric: str) -> str:
    """`min` or `max` for a metric's name, "" if the name does not tell."""
    parts = _parts(metric)
    for word in reversed(parts):
        for way, known in _DIRECTIONS:
            if word in known:
                return way
    return ""


def best(checkpoints: Iterable[Checkpoint], metric: str = "", mode: str = AUTO) -> Best:
    """The best complete (or thinned) checkpoint: what its framework calls so, unless a metric is named; else by a metric.

    Of equals the later one; NaN and infinities are never best.

    Raises:
        UsageError: no checkpoint has `metric`, or its direction cannot be known and `mode` is auto.
    """
    usable = [item for item in checkpoints if item.state == names.COMPLETE or item.thinned]
    if not metric and (called := _called_best(usable)):
        return Best(checkpoint=called, why="what its framework calls so")
    whole = [item for item in usable if item.metrics]
    known = sorted({name for item in whole for name in item.metrics})
    if not metric:
        metric = _chosen(known)
        if not metric:
            return Best(
                checkpoint=None, why="no metric whose better end is known" if known else "no checkpoint has a metric"
            )
    elif metric not in known:
        raise errors.UsageError(
            f"no complete checkpoint has a metric {metric!r}", f"there are: {', '.join(known) or 'none'}"
        )
    way = mode if mode != AUTO else direction(metric)
    if not way:
        raise errors.UsageError(
            f"whether a lower or a higher {metric!r} is better cannot be told by its name", "add --mode min or --mode max"
        )
    winner = _extreme(whole, metric, way)
    return Best(checkpoint=winner, metric=metric, why=f"{'lowest' if way == MIN else 'highest'} {metric}")


def marked(
    checkpoints: Sequence[Checkpoint],
    *,
    latest: Checkpoint | None = None,
    best: Checkpoint | None = None,
    resumed: Collection[str] = (),
) -> list[Checkpoint]:
    """The same checkpoints bearing their roles. `resumed` holds the paths of what attempts resumed from."""
    return [_with_roles(item, _roles(item, latest, best, resumed)) for item in checkpoints]


def latest(checkpoints: Sequence[Checkpoint]) -> Checkpoint | None:
    """The last complete one of checkpoints that are sorted oldest first."""
    return next((item for item in reversed(checkpoints) if item.state == names.COMPLETE), None)


def _roles(item: Checkpoint, latest: Checkpoint | None, best: Checkpoint | None, resumed: Collection[str]) -> list[str]:
    held = [LATEST] if item is latest else []
    if item is best:
        held.append(BEST)
    if item.pinned:
        held.append(PINNED)
    if item.path in resumed:
        held.append(RESUMED_FROM)
    if POINTER in item.called:
        held.append(POINTER)
    return held


def _with_roles(item: Checkpoint, roles: list[str]) -> Checkpoint:
    return item if roles == item.roles else msgspec.structs.replace(item, roles=roles)


def _called_best(complete: Sequence[Checkpoint]) -> Checkpoint | None:
    """What a framework calls its best; of several (one for each metric, or renewed) the latest."""
    return next((item for item in reversed(complete) if BEST in item.called), None)


def _extreme(whole: Iterable[Checkpoint], metric: str, way: str) -> Checkpoint | None:
    sign = -1.0 if way == MIN else 1.0
    winner, height = None, -math.inf
    for item in whole:
        value = item.metrics.get(metric)
        if value is not None and math.isfinite(value) and sign * value >= height:
            winner, height = item, sign * value
    return winner


def _chosen(known: list[str]) -> str:
    """Of the metrics whose direction is known: one of the validation before others, a loss before others, then by name."""
    telling = [name for name in known if direction(name)]
    return min(telling, key=lambda name: (not _validates(name), "loss" not in _parts(name), name), default="")


def _validates(metric: str) -> bool:
    return any(part in _VALIDATION for part in _parts(metric))


def _parts(metric: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in metric.lower()).split()
