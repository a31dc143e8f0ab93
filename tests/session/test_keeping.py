"""A training that prunes itself: after each save, only when asked, and never what it or the next start needs."""

import json
import os

import pytest
import support
from crash.harness import strace
from support import ckptrun_argv, run_ckptrun, start_ckptrun, wait_until

from ckptrun import names
from ckptrun.checkpoints import emptying
from ckptrun.runs import ledger

CLIENT = """\
import sys, time
import ckptrun
run = ckptrun.attach()
start = run.resume_step + 1 if run.resume_from else 0
for step in range(start, int(sys.argv[1])):
    if run.should_save(step, metrics={"loss": abs(step - 3)}, total=int(sys.argv[1])):
        with run.checkpoint(step, metrics={"loss": abs(step - 3)}) as folder:
            (folder / "model.pt").write_bytes(b"m" * 100)
            (folder / "optimizer.pt").write_bytes(b"o" * 100)
        print("saved", step, flush=True)
    if len(sys.argv) > 2 and step == int(sys.argv[2]) and not run.resume_from:
        print("waits", flush=True)
        sys.stdin.read() if sys.argv[3:] == ["stdin"] else time.sleep(60)
    if run.should_stop:
        sys.exit(0)
run.done()
"""

PLAIN = """\
import os, sys, time
for number in (1, 2, 3, 4):
    path = os.path.join(sys.argv[1], f"epoch_{number}.pt")
    with open(path, "wb") as file:
        file.write(b"\\x80\\x02}q\\x00.")
    os.utime(path, (time.time() - 9000 + number * 60,) * 2)
"""


@pytest.fixture
def here(tmp_path):
    support.write_files(tmp_path, {"t.py": CLIENT})
    return tmp_path


def train(here, *args, **more):
    return run_ckptrun("train", "--run", "r", "--every", "1", *args, cwd=here, **more)


def steps(here):
    return sorted(int(name[-8:]) for name in os.listdir(here / "runs" / "r" / "checkpoints") if name.startswith("step-"))


def pruned(here):
    return [entry for entry in ledger.read(str(here / "runs" / "r" / "ledger.jsonl")) if entry["event"] == "pruned"]


def test_unasked_nothing_is_removed(here):
    assert train(here, "t.py", "8").returncode == 0
    assert steps(here) == [1, 2, 3, 4, 5, 6, 7]
    assert pruned(here) == []


def test_after_each_save_and_at_the_end(here):
    done = train(here, "--keep-last", "2", "--keep-every", "5", "-v", "t.py", "9")
    assert done.returncode == 0, done.stderr
    assert steps(here) == [3, 5, 7, 8]  # the best, a multiple, the last two
    assert "retention: removed checkpoints/step-0000000" in done.stderr
    gone = [path for entry in pruned(here) for path in entry["removed"]]
    assert sorted(gone) == [f"checkpoints/step-{step:08d}" for step in (1, 2, 4, 6)]
    assert all(entry["attempt"] == 1 for entry in pruned(here))
    wait_until(lambda: not os.listdir(here / "runs" / "r" / names.TRASH))


def test_while_it_runs(here):
    """It waits after step 6, and what is not kept is gone by then: not at the end only."""
    with start_ckptrun("train", "--run", "r", "--every", "1", "--keep-last", "1", "t.py", "9", "6", cwd=here) as started:
        started.wait_for("^waits")
        wait_until(lambda: steps(here) == [3, 6])
        wait_until(lambda: not os.listdir(here / "runs" / "r" / names.TRASH))
        assert run_ckptrun("stop", "r", "--now", "--no-wait", cwd=here).returncode == 0
        started.finish()


def test_the_file_says_so_and_the_settings_are_shown(here):
    support.write_files(here, {"ckptrun.yaml": "retention: {keep_last: 1, keep_best: 2:loss}\n"})
    assert train(here, "t.py", "7").returncode == 0
    assert steps(here) == [3, 4, 6]
    shown = run_ckptrun("show", "r", cwd=here).stdout
    assert "retention.keep_last\tckptrun.yaml:1\t1" in shown
    story = run_ckptrun("show", "r/1", cwd=here).stdout
    assert "removed: checkpoints/step-00000001" in story


def test_what_it_resumed_from_stays_while_it_runs(here):
    assert train(here, "t.py", "3", env={}).returncode == 0
    with start_ckptrun(
        "train", "--run", "r", "--changed", "--again", "--every", "1", "--keep-last", "1", "t.py", "9", cwd=here
    ) as started:
        assert started.finish() == 0, started.text
    assert steps(here) == [2, 3, 8]  # 2 is what attempt 2 resumed from, 3 the best
    resumed = json.loads(run_ckptrun("show", "r/2", "--json", cwd=here).stdout)["resumed_from"]
    assert resumed == "checkpoints/step-00000002"


def test_a_policy_that_keeps_nothing_starts_nothing(here):
    for args in (["--keep-last", "0"], ["--keep-best", "3:lr"]):
        done = train(here, *args, "t.py", "3")
        assert done.returncode == 2
        assert not os.path.exists(here / "runs")
    assert "nothing says what to keep" in train(here, "--keep-last", "0", "t.py", "3").stderr


def test_thin(here):
    assert train(here, "--keep-last", "-1", "--thin", "t.py", "7").returncode == 0
    whole = [os.path.exists(here / "runs" / "r" / "checkpoints" / f"step-{n:08d}" / "optimizer.pt") for n in steps(here)]
    assert whole == [False, False, False, False, True, True]
    assert train(here, "--again", "--changed", "t.py", "9").returncode == 0
    assert steps(here)[-1] == 8


def test_trouble_is_said_and_ends_nothing(here):
    support.write_files(here / "runs" / "r", {"trash": "x", ".ckptrun": "x", "checkpoints/.ckptrun": "x"})
    done = train(here, "--keep-last", "1", "t.py", "4")
    assert done.returncode == 0
    assert "warning: retention: step-00000001 could not be removed" in done.stderr
    assert steps(here) == [1, 2, 3]


# --- what lies in the trash when a training starts ---------------------------------------------------------------------
@pytest.fixture
def full_trash(here):
    """A run whose trash holds a few thousand files, and in whose checkpoints/ a killed save was left."""
    assert train(here, "t.py", "2").returncode == 0
    run = here / "runs" / "r"
    support.write_files(run, {f"trash/step-{number % 7}/{number}": "" for number in range(3000)})
    support.write_files(run, {"checkpoints/.tmp-step-00000009-a0001-0a1b2c3d/half": "1"})
    return run


def test_the_command_runs_before_the_trash_is_emptied(here, full_trash):
    trace = here / "trace"
    calls = [strace(), "-f", "-qq", "-y", "-o", trace, "-e", "trace=execve,unlinkat"]
    done = support.run([*calls, *ckptrun_argv("train", "--run", "r", "--again", "t.py", "2")], cwd=here)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: os.listdir(full_trash / "trash") == [])
    assert not [name for name in os.listdir(full_trash / "checkpoints") if name.startswith(names.TMP_PREFIX)]
    lines = trace.read_text(errors="replace").splitlines()
    started = next(
        number for number, line in enumerate(lines) if "execve" in line and "t.py" in line and "ckptrun" not in line
    )
    unlinked = [number for number, line in enumerate(lines) if "/trash" in line]
    assert len(unlinked) > 3000
    assert min(unlinked) > started


def test_two_may_empty_it_at_once(here, full_trash):
    others = [emptying.begin([full_trash / "trash"]) for _ in range(2)]
    assert train(here, "--again", "t.py", "2").returncode == 0
    assert [other.wait() for other in others] == [0, 0]
    wait_until(lambda: os.listdir(full_trash / "trash") == [])


@pytest.mark.parametrize("by", ["prune", "train"])
def test_seals_go_after_what_is_removed(here, by):
    support.write_files(here, {"plain.py": PLAIN})
    training = ("train", "--run", "p", "--again", "plain.py", "{output_dir}")
    done = run_ckptrun(*training, cwd=here)
    assert done.returncode == 0, done.stderr
    home = here / "runs" / "p" / "attempts" / "0001" / ".ckptrun" / "seals"
    assert len(os.listdir(home)) == 4
    args = ("prune", "p", "--yes", "--wait") if by == "prune" else ("train", "--seal", "off", *training[1:])
    done = run_ckptrun(args[0], "--keep-last", "1", *args[1:], cwd=here)
    assert done.returncode == 0, done.stderr
    left = {name[:10] for name in os.listdir(home)}
    assert left == {name for name in os.listdir(home.parent.parent / "output") if name.startswith("epoch")} != set()
    assert len(left) < 4
