r"""The text of checkpoint.json, written with the standard library alone.

`checkpoints.manifest` reads it; a test holds both to one schema. JSON holds no bytes and no infinities: in names a backslash is
written `\\` and an undecodable byte `\xNN`; a metric that is not finite is null, with its value under "nonfinite".
"""

from __future__ import annotations

import time

from ckptrun import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ckptrun.client.contents import File

_INFINITY = float("inf")


def encode(files: Iterable[File], fields: Mapping[str, Any], *, unix: float, metrics: Mapping[str, Any] | None) -> bytes:
    """The manifest of `files`: one line for each top-level key and each file, so that people can read it too."""
    import json  # noqa: PLC0415  # 2 ms that are not needed before the first save

    finite, nonfinite = numbers(metrics or {})
    head = {"format": names.FORMAT, "created": now_text(unix), **fields, "metrics": finite, "nonfinite": nonfinite}
    lines = [f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}," for key, value in head.items()]
    rows = [json.dumps({"path": escape(f.path), "size": f.size, "xxh3_128": f.digest}) for f in files]
    body = ",\n  ".join(rows)
    return ("{\n" + "\n".join(lines) + f'\n "files": [\n  {body}\n ]\n}}\n').encode("ascii")


def numbers(metrics: Mapping[str, Any]) -> tuple[dict[str, float | None], dict[str, str]]:
    """Metrics as JSON can hold them, and beside them what it cannot. Whatever float() does not take is no metric.

    numpy's and torch's scalars are numbers to float().
    """
    finite: dict[str, float | None] = {}
    nonfinite: dict[str, str] = {}
    for key, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: torch, for more than one element
            continue
        name = str(key).encode("utf-8", "backslashreplace").decode()
        finite[name] = number if -_INFINITY < number < _INFINITY else None
        if finite[name] is None:
            nonfinite[name] = "nan" if number != number else "inf" if number > 0 else "-inf"  # noqa: PLR0124  # math.isnan, without the import
    return finite, nonfinite


def escape(name: str) -> str:
    r"""A file's name with `\\` for a backslash and `\xNN` for an undecodable byte."""
    if name.isascii() and "\\" not in name:
        return name
    return name.replace("\\", "\\\\").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def now_text(unix: float) -> str:
    """RFC 3339, UTC, milliseconds: `2026-11-20T18:11:47.250Z`."""
    milliseconds = round(unix * 1000)
    whole = time.gmtime(milliseconds // 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', whole)}.{milliseconds % 1000:03d}Z"
