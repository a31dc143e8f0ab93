"""Where values are written, one layer each: options, environment, file, defaults. A value remembers where it was found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckptrun import names
from ckptrun.config import keys, kinds
from ckptrun.config.kinds import nearest
from ckptrun.model import Noun, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.config.keys import Key

    Layer = dict[str, Setting]
    Text = str | Sequence[str]
    Given = Mapping[str, Text]


class Place(Noun, frozen=True, kw_only=True):
    """Where a value was found: its source, what its mistakes begin with, how a right one would look, what paths start from."""

    source: str
    label: str
    example: str
    base: str


class Reader:
    """Reads the layers and collects all mistakes: those in options apart, because they end with another code."""

    def __init__(self, environ: Mapping[str, str], cwd: str) -> None:
        self.environ = environ
        self.cwd = cwd
        self.wrong_options: list[str] = []
        self.problems: list[str] = []

    def options(self, given: Given) -> Layer:
        """What stands on the command line."""
        layer: Layer = {}
        for name, text in given.items():
            key = keys.KEYS[name]
            example = f"{key.option} {key.example}"
            place = Place(source=f"option {key.option}", label=key.option, example=example, base=self.cwd)
            _add(layer, key, text, place, self.wrong_options)
        return layer

    def branched(self, given: Given) -> Layer:
        """What `ckptrun branch --set` wrote down for the run."""
        layer: Layer = {}
        for name, text in given.items():
            key = keys.KEYS.get(name)
            if key is None:
                self.problems.append(f"run.yaml: overrides: there is no setting {name!r}{nearest(name, keys.KEYS)}")
                continue
            place = Place(source="branch --set", label=f"branch --set {key.in_file}", example=key.example, base=self.cwd)
            _add(layer, key, text, place, self.problems)
        return layer

    def environment(self) -> Layer:
        """What stands in variables; an empty one counts as absent."""
        layer: Layer = {}
        weaker = {key.extra_variable: key for key in keys.KEYS.values() if key.extra_variable}
        ours = [name for name in self.environ if name.startswith(names.ENV_TRAIN_PREFIX) or name in weaker]
        for variable in sorted(ours, key=lambda name: (name in weaker, name)):
            text, key = self.environ[variable], keys.BY_VARIABLE.get(variable) or weaker.get(variable)
            where = f"environment {variable}"
            if key is None:
                self.problems.append(f"{where}: there is no such setting{nearest(variable, keys.BY_VARIABLE)}")
            elif text and key.name not in layer:
                place = Place(source=where, label=where, example=f"{variable}={key.example}", base=self.cwd)
                _add(layer, key, text, place, self.problems)
        return layer

    def file(self, asked: Setting | None, around: Setting | None, only: str = "") -> Layer:
        """The file that an option or a variable names, which must be there, else ./ckptrun.yaml, which need not.

        With `only`, that setting alone is looked at.
        """
        named = asked or around
        shown = str(named.value) if named else names.DEFAULT_CONFIG
        path = os.path.join(self.cwd, os.path.expanduser(shown))
        if os.path.lexists(path):
            layer = self._entries(path, shown, only)
            layer["config"] = Setting(value=shown, source=named.source if named else "default")
            return layer
        if named:
            label, problems = ("--config", self.wrong_options) if asked else (named.source, self.problems)
            problems.append(f"{label}: no such file: {shown!r}{_near_file(path)}")
        return {}

    def _entries(self, path: str, shown: str, only: str) -> Layer:
        from ckptrun.config import file  # noqa: PLC0415  # yaml costs 7 ms: only when there is a file

        layer: Layer = {}
        for name, entry in file.read(path, shown, self.problems, only):
            key = keys.BY_PATH[name]
            # Directories are relative to the file. (A mount's source, which may be a run too, is never made absolute here.)
            place = Place(
                source=f"{shown}:{entry.line}",
                label=f"{shown}:{entry.line}:{entry.column}: {name}",
                example=f"`{key.line}`",
                base=os.path.dirname(path),
            )
            _add(layer, key, entry.value, place, self.problems)
        return layer

    def defaults(self) -> Layer:
        """What nobody wrote."""
        layer = {name: Setting(value=_fresh(key.default), source="default") for name, key in keys.KEYS.items()}
        layer["root"] = Setting(value=os.path.join(self.cwd, names.DEFAULT_ROOT), source="default")
        return layer


def _add(layer: Layer, key: Key, given: Text, place: Place, problems: list[str]) -> None:
    try:
        layer[key.name] = Setting(value=_value(key, given, place.base), source=place.source)
    except ValueError as error:
        sentence = str(error)
        helped = "write" in sentence or "did you mean" in sentence
        problems.append(f"{place.label}: {sentence}" + ("" if helped else f"; write for instance {place.example}"))


def _value(key: Key, given: Text, base: str) -> Any:
    if not key.many:
        return key.kind(str(given), base)
    texts = kinds.arguments(given, base) if isinstance(given, str) else given
    return [key.kind(text, base) for text in texts]


def _fresh(default: Any) -> Any:
    return list(default) if isinstance(default, list) else default


def _near_file(path: str) -> str:
    folder, name = os.path.split(path)
    try:
        return nearest(name, os.listdir(folder))
    except OSError:
        return ""
