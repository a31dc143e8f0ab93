"""What a strategy sets: `short`, `normal` and `long`, FloydHub's three training regimes, one file each in configs/.

`normal` is the default, so that it stands here too: a start without a configuration file must not pay for YAML.
A test holds it equal to its file.
"""

from __future__ import annotations

import os

from ckptrun import errors
from ckptrun.config import keys
from ckptrun.model import Setting

NORMAL = {"every": "10m", "restart.max_failures": "3"}
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def settings(strategy: str) -> dict[str, Setting]:
    """The values that `strategy` sets, by name in Config, each with the source `strategy NAME`."""
    texts = NORMAL if strategy == "normal" else read(strategy)
    chosen = {}
    for path, text in texts.items():
        key = keys.BY_PATH[path]
        chosen[key.name] = Setting(value=key.kind(text, ""), source=f"strategy {strategy}")
    return chosen


def read(strategy: str) -> dict[str, str]:
    """What stands in the strategy's file, as text by path (`restart.max_failures`).

    Raises:
        ConfigError: the installed package is incomplete, or the file was edited into something wrong.
    """
    from ckptrun.config import file  # noqa: PLC0415  # yaml: for a file only

    path = file_of(strategy)
    problems: list[str] = []
    texts = {name: str(entry.value) for name, entry in file.read(path, path, problems)}
    if problems:
        raise errors.ConfigError(problems, "the strategies are part of ckptrun; install it again to restore them")
    return texts


def file_of(strategy: str) -> str:
    """The strategy's file: in the installed package, else (in a checkout) in configs/ beside it."""
    inside = os.path.join(_PACKAGE, "configs", f"{strategy}.yaml")
    return inside if os.path.exists(inside) else os.path.join(os.path.dirname(_PACKAGE), "configs", f"{strategy}.yaml")
