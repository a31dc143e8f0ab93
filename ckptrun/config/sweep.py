"""`sweep:` and `--sweep`: values for the tasks of an array, as a grid or as a list of points.

sweep:                  # a grid: every combination, the last name changes fastest, as in nested loops
  lr: [0.1, 0.01]
  width: [64, 128]
sweep: [{lr: 0.1, width: 64}, {lr: 0.2, width: 128}]        # or the points themselves
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from ckptrun import names
from ckptrun.model import Noun, Point, Sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 10_000  # tasks
_FORMS = "a list of values for each name, like {lr: [0.1, 0.01]}, or a list of points, like [{lr: 0.1}, {lr: 0.2}]"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_TRUTH = {"true": True, "True": True, "false": False, "False": False}
_TEXTS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp")}


class Value(Noun, frozen=True, kw_only=True):
    """One value: the text that fills a template, and what it is in JSON."""

    text: str
    value: Any

    @property
    def written(self) -> str:
        """As it can be written again, with the same meaning."""
        return _quoted(self.value) if isinstance(self.value, str) else self.text


class Reader:
    """Reads one sweep; every mistake becomes a line of `problems`, `PREFIX:LINE:COLUMN: …`."""

    def __init__(self, shown: str, problems: list[str]) -> None:
        self._shown, self._problems = shown, problems

    def read(self, node: yaml.Node) -> Sweep | None:
        """The sweep in `node`; None if there is none, or something is wrong with it."""
        before = len(self._problems)
        if isinstance(node, yaml.MappingNode):
            sweep = self._grid(node)
        elif isinstance(node, yaml.SequenceNode):
            sweep = self._points(node)
        else:
            self._wrong(node, f"sweep takes {_FORMS}")
            return None
        return sweep if sweep.points and len(self._problems) == before else None

    def _grid(self, node: yaml.MappingNode) -> Sweep:
        grid: dict[str, list[Value]] = {}
        for name, value in self._pairs(node):
            items = value.value if isinstance(value, yaml.SequenceNode) else [value]
            if not items:
                self._wrong(value, f"sweep.{name} has no values")
            grid[name] = [found for item in items if (found := self._value(name, item))]
        count = math.prod(len(values) for values in grid.values())
        if count > MOST:
            self._wrong(node, f"sweep has {count:,} combinations, and {MOST:,} are the most")
            return Sweep(text="")
        points = (
            [_point(dict(zip(grid, chosen, strict=True))) for chosen in itertools.product(*grid.values())] if grid else []
        )
        return Sweep(text=_mapping({name: f"[{_joined(values)}]" for name, values in grid.items()}), points=points)

    def _points(self, node: yaml.SequenceNode) -> Sweep:
        found: list[dict[str, Value]] = []
        for item in node.value:
            if not isinstance(item, yaml.MappingNode):
                self._wrong(item, "sweep: a point is written like {lr: 0.1, width: 64}")
                continue
            point = {name: value for name, inner in self._pairs(item) if (value := self._value(name, inner))}
            if found and point.keys() != found[0].keys():
                self._wrong(
                    item,
                    f"sweep: every point has the same names, the first one {', '.join(found[0])}, this one {', '.join(point)}",
                )
            found.append(point)
        if len(found) > MOST:
            self._wrong(node, f"sweep has {len(found):,} points, and {MOST:,} are the most")
        written = [_mapping({name: value.written for name, value in point.items()}) for point in found]
        return Sweep(text=f"[{', '.join(written)}]", points=[_point(point) for point in found])

    def _pairs(self, node: yaml.MappingNode) -> list[tuple[str, yaml.Node]]:
        found: dict[str, tuple[int, yaml.Node]] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if not _NAME.fullmatch(name):
                self._wrong(key, f"sweep: {name!r} is no name: letters, digits, '_', '.' and '-', beginning with a letter")
            elif name in names.TEMPLATES:
                self._wrong(key, f"sweep.{name}: {{{name}}} is filled in by ckptrun itself; choose another name")
            elif name in found:
                self._wrong(key, f"sweep.{name} stands here again; it was set in line {found[name][0]}")
            else:
                found[name] = (key.start_mark.line + 1, value)
        return [(name, value) for name, (_, value) in found.items()]

    def _value(self, name: str, node: yaml.Node) -> Value | None:
        if isinstance(node, yaml.ScalarNode) and "\0" in node.value:
            self._wrong(node, f"sweep.{name}: no command can hold a NUL")
            return None
        if isinstance(node, yaml.ScalarNode) and node.tag in _TEXTS:
            return Value(text=node.value, value=node.value if node.style else plain(node.value))
        if isinstance(node, yaml.ScalarNode):
            empty = node.tag.endswith(":null")
            self._wrong(
                node, f"sweep.{name} has {'no value' if empty else f'a value of kind {node.tag}: only plain ones are read'}"
            )
        else:
            self._wrong(
                node,
                f"sweep.{name}: each value is one text or number, not a {'mapping' if isinstance(node, yaml.MappingNode) else 'list'}",
            )
        return None

    def _wrong(self, node: yaml.Node, sentence: str) -> None:
        self._problems.append(f"{self._shown}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: {sentence}")


def plain(text: str) -> Any:
    """What a text without quotes is in JSON: a number, true or false, else itself; 1e-3 is a number here, other than in YAML 1.1."""
    if _WHOLE.fullmatch(text) and len(text) < 19:
        return int(text)
    leads_with_zero = text.lstrip("+-")[:1] == "0" and text.lstrip("+-")[1:2].isdigit()
    if _NUMBER.fullmatch(text) and not leads_with_zero and math.isfinite(float(text)):
        return float(text)
    return _TRUTH.get(text, text)


def parse(given: str) -> Sweep:
    """The sweep in a text, as it would stand in the file; around a grid on one line the braces may be left out.

    Raises:
        ValueError: with every mistake.
    """
    problems: list[str] = []
    bare = given.strip()
    grid = ":" in bare and "\n" not in bare and bare[0] not in "{["
    try:
        node = yaml.compose(f"{{{bare}}}" if grid else bare, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        what = getattr(error, "problem", None) or "it cannot be read"
        raise ValueError(f"{given!r} is not YAML: {what}; write it as {_FORMS}") from None
    sweep = Reader("", problems).read(node) if node is not None else None
    if problems:
        raise ValueError(
            f"{'; '.join(problem.split(': ', 1)[1] for problem in problems)}; write for instance 'lr: [0.1, 0.01]'"
        )
    if sweep is None:
        raise ValueError(f"{given!r} holds no values; write {_FORMS}")
    return sweep


def _quoted(text: str) -> str:
    """A text in double quotes, on one line; what YAML does not take, or reads as a break, is escaped."""
    json = msgspec.json.encode(text).decode()
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json)


def _point(values: dict[str, Value]) -> Point:
    return Point(
        texts={name: each.text for name, each in values.items()}, values={name: each.value for name, each in values.items()}
    )


def _mapping(written: dict[str, str]) -> str:
    return f"{{{', '.join(f'{name}: {value}' for name, value in written.items())}}}"


def _joined(values: Sequence[Value]) -> str:
    return ", ".join(value.written for value in values)
