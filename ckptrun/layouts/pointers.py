"""What frameworks write into a small file, or a link, that names one of the checkpoints beside it: read, and written anew. PURE.

Names are entries of the directory, or what a group's files have in common (TensorFlow). An absolute path that was right before the run
was moved means the entry of its last name. What is written keeps the manner of what was there: absolute or relative, with or without a
newline at its end.

    link         the text of a symbolic link
    tag          a directory's name                                 DeepSpeed `latest`
    iteration    a number, or `release`                             Megatron-LM `latest_checkpointed_iteration.txt`
    path         an absolute path                                   mmengine `last_checkpoint`; Composer `.symlink`
    basename     a file's name                                      fvcore `last_checkpoint`
    tf           CheckpointState as a text proto                    TensorFlow `checkpoint`
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ckptrun.model import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LARGEST = 1 << 20  # bytes: TensorFlow lists every checkpoint
LINK = "link"
_ITERATION = re.compile(r"iter_(\d+)")
_FIELD = re.compile(r'^\s*(?P<key>\w+)\s*:\s*(?P<value>"(?:[^"\\]|\\.)*"|\S+)\s*$', re.MULTILINE)
_LATEST, _ALL, _TIMES = "model_checkpoint_path", "all_model_checkpoint_paths", "all_model_checkpoint_timestamps"


class Format(Noun, frozen=True, kw_only=True):
    """How one kind of pointer is read and written; `write` is given the old text, the new name and names that are gone."""

    read: Callable[[str], str]
    write: Callable[[str, str, Collection[str]], str]


def read(form: str, text: str) -> str:
    """The name of the checkpoint that the pointer leads to, "" if its text cannot be understood."""
    name = FORMATS[form].read(text)
    return "" if name in (".", "..") or "\0" in name else name


def rewritten(form: str, text: str, name: str, gone: Collection[str] = ()) -> str:
    """The text that leads to the checkpoint `name` instead, and no longer lists those that are `gone`."""
    return FORMATS[form].write(text, name, gone)


def _base(text: str) -> str:
    return os.path.basename(text.strip().rstrip("/"))


def _like(old: str, new: str) -> str:
    """`new` with the blanks that stood around the old text."""
    body = old.strip()
    before, after = old.split(body, 1) if body else ("", old)
    return f"{before}{new}{after}"


def _in_same_place(old: str, name: str, _gone: Collection[str]) -> str:
    return _like(old, os.path.join(os.path.dirname(old.strip().rstrip("/")), name))


def _alone(old: str, name: str, _gone: Collection[str]) -> str:
    return _like(old, name)


def _iteration(text: str) -> str:
    body = text.strip()
    if body == "release":
        return body
    return f"iter_{int(body):07d}" if body.isascii() and body.isdigit() and len(body) < 18 else ""


def _as_iteration(old: str, name: str, _gone: Collection[str]) -> str:
    found = _ITERATION.fullmatch(name)
    return _like(old, str(int(found[1])) if found else name)


# --- TensorFlow's text proto -------------------------------------------------------------------------------------------
def _tf_latest(text: str) -> str:
    return next((_base(_unquoted(found["value"])) for found in _FIELD.finditer(text) if found["key"] == _LATEST), "")


def _as_tf(old: str, name: str, gone: Collection[str]) -> str:
    """The same lines: the latest replaced, what is gone left out with its timestamp; anything else as it was."""
    fields = [(found["key"], found["value"]) for found in _FIELD.finditer(old)]
    paths = [_unquoted(value) for key, value in fields if key == _ALL]
    times = [value for key, value in fields if key == _TIMES]
    directory = next((os.path.dirname(_unquoted(value)) for key, value in fields if key == _LATEST), "")
    dropped = {i for i, path in enumerate(paths) if _base(path) in gone and _base(path) != name}
    kept = [path for i, path in enumerate(paths) if i not in dropped]
    lines = [f"{_LATEST}: {_quoted(os.path.join(directory, name))}"]
    lines += [f"{_ALL}: {_quoted(path)}" for path in kept]
    lines += [f"{_TIMES}: {value}" for i, value in enumerate(times) if i not in dropped]
    lines += [f"{key}: {value}" for key, value in fields if key not in (_LATEST, _ALL, _TIMES)]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text[1:-1])


FORMATS = {
    LINK: Format(read=_base, write=_in_same_place),
    "tag": Format(read=_base, write=_alone),
    "iteration": Format(read=_iteration, write=_as_iteration),
    "path": Format(read=_base, write=_in_same_place),
    "basename": Format(read=_base, write=_alone),
    "tf": Format(read=_tf_latest, write=_as_tf),
}
