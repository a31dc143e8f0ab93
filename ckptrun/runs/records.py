"""What was asked (run.yaml) and what became of each attempt (attempt.json), for people and for the next start."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from ckptrun import names
from ckptrun.model import AttemptRecord, Noun, Setting
from ckptrun.runs import documents, durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ckptrun.runs.paths import AttemptPaths, RunPaths

_HEAD = """\
# A run of ckptrun: what was asked for. Written at its first start, and again when --changed is given.
# Every value is JSON, which is YAML too. Each setting says where its value came from.
"""
_YAML_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")  # not texts to a YAML reader


class RunRecord(Noun, frozen=True, kw_only=True):
    """Body of run.yaml."""

    format: int = names.FORMAT
    version: str = names.VERSION  # of the ckptrun that wrote it
    run: str
    created: str = ""  # RFC 3339
    command: list[str] = []  # as given, templates unexpanded
    sweep: dict[str, Any] = {}  # the task's values, where it is one of a sweep
    cwd: str = ""
    parent: str = ""  # the checkpoint that it was branched from
    overrides: dict[
        str, str
    ] = {}  # settings that `ckptrun branch --set` gave it, as they were written; they win over the file
    tracker_ids: dict[str, str] = {}  # variables, e.g. WANDB_RUN_ID: one continuous run at the tracker
    settings: dict[str, Setting] = {}


def write_run(paths: RunPaths, record: RunRecord) -> None:
    """Put run.yaml in its place, durably.

    Raises:
        errors.IoFailure: and what was there is still there.
    """
    durable.replace(paths.run_yaml, encode_run(record))


def read_run(paths: RunPaths) -> RunRecord | None:
    """Body of run.yaml, None where there is none.

    Raises:
        documents.Unreadable: it is damaged, or of a later version.
        errors.IoFailure: it could not be read.
    """
    try:
        data = durable.read(paths.run_yaml)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise documents.unreadable_or_failed(error, paths.run_yaml) from error
    return decode_run(data, paths.run_yaml)


def write_attempt(attempt: AttemptPaths, record: AttemptRecord, *, sync: bool = True) -> None:
    """Put attempt.json in its place, durably unless `sync` is off.

    Raises:
        errors.IoFailure: and what was there is still there.
    """
    durable.replace(attempt.json, documents.encode(record), sync=sync)


def read_attempt(attempt: AttemptPaths) -> AttemptRecord | None:
    """Body of attempt.json, None where there is none (killed while it began).

    Raises:
        documents.Unreadable, errors.IoFailure: as `read_run`.
    """
    return documents.read(attempt.json, AttemptRecord)


def encode_run(record: RunRecord) -> bytes:
    """run.yaml: one key a line, settings indented by two, values in JSON that every YAML reader takes."""
    fields = documents.readable(msgspec.to_builtins(record))
    settings = fields.pop("settings")
    lines = [f"{key}: {_json(value)}\n" for key, value in fields.items()]
    inner = [f"  {_key(name)}: {_json(value)}\n" for name, value in settings.items()]
    return (_HEAD + "".join(lines) + ("settings:\n" + "".join(inner) if inner else "settings: {}\n")).encode()


def decode_run(data: bytes, path: str) -> RunRecord:
    """The record in run.yaml, read without a YAML library unless somebody has rewritten the file by hand.

    Raises:
        documents.Unreadable: as `read_run`.
    """
    if not data.strip(b"\0 \n"):
        raise documents.Unreadable(f"{durable.printable(path)} is empty")
    try:
        plain = documents.compact(_plain_tree(data))
    except ValueError:
        plain = _from_yaml(data, path)
    return documents.decode(plain, RunRecord, path)


def now_text(unix: float) -> str:
    """RFC 3339, UTC, milliseconds: `2026-11-20T18:11:47.250Z`."""
    milliseconds = round(unix * 1000)
    whole = time.gmtime(milliseconds // 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', whole)}.{milliseconds % 1000:03d}Z"


def _json(value: Any) -> str:
    text = documents.compact(value).decode()
    if text.isprintable():
        return text
    # YAML refuses some characters that JSON takes as they are; in JSON they can only stand inside a string.
    return "".join(f"\\u{ord(c):04x}" if not c.isprintable() and ord(c) < 1 << 16 else c for c in text)


def _key(name: str) -> str:
    letters = name.replace("_", "").replace("-", "").replace(".", "")
    plain = name.isascii() and letters.isalnum() and name[0].isalpha() and name.lower() not in _YAML_WORDS
    return name if plain else _json(name)


def _plain_tree(data: bytes) -> dict[str, Any]:
    """What `encode_run` wrote; ValueError for any other YAML."""
    tree: dict[str, Any] = {}
    inner: dict[str, Any] | None = None
    for line in data.decode().split("\n"):
        if not line or line.startswith("#"):
            continue
        target = tree
        if line.startswith("  "):
            if inner is None:
                raise ValueError(line)
            target, line = inner, line[2:]  # noqa: PLW2901  # the rest of the same line
        key, value = _key_and_value(line)
        if value is None:
            tree[key] = inner = {}
        else:
            target[key] = value[0]
    return tree


def _key_and_value(line: str) -> tuple[str, list[Any] | None]:
    if line.startswith('"'):
        end = line.index('": ') + 1
        key, rest = msgspec.json.decode(line[:end]), line[end + 1 :]
    else:
        key, colon, rest = line.partition(":")
        if not colon or not key or key != key.strip():
            raise ValueError(line)
    return str(key), [msgspec.json.decode(rest)] if rest.strip() else None


def _from_yaml(data: bytes, path: str) -> bytes:
    """Any YAML document as JSON."""
    import yaml  # noqa: PLC0415  # only for a file that was rewritten by hand

    try:
        return documents.compact(yaml.safe_load(data))
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        what = durable.printable(" ".join(str(error).split()))
        raise documents.Unreadable(f"{durable.printable(path)} is damaged ({what})") from error
