"""should_save and should_stop: the cadence, the end, requests; one rank and several."""

import os
import time

import pytest

from ckptrun import names


def yes(run, steps, **more):
    return [step for step in steps if run.should_save(step, **more)]


def test_every_20_steps_and_never_at_0(world):
    run = world.run("20")
    assert yes(run, range(65)) == [20, 40, 60]


def test_a_stride_over_the_multiple_is_saved_at_the_next_look(world):
    run = world.run("20")
    assert yes(run, range(0, 65, 7)) == [21, 42, 63]


def test_after_a_resume_the_rhythm_is_the_same(world):
    run = world.run("20", CKPTRUN_RESUME_FROM="/nowhere/step-00000025", CKPTRUN_RESUME_STEP=25)
    assert run.resume_step == 25
    assert yes(run, range(26, 65)) == [40, 60]


def test_the_last_step_is_saved_when_the_total_is_known(world):
    assert yes(world.run("20"), range(30), total=30) == [20, 29]
    run = world.run("20")
    run.progress(0, total=30)
    assert yes(run, range(30)) == [20, 29]


def test_epochs_are_remembered_across_a_resume(world):
    world.save(world.run(), 100, epoch=3)
    path = os.path.join(world.checkpoints, "step-00000100")
    run = world.run("2epochs", CKPTRUN_RESUME_FROM=path, CKPTRUN_RESUME_STEP=100)
    assert [step for step in range(101, 140) if run.should_save(step, epoch=step // 30)] == [120]  # epoch 4


def test_seconds(world, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run = world.run("10s")
    answers = []
    for step in range(40):
        now[0] += 1
        answers += [step] if run.should_save(step) else []
    assert answers == [9, 19, 29, 39]


def test_a_request_is_told_once(world):
    run = world.run()
    assert yes(run, range(3)) == []
    world.ask()
    assert yes(run, range(3, 9)) == [3]
    assert not run.should_stop


def test_a_request_without_a_client_save_is_not_told_again(world):
    """A script that saves with its own functions: told once, even while the file is still there."""
    world.ask(names.SAVE_AND_STOP)
    run = world.run()
    assert yes(run, range(5)) == [0]
    assert run.should_stop


def test_another_request_is_told_again(world):
    run = world.run()
    world.ask(id="r1")
    assert run.should_save(1)
    world.ask(id="r2")
    assert run.should_save(2)


def test_a_save_that_becomes_a_stop_is_another_request(world):
    run = world.run()
    world.ask(id="r1")
    assert run.should_save(1)
    world.save(run, 1)
    world.ask(names.SAVE_AND_STOP, id="r1")
    assert run.should_save(2)
    assert run.should_stop


def test_stop_is_true_only_after_the_script_was_told_to_save(world):
    run = world.run()
    assert not run.should_save(0)
    world.ask(names.SAVE_AND_STOP)
    assert not run.should_stop  # breaking here would lose the work since the last save
    assert run.should_save(1)
    assert run.should_stop
    world.save(run, 1)
    assert run.should_stop


def test_a_script_that_asks_only_should_stop_hears_of_it(world):
    run = world.run()
    assert not run.should_stop
    world.ask(names.SAVE_AND_STOP)
    assert run.should_stop
    world.save(run, 7)
    assert world.heard("checkpoint")[-1]["request"] == "r1"
    assert run.should_stop


def test_a_request_for_a_state_that_is_saved_is_answered_with_it(world):
    run = world.run("5")
    assert run.should_save(5)
    world.save(run, 5)
    world.ask(names.SAVE_AND_STOP)
    assert not run.should_save(5)
    assert run.should_stop
    assert world.heard("answered") == [{"answered": "r1", "checkpoint": "step-00000005"}]


def test_a_save_that_is_made_anyway_answers_a_request_that_came_meanwhile(world):
    run = world.run("5")
    assert run.should_save(5)
    world.ask(names.SAVE_AND_STOP)
    world.save(run, 5)
    assert world.heard("checkpoint")[-1]["request"] == "r1"
    assert run.should_stop
    assert not run.should_save(6)


def test_a_request_whose_save_failed_is_told_again(world, capfd):
    run = world.run()
    world.ask(names.SAVE_AND_STOP)
    assert run.should_save(1)
    with pytest.raises(RuntimeError, match="no"), run.checkpoint(1):
        raise RuntimeError("no")
    assert not run.should_stop
    assert run.should_save(2)
    world.save(run, 2)
    assert run.should_stop
    assert "step 1 was not saved" in capfd.readouterr().err


def test_a_request_left_by_a_killed_attempt_is_ignored(world):
    world.ask(names.SAVE_AND_STOP, attempt=7)
    run = world.run()
    assert yes(run, range(3)) == []
    assert not run.should_stop


def test_a_request_with_a_step_waits_for_it(world):
    world.ask(at_step=5)
    assert yes(world.run(), range(9)) == [5]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"id": 1}', b'{"id":"a","attempt":1,"action":"dance"}'])
def test_a_request_that_is_none_is_said_once(world, capfd, body):
    with open(world.request_file, "wb") as file:
        file.write(body)
    run = world.run()
    assert yes(run, range(5)) == []
    assert capfd.readouterr().err.count("not understood") == 1
    world.ask(id="later")
    assert run.should_save(6)


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_a_thing_in_the_place_of_the_request_does_not_block(world, kind, tmp_path):
    if kind == "fifo":
        os.mkfifo(world.request_file)
    elif kind == "directory":
        os.mkdir(world.request_file)
    else:
        (tmp_path / "planted").write_text("{}")
        os.symlink(tmp_path / "planted", world.request_file)
    assert yes(world.run(), range(3)) == []
    if kind == "directory":
        os.rmdir(world.request_file)


# --- several ranks -------------------------------------------------------------------------------------------------------
class Ranks:
    """Four Runs in lockstep; the collective is a mailbox that rank 0 fills first."""

    def __init__(self, world, every="1000", count=4):
        self.box = [0]
        self.runs = [self._attach(world, every, rank, count) for rank in range(count)]

    def _attach(self, world, every, rank, count):
        def agree(number):
            if rank == 0:
                self.box[0] = number
            return self.box[0]

        return world.run(every, agree=agree, RANK=rank, WORLD_SIZE=count)

    def should_save(self, step, before_rank=lambda rank: None):
        answers = []
        for rank, run in enumerate(self.runs):
            before_rank(rank)
            answers.append(run.should_save(step))
        return answers

    def should_stop(self):
        return [run.should_stop for run in self.runs]


def test_ranks_that_agree_decide_as_rank_0(world):
    ranks = Ranks(world)
    assert not any(ranks.should_save(0))
    answers = ranks.should_save(1, before_rank=lambda rank: world.ask(names.SAVE_AND_STOP) if rank == 1 else None)
    assert answers == [False] * 4  # rank 0 had looked before the request came: nobody obeys, though three could see it
    assert ranks.should_stop() == [False] * 4
    assert ranks.should_save(2) == [True] * 4
    assert ranks.should_stop() == [True] * 4
    assert ranks.should_save(3) == [False] * 4


def test_ranks_that_agree_save_by_rank_0s_clock(world, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ranks = Ranks(world, "10s")
    now[0] += 9
    assert ranks.should_save(0, before_rank=lambda rank: now.__setitem__(0, now[0] + 1)) == [True] * 4


def test_a_state_that_rank_0_has_saved_is_answered_for_all(world):
    ranks = Ranks(world, "5")
    assert ranks.should_save(5) == [True] * 4
    world.save(ranks.runs[0], 5)
    world.ask(names.SAVE_AND_STOP)
    assert ranks.should_save(5) == [False] * 4
    assert ranks.should_stop() == [True] * 4


def test_ranks_that_cannot_agree_say_so_and_obey_only_at_a_named_step(world, capfd):
    runs = [world.run(RANK=rank, WORLD_SIZE=2) for rank in range(2)]
    assert capfd.readouterr().err.count("2 ranks and no attach(agree=…)") == 1
    world.ask(names.SAVE_AND_STOP)
    assert [run.should_save(1) for run in runs] == [False, False]
    assert [run.should_stop for run in runs] == [False, False]
    world.ask(names.SAVE_AND_STOP, id="r2", at_step=5)
    for step in range(2, 5):
        assert [run.should_save(step) for run in runs] == [False, False]
    assert [run.should_save(5) for run in runs] == [True, True]
    assert [run.should_stop for run in runs] == [True, True]


def test_a_rank_that_saw_the_named_step_too_late_does_not_obey_alone(world, capfd):
    run = world.run(RANK=1, WORLD_SIZE=2)
    assert not run.should_save(7)
    world.ask(at_step=5)
    assert yes(run, range(8, 12)) == []
    assert "saw the request for step 5 after step 7" in capfd.readouterr().err
    assert world.heard("late") == [
        {"late": "r1", "step": 7, "text": "rank 1 saw the request for step 5 after step 7: not obeyed"}
    ]
    world.ask(at_step=14)  # so that all are told a later one
    assert yes(run, range(12, 16)) == [14]


def test_ranks_that_cannot_agree_do_not_save_by_time(world, capfd, monkeypatch):
    run = world.run("10s", RANK=0, WORLD_SIZE=2)
    assert "saving by time is off" in capfd.readouterr().err
    now = time.monotonic() + 1000
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert yes(run, range(3)) == []
    assert run.should_save(9, total=10)


# --- what is sent --------------------------------------------------------------------------------------------------------
def test_hello_and_at_most_one_step_a_second(world, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run = world.run()
    assert world.heard() == [
        {"hello": {"pid": os.getpid(), "goes_on": True, "rank": 0, "world": 1, "apart": False, "version": names.VERSION}}
    ]
    for step in range(1000):
        now[0] += 0.01
        run.should_save(step, total=1000, epoch=step // 100)
    steps = world.heard("step")
    assert 9 <= len(steps) <= 11
    assert steps[0] == {"step": 0, "total": 1000, "epoch": 0}


def test_a_full_socket_never_blocks(world):
    run = world.run()
    for _ in range(5000):
        run._notify.send(step=1)
    began = time.monotonic()
    world.save(run, 1)
    assert time.monotonic() - began < 5
    assert "step-00000001" in world.names()


def test_nobody_listens(world):
    world.socket.close()
    os.unlink(os.path.join(world.local, "notify"))
    world.save(world.run(), 1)
    assert "step-00000001" in world.names()


@pytest.mark.parametrize("step", [-1, 1.5, "7x", float("nan")])
def test_a_step_that_is_none(world, step):
    with pytest.raises(ValueError, match=r"step|invalid|convert"):
        world.run().should_save(step)


def test_numbers_of_numpy_are_taken(world):
    numpy = pytest.importorskip("numpy")
    run = world.run("20")
    assert [int(step) for step in numpy.arange(45) if run.should_save(step, epoch=numpy.float32(0.5))] == [20, 40]
