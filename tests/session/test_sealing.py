"""What a training wrote is sealed when its run ends, and nobody waits for it."""

import json
import os
import re
import shutil
import sys
import time

import psutil
import pytest
import support
from runmaker import Made
from support import run_ckptrun, write_files

from ckptrun import config
from ckptrun.policy import sealing
from ckptrun.session import scene as scenes
from ckptrun.session import sealing as sealers

SCRIPT = """
import json, os, sys, zipfile
out = os.environ["CKPTRUN_OUTPUT_DIR"]
for step in map(int, sys.argv[3:]):
    path = f"{out}/checkpoint-{step}"
    os.mkdir(path)
    with zipfile.ZipFile(f"{path}/pytorch_model.bin", "w") as archive:
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


# --- seal: each --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("unchanged", "age", "expected"),
    [
        (0, 0, False),
        (0, 3600, False),  # copied with its old times, and perhaps still being copied
        (10, 59, False),
        (10, 61, True),
        (59, -3600, False),  # the file server's clock is ahead
        (60, -3600, True),
        (60, 0, True),
    ],
)
def test_settled(unchanged, age, expected):
    assert sealing.settled(unchanged, age) is expected


@pytest.fixture
def sealer(tmp_path, monkeypatch):
    """One of a run with an attempt, for which everything is at rest at its second look."""
    monkeypatch.setattr(sealing, "SETTLED", 0.0)
    monkeypatch.setattr(sealers, "_SHARE", 0)
    made = Made(tmp_path / "runs", "r")
    with made.attempt():
        settings = config.load({"run": "r", "seal": "each", "root": str(tmp_path / "runs")}, {}, str(tmp_path))
        found = scenes.open_scene(
            settings, ["true"], environ=dict(os.environ), cwd=str(tmp_path), clock=time.time, json_out=False, verbosity=0
        )
        made = sealers.Sealer(found)
        yield made
        made.stop()


def wrote(sealer, step, size=1000):
    path = os.path.join(sealer._scene.paths.attempt(1).output, f"checkpoint-{step}")
    support.write_files(path, {"pytorch_model.bin": os.urandom(size), "trainer_state.json": "{}"})
    return path


def look(sealer):
    """Look until nothing is under way; what was complained about."""
    troubles = []
    sealer.look(troubles.append)
    while sealer._helper is not None:
        support.wait_until(lambda: sealer._helper._process.poll() is not None)
        sealer.look(troubles.append)
    return troubles


def test_each_is_sealed_at_rest_and_once(sealer, tmp_path):
    wrote(sealer, 10)
    assert (look(sealer), seals(tmp_path)) == ([], [])  # seen for the first time
    assert (look(sealer), len(seals(tmp_path))) == ([], 1)
    wrote(sealer, 20)
    look(sealer)
    assert (look(sealer), len(seals(tmp_path))) == ([], 2)
    assert sealer._due(time.monotonic()) == {}
    again = sealers.Sealer(sealer._scene)  # of another attempt
    look(again)
    assert again._due(time.monotonic()) == {}


def test_what_is_being_written_waits(sealer, tmp_path):
    path = wrote(sealer, 10)
    look(sealer)
    holder = "import sys, time; file = open(sys.argv[1], 'ab'); print('open', flush=True); time.sleep(600)"
    with support.Started([sys.executable, "-c", holder, f"{path}/pytorch_model.bin"], cwd=tmp_path) as writer:
        writer.wait_for("open")
        assert (look(sealer), seals(tmp_path)) == ([], [])
        writer.kill_tree()
    assert (look(sealer), len(seals(tmp_path))) == ([], 1)


def test_what_is_partial_is_left_alone(sealer, tmp_path):
    support.write_files(wrote(sealer, 10), {"checkpoint-is-incomplete.txt": ""})
    look(sealer)
    assert (look(sealer), seals(tmp_path)) == ([], [])


def test_a_killed_helper_is_followed_by_another(sealer, tmp_path):
    wrote(sealer, 10, size=1 << 24)
    look(sealer)
    sealer.look(pytest.fail)
    psutil.Process(sealer._helper._process.pid).kill()
    support.wait_until(lambda: sealer._helper._process.poll() is not None)
    assert (look(sealer), len(seals(tmp_path))) == ([], 1)


def test_what_was_changed_after_its_seal_is_said_once(sealer, tmp_path):
    path = wrote(sealer, 10)
    look(sealer), look(sealer)
    support.write_files(path, {"pytorch_model.bin": b"changed"})
    (said,) = look(sealer) + look(sealer)
    assert re.match(r"attempts/0001/output/checkpoint-10 is not sealed: it is not as it was sealed .*--again", said)
    assert (look(sealer), sealer._due(time.monotonic())) == ([], {})


def test_what_goes_meanwhile_is_no_trouble(sealer, tmp_path):
    path = wrote(sealer, 10)
    wrote(sealer, 20)
    look(sealer)
    due = sealer._due(time.monotonic())
    sealer._due = lambda _now: due
    shutil.rmtree(path)
    sealer.look(pytest.fail)
    support.wait_until(lambda: sealer._helper._process.poll() is not None)
    del sealer._due
    assert (look(sealer), len(seals(tmp_path))) == ([], 1)


def test_while_a_training_runs(here):
    """Sealed before its end, by somebody else; a kill of everything leaves it sealed, and the next end seals the rest."""
    wait = """
    os.utime(f"{path}/trainer_state.json", (1, 1)), os.utime(f"{path}/pytorch_model.bin", (1, 1))
    if step == 10:
        print("saved", flush=True)
        while os.path.exists("wait"):
            __import__("time").sleep(0.1)
sys.exit"""
    write_files(
        here, {"script.py": SCRIPT.replace("sys.exit", wait.lstrip("\n").replace("    os", "    os", 1)), "wait": ""}
    )
    args = ("train", "-v", "--run", "r", "--changed", "script.py", "0", "1000")
    write_files(here, {"ckptrun.yaml": "seal: each"})
    with support.start_ckptrun(*args, "10", cwd=here) as started:
        started.wait_for("saved")
        started.wait_for("sealed attempts/0001/output/checkpoint-10")
        assert len(seals(here)) == 1
        assert started.process.poll() is None
        started.kill_tree()
    (here / "wait").unlink()
    assert run_ckptrun(*args, "20", cwd=here).returncode == 0
    assert (len(seals(here, 1)), len(seals(here, 2))) == (1, 1)
    assert verified(here)["remarks"] == []
