"""Without ckptrun: which checkpoint in ./checkpoints to resume from. A small scan of our own names, by manifest and sizes."""

from __future__ import annotations

import os

from ckptrun import names
from ckptrun.client.notify import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGEST_MANIFEST = 64 << 20  # bytes


class Found:
    """A checkpoint to resume from."""

    __slots__ = ("epoch", "path", "step")

    def __init__(self, path: str, step: int | None, epoch: float | None) -> None:
        self.path = path
        self.step = step
        self.epoch = epoch


def newest(directory: str) -> Found | None:
    """The complete checkpoint of the highest step, then attempt, then time. What is passed over is said.

    Raises:
        OSError: a directory or manifest cannot be read: it may be whole, so that starting from nothing would be wrong.
    """
    candidates = [_read(os.path.join(directory, name)) for name in _names(directory) if name.startswith(names.STEP_PREFIX)]
    whole = [item for item in candidates if item is not None]
    _remark_unfinished(directory)
    if candidates and not whole:
        say(f"none of {len(candidates)} checkpoints in {directory} is whole: starting from the beginning")
    best = max(whole, key=lambda item: item[0], default=None)
    return best[1] if best else None


def read(path: str) -> dict[str, Any]:
    """The manifest in `path`, with every file of it there and of its size.

    Raises:
        ValueError: it is not whole; the sentence says why.
        OSError: it cannot be read.
    """
    import json  # noqa: PLC0415  # only where there is something to resume from

    try:
        if os.stat(os.path.join(path, names.MANIFEST)).st_size > _LARGEST_MANIFEST:
            raise ValueError(f"{names.MANIFEST} is too large")
        with open(os.path.join(path, names.MANIFEST), encoding="utf-8") as file:
            found = json.load(file)
        _check(found, path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ValueError(f"{error.filename} is missing") from error
    except RecursionError as error:
        raise ValueError(f"{names.MANIFEST} is not a manifest") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{names.MANIFEST} lacks something: {error}") from error
    return dict(found)


def _read(path: str) -> tuple[tuple[int, int, str], Found] | None:
    try:
        found = read(path)
        step, epoch = found.get("step"), found.get("epoch")
        key = (-1 if step is None else int(step), int(found.get("attempt", 0)), str(found["created"]))
    except (ValueError, TypeError) as error:
        say(f"{path} is not used: {error}")
        return None
    return key, Found(path, step, epoch)


def _check(found: dict[str, Any], path: str) -> None:
    if found["format"] != names.FORMAT:
        raise ValueError(f"format {found['format']} is not the one this ckptrun knows ({names.FORMAT})")
    for entry in found["files"]:
        name = unescape(entry["path"])
        if os.path.isabs(name) or ".." in name.split("/"):
            raise ValueError(f"{name} lies outside of it")
        size = os.stat(os.path.join(path, name)).st_size
        if size != entry["size"]:
            raise ValueError(f"{name} has {size} bytes instead of {entry['size']}")


def unescape(name: str) -> str:
    r"""The name of a file as the system knows it, from the manifest's form of it: `\\` and `\xNN`."""
    if "\\" not in name:
        return name
    raw = name.encode("utf-8").split(b"\\\\")
    return b"\\".join(_bytes(part) for part in raw).decode("utf-8", "surrogateescape")


def _bytes(part: bytes) -> bytes:
    first, *escaped = part.split(b"\\x")
    return first + b"".join(bytes((int(piece[:2], 16),)) + piece[2:] for piece in escaped)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _remark_unfinished(directory: str) -> None:
    left = [name for name in _names(directory) if name.startswith(names.TMP_PREFIX)]
    if left:
        say(f"{len(left)} unfinished in {directory}: {names.TMP_PREFIX}* may be removed while nothing saves there")
