"""The YAML file, as entries that know their line. Nothing in it is executed or constructed: only its nodes are looked at.

The text of a value is taken as written, so that `time_limit: 1:30:00`, `run: 0123` and `run: 2024-01-01` mean what they
say and not what YAML 1.1 makes of them (5400, 83 and a date).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from ckptrun import errors
from ckptrun.config import keys, sweep
from ckptrun.config.kinds import nearest
from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator

_NULL = "tag:yaml.org,2002:null"
_STANDARD = "tag:yaml.org,2002:"
_PLAIN = {_STANDARD + name for name in ("str", "int", "float", "bool", "timestamp")}


class Entry(Noun, frozen=True, kw_only=True):
    """One setting found in the file: its text (or texts), and where the value stands."""

    value: str | list[str]
    line: int
    column: int


def read(path: str, shown: str, problems: list[str], only: str = "") -> Iterator[tuple[str, Entry]]:
    """Each setting in the file by path (`restart.by`), as it comes; mistakes are added to `problems`, as `shown:line:column: …`.

    With `only`, that setting alone is looked at.

    Raises:
        ConfigError: the file cannot be read.
    """
    root = _compose(_text(path, shown, problems), shown, problems)
    lines: dict[str, int] = {}
    for name, key_node, value_node in _pairs(root, "", shown, problems, only):
        entry = _entry(name, key_node, value_node, shown, problems)
        if entry is None:
            continue
        if name in lines:
            problems.append(f"{_at(shown, key_node)}: {name} stands here again; it was set in line {lines[name]}")
        lines.setdefault(name, entry.line)
        yield name, entry


def section(path: str, shown: str, wanted: str, problems: list[str]) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys and values under `wanted`, one of `keys.SECTIONS`; mistakes are added to `problems`.

    Raises:
        ConfigError: the file cannot be read.
    """
    root = _compose(_text(path, shown, problems), shown, problems)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = next((value for key, value in pairs if isinstance(key, yaml.ScalarNode) and key.value == wanted), None)
    if found is None or (isinstance(found, yaml.ScalarNode) and found.tag == _NULL):
        return []
    if not isinstance(found, yaml.MappingNode):
        problems.append(f"{_at(shown, found)}: {wanted} takes lines like `partition: spot`")
        return []
    return [(key, value) for key, value in found.value if isinstance(key, yaml.ScalarNode)]


def _text(path: str, shown: str, problems: list[str]) -> str:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise errors.ConfigError([f"{shown} cannot be read: {error.strerror or error}"]) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problems.append(f"{shown}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8")
        return ""


def _compose(text: str, shown: str, problems: list[str]) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else shown
        problems.append(f"{where}: this is not YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        problems.append(f"{shown}:{line}:{column}: character {_character(error)!r} is not allowed in YAML")
    except RecursionError:
        problems.append(f"{shown}: it is nested too deeply")
    return None


def _character(error: yaml.reader.ReaderError) -> str:
    return error.character if isinstance(error.character, str) else chr(error.character)


def _pairs(
    node: yaml.Node | None, prefix: str, shown: str, problems: list[str], only: str = ""
) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Every key and value, those of known groups (`restart:`) by their dotted path."""
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == _NULL):
        return
    if not isinstance(node, yaml.MappingNode):
        where = f"{prefix[:-1]} takes" if prefix else "the file should hold"
        problems.append(f"{_at(shown, node)}: {where} lines like `{_example(prefix)}`")
        return
    for key_node, value_node in node.value:
        name = prefix + str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
        if (only and name != only) or (not prefix and name in keys.SECTIONS):
            continue
        if not prefix and name in keys.GROUPS:
            yield from _pairs(value_node, f"{name}.", shown, problems)
        else:
            yield name, key_node, value_node


def _entry(name: str, key_node: yaml.Node, node: yaml.Node, shown: str, problems: list[str]) -> Entry | None:
    key = keys.BY_PATH.get(name)
    if key is None:
        problems.append(f"{_at(shown, key_node)}: {_unknown(name)}")
        return None
    if key.why_not_in_file:
        problems.append(f"{_at(shown, key_node)}: {name} may not stand in a file: {key.why_not_in_file}")
        return None
    if key.tree and not isinstance(node, yaml.ScalarNode):
        return _tree(key_node, node, shown, problems)
    if key.tree and node.tag == _NULL:
        return None  # all of its lines are commented out
    items = node.value if isinstance(node, yaml.SequenceNode) and key.many else [node]
    wrong = next((item for item in items if not _is_text(item)), None)
    if wrong is not None:
        problems.append(f"{_at(shown, wrong)}: {name} {_wrong(wrong, many=key.many)}; write for instance `{key.line}`")
        return None
    texts = [item.value for item in items]
    mark = node.start_mark
    return Entry(value=texts if key.many else texts[0], line=key_node.start_mark.line + 1, column=mark.column + 1)


def _tree(key_node: yaml.Node, node: yaml.Node, shown: str, problems: list[str]) -> Entry | None:
    """A sweep; its mistakes have lines of their own."""
    found = sweep.Reader(shown, problems).read(node)
    if found is None:
        return None
    return Entry(value=found.text, line=key_node.start_mark.line + 1, column=node.start_mark.column + 1)


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN


def _wrong(node: yaml.Node, *, many: bool) -> str:
    if isinstance(node, yaml.ScalarNode):
        return (
            "has no value"
            if node.tag == _NULL
            else f"cannot be {node.tag.replace(_STANDARD, '!!')}: only plain values are read"
        )
    kind = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
    return f"takes {'texts' if many else 'one value'}, not {kind}"


def _unknown(name: str) -> str:
    if not name:
        return "a setting's name is one word"
    bare = name.rpartition(".")[2].replace("-", "_")
    meant = keys.KEYS.get(bare) or keys.BY_PATH.get(f"restart.{bare}")
    if meant is None:
        known = [path for path, key in keys.BY_PATH.items() if not key.why_not_in_file]
        return f"unknown setting {name!r}{nearest(name.replace('-', '_'), [*known, *keys.GROUPS, *keys.SECTIONS])}"
    if meant.why_not_in_file:
        return f"{name} may not stand in a file: {meant.why_not_in_file}"
    return f"unknown setting {name!r}; write it as `{meant.line}`"


def _example(prefix: str) -> str:
    return next(key.line for path, key in keys.BY_PATH.items() if path.startswith(prefix))


def _at(shown: str, node: yaml.Node) -> str:
    return f"{shown}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
