"""What `--set key=value` means for a run that is branched from another: a setting, or a value in its command. PURE."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from ckptrun import config, errors, names
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.model import Setting

_NOT_SET = (
    "run",
    "root",
    "config",
    "sweep",
    "sweep_task",
    "quiet",
    "verbose",
)  # which run it is, and how one call is answered


class Plan(Noun, frozen=True, kw_only=True):
    """The new run's command, and its settings as texts by their name in Config."""

    command: list[str]
    overrides: dict[str, str] = {}


def plan(command: Sequence[str], values: Mapping[str, Any], asked: Sequence[str], cwd: str) -> Plan:
    """The command with a sweep's values filled in, those that are asked for in the place of the parent's; and the settings.

    Raises:
        UsageError: with every `key=value` that is not one, is unknown (the nearest name is told), or has a wrong value.
    """
    used = {name for name in values if any(f"{{{name}}}" in argument for argument in command)}
    used |= {name for argument in command for name in re.findall(r"\{([A-Za-z_][A-Za-z0-9_.-]*)\}", argument)} - set(
        names.TEMPLATES
    )
    texts = {name: _text(value) for name, value in values.items()}
    overrides: dict[str, str] = {}
    problems = []
    for each in asked:
        name, equals, text = each.partition("=")
        problem = _problem(name, text, used, set(values), cwd) if equals else f"{each!r} is not a setting; write key=value"
        if problem:
            problems.append(problem)
        elif name in used:
            texts[name] = text
        else:
            overrides[config.BY_PATH[name].name] = text
    if problems:
        raise errors.UsageError("\n       ".join(f"--set {problem}" for problem in problems))
    return Plan(
        command=[_filled(argument, {name: texts[name] for name in used & set(texts)}) for argument in command],
        overrides=overrides,
    )


def inherited(settings: Mapping[str, Setting]) -> dict[str, str]:
    """The settings that the parent was given on its command line, as texts: whoever starts the branch does not type them again."""
    told = {}
    for name, setting in settings.items():
        key = config.BY_PATH.get(name)
        if key and setting.source.startswith("option ") and key.name not in _NOT_SET and not key.not_in_file:
            told[key.name] = _written(setting.value)
    return told


def _written(value: Any) -> str:
    """A setting's value as it is written on a command line."""
    if isinstance(value, list):
        return shlex.join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _problem(name: str, text: str, used: set[str], values: set[str], cwd: str) -> str:
    """What is wrong with one of them, "" if nothing is."""
    if name in used:
        return ""
    if name in values:
        return f"{name}: the command does not hold {{{name}}}; give another command after --"
    key = config.BY_PATH.get(name)
    if key is None:
        known = [*config.BY_PATH, *used]
        return f"{name}: there is no such setting, and the command does not hold {{{name}}}{config.nearest(name, known)}"
    if key.name in _NOT_SET or key.not_in_file:
        return f"{name} cannot be set for a run: it is about one start only, or says which run it is"
    try:
        key.kind(text, cwd)
    except ValueError as error:
        return f"{name}: {error}"
    return ""


def _filled(argument: str, texts: Mapping[str, str]) -> str:
    for name, text in texts.items():
        argument = argument.replace(f"{{{name}}}", text)
    return argument


def _text(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
