"""An average that is killed, or fails, while it is written: the old file or the new one has the name, and never a part."""

from __future__ import annotations

import os
import sys

import pytest
from crash.harness import Case

from ckptrun.state import reading, stats

WRITER = """
import sys, os
import numpy as np
from ckptrun import errors
from ckptrun.state import writing
block = np.ones(1 << 18, "f4").tobytes()
columns = [writing.Column(name=n, dtype="float32", shape=(1 << 18,), blocks=lambda: iter([block])) for n in "ab"]
os.access("/ckptrun: the imports are done", os.F_OK)
try:
    writing.write(sys.argv[1], columns, {"a": 1}, notes={}, force="--force" in sys.argv)
except errors.CkptrunError as error:
    sys.exit(f"{error.exit_code} {error.message}")
"""


@pytest.mark.parametrize(
    ("name", "force"), [("a.safetensors", ""), pytest.param("a.npz", "--force", marks=pytest.mark.long)]
)
def test_struck_at_any_call(tmp_path, name, force):
    """Every system call that changes something is killed, and fails with a full disk."""

    def prepare(root):
        if force:
            with open(os.path.join(root, name), "wb") as file:
                file.write(b"old")

    case = Case(prepare, lambda root: [sys.executable, "-c", WRITER, os.path.join(root, name), force])
    calls = case.calls(tmp_path)
    assert {call.name for call in calls} >= {"openat", "write", "fsync", "rename" if force else "link"}
    for call in calls:
        with case.killed(tmp_path, call) as struck:
            assert struck.fired
            assert holds(struck.root, name, force), call
        with case.failed(tmp_path, call, "ENOSPC") as struck:
            assert struck.fired
            assert holds(struck.root, name, force), call
            assert struck.silent or "no space left on the disk" in struck.stderr, call
            assert (struck.code == 1) == (not struck.silent), call


def holds(root, name, old):
    """The old file (or none, where there was none) or the whole new one."""
    path = os.path.join(root, name)
    if not os.path.exists(path):
        return not old
    with open(path, "rb") as file:
        if file.read(4) == b"old":
            return bool(old)
    return [stats.of(each).mean for each in reading.one(path).tensors] == [1.0, 1.0]
