"""Texts about keeping, and what they mean."""

import pytest

from ckptrun.config import keeping
from ckptrun.config.keeping import KeepBest, KeepEvery

RIGHT = [
    (keeping.count, "3", 3),
    (keeping.count, "-1", -1),
    (keeping.best, "3", KeepBest(count=3)),
    (keeping.best, "3:val_loss", KeepBest(count=3, metric="val_loss")),
    (keeping.best, "3:val/acc:max", KeepBest(count=3, metric="val/acc", mode="max")),
    (keeping.best, "3:eval:loss:min", KeepBest(count=3, metric="eval:loss", mode="min")),
    (keeping.best, "-1:max", KeepBest(count=-1, mode="max")),
    (keeping.every, "1000", KeepEvery(kind="steps", amount=1000, text="1000")),
    (keeping.every, "1000:greedy", KeepEvery(kind="steps", amount=1000, how="greedy", text="1000:greedy")),
    (keeping.every, "2h", KeepEvery(kind="seconds", amount=7200, text="2h")),
    (keeping.every, "1:30:00", KeepEvery(kind="seconds", amount=5400, text="1:30:00")),
    (keeping.every, "2epochs:closest", KeepEvery(kind="epochs", amount=2, how="closest", text="2epochs:closest")),
    (keeping.every, "-1", KeepEvery(kind="steps", amount=-1, text="-1")),
    (keeping.within, "2d", 172800.0),
    (keeping.within, "0", 0.0),
    (keeping.within, "-1", -1.0),
    (keeping.size, "10k", 10240),
    (keeping.size, "off", None),
    (keeping.size, "-1", None),
]
WRONG = [
    (keeping.count, "-2", "less than -1"),
    (keeping.count, "all", "0 = none, -1 = all"),
    (keeping.best, "many:loss", "3:val_loss"),
    (keeping.every, "1000:sometimes", ":greedy or :closest"),
    (keeping.every, "soon", "10m or 2epochs"),
    (keeping.within, "ever", "is not a duration"),
    (keeping.size, "much", "is not a size"),
    (keeping.size, "-5k", "less than nothing"),
]


@pytest.mark.parametrize(("kind", "text", "value"), RIGHT)
def test_what_is_meant(kind, text, value):
    assert kind(text, "") == value
    if isinstance(value, KeepBest | KeepEvery):
        assert kind(str(value), "") == value


@pytest.mark.parametrize(("kind", "text", "says"), WRONG)
def test_what_cannot_be_meant(kind, text, says):
    with pytest.raises(ValueError, match=says):
        kind(text, "")
