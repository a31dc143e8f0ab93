"""What was asked (run.yaml) and what became of each attempt (attempt.json), for people and for the next start."""

from __future__ import annotations

import time

import msgspec

from ckptrun import names
from ckptrun.model import AttemptRecord, Noun, Setting
from ckptrun.runs import documents, durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ckptrun.runs.paths import AttemptPaths, RunPaths

_HEAD = """\
# A run of ckptrun: what was asked for. Written at its first start, and again when --changed is given.
# Every value is JSON, which is YAML too. Each setting says where its value came from.
"""
_YAML_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")  # not texts to a YAML reader
_DAYS_TO_1970 = 719468  # from 0000-03-01, where the calendar of `from_text` begins


class RunRecord(Noun, frozen=True, kw_only=True):
    """Body of run.yaml."""

    format: int = names.FORMAT
    version: str = names.VERSION  # of the ckptrun that wrote it
    run: str
    created: str = ""  # RFC 3339
    command: list[str] = []  # as given, templates unexpanded
    cwd: str = ""
    parent: str = ""  # the checkpoint that it was branched from
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


def from_text(text: str) -> float:
    """Unix seconds of an RFC 3339 time.

    Raises:
        ValueError: the text is not one.
    """
    import re  # noqa: PLC0415  # loaded long ago: this only names it

    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not a time such as 2026-11-20T18:11:47Z")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(f"{text!r} is not a time: one of its numbers is too large")
    seconds = _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    return seconds - _offset(found[8]) + float(found[7] or 0)


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March."""
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - _DAYS_TO_1970


def _offset(zone: str) -> int:
    if zone in "Zz":
        return 0
    return (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)


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
