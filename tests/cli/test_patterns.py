"""Names that only their owner can read: --pattern, or `patterns:` in the file, for every verb that takes a directory."""

from __future__ import annotations

import json
import os
import time

import pytest
from support import run_ckptrun, write_files

PATTERN = "w_e{epoch:02d}_l{loss:.2f}_fin.bin"
NAMES = [f"w_e0{epoch}_l0.{9 - epoch}0_fin.bin" for epoch in range(1, 5)]


@pytest.fixture
def here(tmp_path):
    write_files(tmp_path, {f"out/{name}": name * 99 for name in NAMES})
    hour_ago = time.time() - 3600
    for number, name in enumerate(NAMES):
        os.utime(tmp_path / "out" / name, (hour_ago, hour_ago + number))
    return tmp_path


def _prune(here, said):
    assert [each["name"] for each in said["remove"]] == NAMES[:2]


def _ls(here, said):
    (series,) = said["series"]
    assert [(each["epoch"], each["metrics"]) for each in series["checkpoints"]] == [
        (epoch, {"loss": round(0.9 - 0.1 * epoch, 1)}) for epoch in range(1, 5)
    ]


def _seal(here, said):
    assert [each["state"] for each in said["checkpoints"]] == ["sealed"] * 4


def _verify(here, said):
    assert said["checked"] == 4


def _show(here, said):
    assert said["checkpoint"]["name"] == NAMES[3]


def _backup(here, said):
    assert [each["name"] for each in said["backups"]] == [NAMES[3]]


def _diff(here, said):
    assert {"name": "loss", "a": 0.8, "b": 0.5} in said["metrics"]


def _pin(here, _):
    assert [each["pinned"] for each in listed(here)] == [False, True, False, False]


def listed(here):
    (series,) = json.loads(run_ckptrun("ls", "--pattern", PATTERN, "--json", "./out", cwd=here).stdout)["series"]
    return series["checkpoints"]


CASES = [
    (("ls", "--json", "./out"), _ls),
    (("prune", "--keep-last", "2", "--json", "./out"), _prune),
    (("prune", "--keep-best", "2", "--json", "./out", "--yes", "--wait"), _prune),
    (("seal", "--json", "./out"), _seal),
    (("verify", "--json", "./out"), _verify),
    (("show", "--json", "./out@best"), _show),
    (("show", "--json", "./out@best:loss"), _show),
    (("backup", "--json", "./out"), _backup),
    (("diff", "--json", "./out@1", "./out@latest"), _diff),
    (("pin", "./out@2"), _pin),
]


@pytest.mark.parametrize("where", ["option", "file"])
@pytest.mark.parametrize(("args", "check"), CASES, ids=lambda case: " ".join(case) if isinstance(case, tuple) else "")
def test_a_directory(here, args, check, where):
    if where == "file":
        write_files(here, {"ckptrun.yaml": f"patterns: ['{PATTERN}']"})
    else:
        args = (args[0], "--pattern", PATTERN, *args[1:])
    done = run_ckptrun(*args, cwd=here)
    assert done.returncode in (0, 1), done.stderr  # 1: a diff that differs
    check(here, json.loads(done.stdout) if done.stdout else None)


def test_without_it_they_are_nothing(here):
    assert json.loads(run_ckptrun("ls", "--json", "./out", cwd=here).stdout)["series"] == []


def test_the_option_wins_over_the_file(here):
    write_files(here, {"ckptrun.yaml": "patterns: ['other-{step}.bin']"})
    assert len(listed(here)) == 4


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("ls", "--pattern", "x.bin", "./out"), 2, "--pattern x.bin: it has no field"),
        (("prune", "--keep-last", "1", "--pattern", "x.bin", "./out"), 2, "--pattern: it has no field"),
        (("ls", "./out"), 78, "ckptrun.yaml:1:11: patterns: it has no field"),
        (("seal", "./out"), 78, "ckptrun.yaml:1:11: patterns: it has no field"),
    ],
)
def test_one_that_says_nothing(here, args, code, said):
    if "--pattern" not in args:
        write_files(here, {"ckptrun.yaml": "patterns: [x.bin]"})
    done = run_ckptrun(*args, cwd=here)
    assert done.returncode == code
    assert said in done.stderr
