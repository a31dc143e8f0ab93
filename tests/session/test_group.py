"""Several tasks of one attempt: real processes that believe to be the tasks of a Slurm step, on one machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest
import support
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 3
SCRIPT = """\
import os, sys, time
import ckptrun
rank = int(os.environ["SLURM_PROCID"])
run = ckptrun.attach(agree=None)
start = run.resume_step + 1 if run.resume_from else 0
print("start", start, "from", run.resume_from and run.resume_from.name, flush=True)
for step in range(start, 10**6):
    time.sleep(0.02)
    if run.should_save(step):
        with run.checkpoint(step) as folder:
            if rank == 0:
                (folder / "state").write_text(str(step))
        print("saved", step, flush=True)
    if run.should_stop:
        print("stopped", step, flush=True)
        break
    if os.path.exists(f"exit-{rank}"):
        sys.exit(int(open(f"exit-{rank}").read() or 0))
    if step == start + 2:
        print("works", flush=True)
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    support.write_files(tmp_path, {"train.py": SCRIPT})
    return tmp_path


def environment(rank: int, restart: int = 0) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": "77",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(SIZE),
        "SLURM_STEP_NUM_NODES": str(SIZE),
        "SLURM_PROCID": str(rank),
        "SLURMD_NODENAME": f"n{rank}",
        **({"SLURM_RESTART_COUNT": str(restart)} if restart else {}),
    }


@contextlib.contextmanager
def step(here: Path, *options: str, restart: int = 0, script: str = "train.py") -> Iterator[list[support.Started]]:
    """The tasks of a step, as srun would start them."""
    with contextlib.ExitStack() as stack:
        tasks = []
        for rank in range(SIZE):
            filled = [option.replace("{rank}", str(rank)) for option in options]
            words = ["train", "--run", "r", "--grace", "12s", *filled, script]  # a quarter of it is given to the news
            tasks.append(stack.enter_context(support.start_ckptrun(*words, cwd=here, env=environment(rank, restart))))
        yield tasks


def works(tasks: list[support.Started]) -> None:
    for each in tasks:
        each.wait_for("^works$")


def stopped(tasks: list[support.Started]) -> set[str]:
    return {each.wait_for(r"^stopped (\d+)$")[1] for each in tasks}


def codes(tasks: list[support.Started]) -> list[int]:
    return [each.finish() for each in tasks]


def attempt(here: Path, number: int = 1) -> dict:
    return json.loads((here / "runs" / "r" / "attempts" / f"{number:04d}" / "attempt.json").read_text())


def ledger(here: Path) -> list[dict]:
    return [json.loads(line) for line in (here / "runs" / "r" / "ledger.jsonl").read_text().splitlines()]


# --- what is asked of one is asked of all --------------------------------------------------------------------------------
@pytest.mark.parametrize("signalled", [(0, 1, 2), (0,), (2,)])
def test_a_signal_to_some_stops_all_after_the_same_step(here: Path, signalled: tuple[int, ...]) -> None:
    with step(here) as tasks:
        works(tasks)
        for rank in signalled:
            tasks[rank].signal(signal.SIGTERM)
        steps = stopped(tasks)
        assert codes(tasks) == [75] * SIZE
    assert len(steps) == 1, "the ranks parted"
    record = attempt(here)
    assert (record["outcome"], record["checkpoints"]) == ("preempted", [f"step-{int(steps.pop()):08d}"])
    assert [task["node"] for task in record["tasks"]] == ["n0", "n1", "n2"]
    assert not os.listdir(here / "runs" / "r" / "control" / "group")


def test_the_next_start_goes_on_everywhere_from_the_same_checkpoint(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        tasks[0].signal(signal.SIGUSR1)
        saved = int(stopped(tasks).pop())
        codes(tasks)
    with step(here, restart=1) as tasks:
        for each in tasks:
            each.wait_for(f"^start {saved + 1} from step-{saved:08d}$")
        tasks[1].signal(signal.SIGTERM)
        codes(tasks)
    assert attempt(here, 2)["resumed_step"] == saved


def test_a_save_from_outside_reaches_all_and_they_go_on(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        saved = support.run_ckptrun("save", "r", cwd=here)
        assert saved.returncode == 0, saved.stderr
        assert len({each.wait_for(r"^saved (\d+)$")[1] for each in tasks}) == 1
        again = support.run_ckptrun("save", "r", cwd=here)  # the first one was withdrawn everywhere
        assert again.returncode == 0, again.stderr
        assert len({each.wait_for(r"^saved (\d+)$")[1] for each in tasks}) == 1
        ended = support.run_ckptrun("stop", "r", cwd=here)
        assert ended.returncode == 0, ended.stderr
        assert codes(tasks) == [93] * SIZE


def test_a_plain_script_is_signalled_on_every_node(here: Path) -> None:
    plain = (
        "import signal, sys, time\n"
        "def stop(*_):\n    print('stopped', 1, flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGUSR1, stop)\nprint('works', flush=True)\ntime.sleep(99)\n"
    )
    support.write_files(here, {"plain.py": plain})
    with step(here, script="plain.py") as tasks:
        works(tasks)
        tasks[0].signal(signal.SIGTERM)
        stopped(tasks)
        assert codes(tasks) == [75] * SIZE
    delivered = [(line.get("task", 0), line["signal"]) for line in ledger(here) if line["event"] == "delivered"]
    assert sorted(delivered) == [(0, "SIGUSR1"), (1, "SIGUSR1"), (2, "SIGUSR1")]


def test_ctrl_c_twice_ends_all_at_once(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        for _ in range(2):
            for each in tasks:
                each.signal(signal.SIGINT)
            if _ == 0:
                tasks[0].wait_for("interrupt once more")
        assert codes(tasks) == [130] * SIZE
    assert attempt(here)["outcome"] == "stopped"


# --- a task that dies ----------------------------------------------------------------------------------------------------
def test_a_task_that_fails_ends_the_others_saved(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        (here / "exit-1").write_text("7")
        assert len(stopped([tasks[0], tasks[2]])) == 1
        assert codes(tasks) == [7] * SIZE
    record = attempt(here)
    assert (record["outcome"], record["blamed"], len(record["checkpoints"])) == ("failed", "n1", 1)
    assert "task 1 on n1 failed first" in record["why"]


def test_a_first_task_that_fails_ends_the_others(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        (here / "exit-0").write_text("7")
        assert codes(tasks) == [7] * SIZE
    assert (attempt(here)["outcome"], attempt(here)["blamed"]) == ("failed", "n0")


def test_a_task_that_is_done_earlier_is_waited_for_by_nobody_and_waits_for_all(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        (here / "exit-0").write_text("0")
        wait_until(lambda: any(line["event"] == "command_ended" for line in ledger(here)))
        assert attempt(here)["outcome"] == ""
        for rank in (1, 2):
            (here / f"exit-{rank}").write_text("0")
        assert codes(tasks) == [0] * SIZE
    assert attempt(here)["outcome"] == "completed"


def test_a_first_task_that_is_killed_takes_nobody_with_it_unsaved(here: Path) -> None:
    """Its lease stays held by a dead process, and the others hear from nobody: their own signals count."""
    with step(here) as tasks:
        works(tasks)
        tasks[0].kill_tree()
        for each in tasks[1:]:
            each.signal(signal.SIGTERM)
        for each in tasks[1:]:
            each.wait_for("the first task of this attempt does not answer")
        for each in tasks[1:]:
            each.kill_tree()  # these ranks wait for a step that nobody names


def test_a_takeover_ends_the_followers_too(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        lease = here / "runs" / "r" / "lease.json"
        body = json.loads(lease.read_text())
        lease.write_text(json.dumps({**body, "attempt": 2, "attempt_id": "another"}))
        for each in tasks[1:]:
            each.wait_for("the lease was taken over")
        for each in tasks:
            each.kill_tree()


# --- before anything is started ----------------------------------------------------------------------------------------------
def test_directories_that_are_not_the_same_are_found_out_before_anything_is_written(here: Path) -> None:
    with step(here, "--root", str(here / "private-{rank}")) as tasks:
        assert codes(tasks) == [73] * SIZE
        for each in tasks:
            assert "is not in one place for all its tasks" in each.text
    assert sorted(os.listdir(here)) == ["train.py"]


def test_a_complete_run_ends_all_with_0(here: Path) -> None:
    support.write_files(here, {"done.py": "import ckptrun\nckptrun.attach().done()\n"})
    with step(here, script="done.py") as tasks:
        assert codes(tasks) == [0] * SIZE
    with step(here, restart=1, script="done.py") as tasks:
        assert codes(tasks) == [0] * SIZE
    assert len(os.listdir(here / "runs" / "r" / "attempts")) == 1


def test_a_run_that_somebody_holds_ends_all_with_69(here: Path) -> None:
    with support.start_ckptrun("train", "--run", "r", "--", "sleep", "99", cwd=here) as holder:
        wait_until((here / "runs" / "r" / "attempts" / "0001" / "attempt.json").exists)
        with step(here, "--changed") as tasks:
            assert codes(tasks) == [69] * SIZE
        holder.kill_tree()


def test_a_stop_while_the_others_are_missing(here: Path) -> None:
    with support.start_ckptrun("train", "--run", "r", "train.py", cwd=here, env=environment(0)) as alone:
        wait_until((here / "runs" / "r" / "control" / "group").is_dir)
        alone.signal(signal.SIGTERM)
        assert alone.finish() == 75


def test_a_loop_in_place_restarts_everywhere(here: Path) -> None:
    fails_once = SCRIPT.replace("for step in", "if run.attempt == 2:\n    run.done()\n    sys.exit(0)\nfor step in")
    support.write_files(here, {"train.py": fails_once})
    with step(here, "--restart-by", "self") as tasks:
        works(tasks)
        (here / "exit-2").write_text("5")
        assert codes(tasks) == [0] * SIZE
        assert all(each.text.count("start ") == 2 for each in tasks)
    assert (attempt(here, 1)["outcome"], attempt(here, 2)["outcome"]) == ("failed", "completed")


# --- what is left on disk ------------------------------------------------------------------------------------------------------
def test_what_each_task_wrote_is_kept_and_nobody_else_may_look(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        group = here / "runs" / "r" / "control" / "group" / "77.0.0"
        assert stat.S_IMODE(group.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in group.iterdir()} == {0o600}
        tasks[0].signal(signal.SIGTERM)
        codes(tasks)
    for rank in (1, 2):
        log = here / "runs" / "r" / "attempts" / "0001" / "tasks" / f"{rank:04d}" / "log.txt"
        assert "works" in log.read_text()


def test_left_overs_of_a_start_that_was_killed_are_swept(here: Path) -> None:
    with step(here) as tasks:
        works(tasks)
        for each in tasks:
            each.kill_tree()
    assert os.listdir(here / "runs" / "r" / "control" / "group") == ["77.0.0"]
    with step(here, restart=1) as tasks:
        works(tasks)
        assert os.listdir(here / "runs" / "r" / "control" / "group") == ["77.0.1"]
        tasks[0].signal(signal.SIGTERM)
        codes(tasks)
