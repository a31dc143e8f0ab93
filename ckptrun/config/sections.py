"""Parts of the file that belong to somebody else: `slurm:` holds options of sbatch, any of them, under their own names."""

from __future__ import annotations

import os

import yaml

from ckptrun import errors
from ckptrun.config import file

_HINT = "`slurm:` holds options of sbatch: slurm: {partition: spot, time: 4:00:00, requeue: yes}"


def slurm(shown: str | None, base: str) -> list[tuple[str, str]]:
    """(`--name`, text) for each option under `slurm:` in the file `shown`, none if there is no file; "" = no value.

    Raises:
        ConfigError: something in it is no option, each with its line.
    """
    path = os.path.join(base, os.path.expanduser(shown)) if shown else ""
    if not path or not os.path.exists(path):
        return []
    problems: list[str] = []
    found = [
        (f"--{key.value.replace('_', '-')}", _text(key.value, value, shown or "", problems))
        for key, value in file.section(path, shown or "", "slurm", problems)
    ]
    if problems:
        raise errors.ConfigError(problems, _HINT)
    return found


def _text(name: str, node: yaml.Node, shown: str, problems: list[str]) -> str:
    """The value as written; a list is joined with commas."""
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    wrong = next((item for item in items if not isinstance(item, yaml.ScalarNode)), None)
    if wrong is not None:
        mark = wrong.start_mark
        problems.append(f"{shown}:{mark.line + 1}:{mark.column + 1}: slurm.{name} takes one value or a list of values")
        return ""
    return ",".join(item.value for item in items)
