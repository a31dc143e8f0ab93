"""What a user asks to be kept, and whether that can be meant. PURE; `policy.retention` decides by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors
from ckptrun.config import RETENTION
from ckptrun.config.keeping import KEEP, KeepBest, KeepEvery
from ckptrun.model import Checkpoint, Noun
from ckptrun.policy import roles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ckptrun.config import Config


class Policy(Noun, frozen=True, kw_only=True):
    """What to keep. The names are those of the settings without `keep_`."""

    last: int = 0
    first: int = 0
    best: list[KeepBest] = []
    every: list[KeepEvery] = []
    within: float = 0.0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    permanent: bool = False
    without_metric: str = KEEP
    max_bytes: int | None = None
    until_free: int | None = None
    thin: bool = False

    @property
    def keeps(self) -> bool:
        """Whether any rule keeps anything."""
        counts = (self.last, self.first, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        lists = (*(rule.count for rule in self.best), *(rule.amount for rule in self.every))
        return any(counts) or any(lists) or bool(self.within) or self.permanent

    @property
    def asks(self) -> bool:
        """Whether it asks for anything at all: without that nothing is ever removed."""
        return self.keeps or bool(self.max_bytes) or self.until_free is not None or self.thin


def of(config: Config) -> Policy:
    """The policy that a training's settings, or those of `prune`, ask for."""
    return policy_of((name, getattr(config, name)) for name in RETENTION)


def policy_of(settings: Iterable[tuple[str, object]]) -> Policy:
    """The policy in settings by their names in Config (`keep_last`)."""
    return msgspec.convert({name.removeprefix("keep_"): value for name, value in settings}, Policy)


def require(asked: Policy) -> None:
    """Return if the policy keeps something.

    Raises:
        UsageError: it says nothing, or keeps nothing; or nobody knows which end of a metric is better.
    """
    if not asked.asks:
        raise errors.UsageError(
            "nothing says what to keep, so that everything would go",
            "for instance --keep-last 3 --keep-best 2, or retention: {keep_last: 3} in ckptrun.yaml",
        )
    for rule in asked.best:
        if rule.count and rule.metric and rule.mode == roles.AUTO and not roles.direction(rule.metric):
            raise errors.UsageError(
                f"--keep-best {rule}: whether a lower or a higher {rule.metric!r} is better cannot be told by its name",
                f"--keep-best {rule}:min or --keep-best {rule}:max",
            )


def require_metrics(asked: Policy, found: Sequence[Checkpoint]) -> None:
    """Return if each metric that is asked for exists somewhere, or there are no metrics at all.

    Raises:
        UsageError: with the names that there are: a slip of the pen must not decide what goes.
    """
    known = sorted({name for item in found for name in item.metrics})
    for rule in asked.best:
        if rule.count and rule.metric and known and rule.metric not in known:
            raise errors.UsageError(
                f"--keep-best {rule}: no checkpoint has a metric {rule.metric!r}", f"there are: {', '.join(known)}"
            )
