"""What a training wrote is sealed when its run ends, and nobody waits for it."""

import json
import os
import re

import psutil
import pytest
import support
from support import run_ckptrun, write_files

from ckptrun.policy import sealing

SCRIPT = """
import json, os, sys, zipfile
out = os.environ["CKPTRUN_OUTPUT_DIR"]
for step in map(int, sys.argv[3:]):
    path = f"{out}/checkpoint-{step}"
    os.mkdir(path)
    with zipfile.ZipFile(f"{path}/optimizer.pt", "w") as archive:
        archive.writestr("data", bytes(int(sys.argv[2])))
    open(f"{path}/trainer_state.json", "w").write("{}")
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("size", "comes_back", "expected"),
    [
        (0, False, sealing.NOW),
        (sealing.SMALL, False, sealing.NOW),
        (sealing.SMALL + 1, False, sealing.ASIDE),
        (1, True, sealing.LATER),
        (1 << 50, True, sealing.LATER),
    ],
)
def test_when(size, comes_back, expected):
    how, why = sealing.when(size, comes_back=comes_back)
    assert (how, bool(why)) == (expected, True)


@pytest.fixture
def here(tmp_path):
    write_files(tmp_path, {"script.py": SCRIPT})
    return tmp_path


def train(here, *args, code=0, options=()):
    done = run_ckptrun("train", "--run", "r", "--changed", *options, "script.py", *args, cwd=here)
    assert done.returncode == code, done.stderr
    return done.stderr


def seals(here, attempt=1):
    try:
        return sorted(os.listdir(here / f"runs/r/attempts/{attempt:04d}/.ckptrun/seals"))
    except FileNotFoundError:
        return []


def verified(here):
    return json.loads(run_ckptrun("verify", "--deep", "--json", "r", cwd=here).stdout)


def test_at_the_end_of_a_run(here):
    train(here, "0", "1000", "10", "20")
    assert len(seals(here)) == 2
    found = verified(here)
    assert (found["whole"], found["remarks"]) == (2, [])


def test_off(here):
    train(here, "0", "1000", "10", options=["--seal", "off"])
    assert seals(here) == []


def test_an_end_that_is_none_leaves_it_to_the_next(here):
    train(here, "1", "1000", "10", code=1)
    assert seals(here) == []
    train(here, "0", "1000", "20")
    assert (len(seals(here, 1)), len(seals(here, 2))) == (1, 1)


def test_what_cannot_be_sealed_changes_nothing(here):
    (here / "runs/r/attempts/0001").mkdir(parents=True)
    write_files(
        here,
        {"script.py": SCRIPT.replace("sys.exit", "open(f'{out}/../.ckptrun', 'w'); open(f'{out}/.ckptrun', 'w'); sys.exit")},
    )
    said = train(here, "0", "1000", "10")
    assert "warning: what the script wrote could not be sealed: " in said


def test_much_is_sealed_by_somebody_else(here):
    said = train(here, "0", str(sealing.SMALL + 1), "10")
    pid = int(re.search(r"in the background, process (\d+)", said)[1])
    support.wait_until(lambda: len(seals(here)) == 1 and not psutil.pid_exists(pid))
    assert verified(here)["remarks"] == []
