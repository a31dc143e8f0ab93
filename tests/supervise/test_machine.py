"""The machine as histories of events: what happened when, and what was done about it. No process, no clock."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptrun import names
from ckptrun.model import Learned, Request
from ckptrun.supervise import events as ev
from ckptrun.supervise import machine
from ckptrun.supervise import state as states
from ckptrun.supervise.state import ENDING, KILLING, OVER, RUNNING, Rules, State

USR1, USR2, TERM, INT, HUP, QUIT, TSTP = (
    ev.Signalled(int(number))
    for number in (
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGTSTP,
    )
)
FAST = Learned(step=0.5, save=2.0, first_save=2.0, exit=0.5)


def fresh(**rules):
    return State(rules=Rules(attempt=3, grace=20.0, **rules), started=0.0, active=0.0)


def play(history, state=None, **rules):
    """Feed [(when, event), …]; between them time passes as the loop would let it. (state, [(when, action), …])."""
    state = state or fresh(**rules)
    done = []
    for at, event in history:
        while (wake := machine.wake_at(state)) is not None and wake < at and state.phase != OVER:
            before = state
            state, actions = machine.step(state, ev.Tick(), wake)
            done += [(wake, action) for action in actions]
            assert actions or state != before, f"woke at {wake} for nothing"
        state, actions = machine.step(state, event, at)
        done += [(at, action) for action in actions]
    return state, done


def of(kind, done):
    return [(at, action) for at, action in done if isinstance(action, kind)]


def asks(done):
    return [(at, action.request.action, action.request.deadline) for at, action in of(ev.Ask, done)]


def inbox(action, request="i1", **fields):
    return ev.Asked(Request(id=request, attempt=3, action=action, by="ana@login1", **fields))


HELLO = ev.Hello(100, goes_on=True)
EMPTY = ev.Left()


# --- one stop ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "cause"), [(USR1, "preempted"), (TERM, "preempted"), (HUP, "preempted"), (INT, "stopped")]
)
def test_a_stop_has_the_grace(event, cause):
    state, done = play([(10, event), (100, ev.Tick())])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 30)]
    assert [at for at, _ in of(ev.Terminate, done)] == [30]
    assert [at for at, _ in of(ev.Kill, done)] == [40]
    assert state.history[0].cause == cause
    assert state.phase == OVER  # given up ten seconds after the kill
    assert "outlived SIGKILL" in state.notes[0]


def test_a_script_that_ends_in_time():
    state, done = play([(10, TERM), (11, ev.Saved(1, "step-7", 7, "3-1", 0.5)), (12, ev.CommandEnded()), (12, EMPTY)])
    assert state.phase == OVER
    assert state.answered
    assert [type(action) for _, action in done if not isinstance(action, ev.Say | ev.Record)] == [
        ev.Ask,
        ev.Withdraw,
        ev.Finish,
    ]


def test_what_was_not_saved_is_said():
    _, done = play([(10, TERM), (11, ev.SaveFailed("disk full")), (12, ev.CommandEnded()), (12, EMPTY)])
    loud = [action.text for _, action in of(ev.Say, done) if action.level == -1]
    assert loud == ["NOT saved: disk full", "nothing was saved after the request to stop (disk full)"]


def test_another_sigterm_changes_nothing():
    _, done = play([(10, TERM), (10.03, TERM), (25, TERM), (29, ev.Tick())])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 30)]


def test_sigterm_brings_a_far_deadline_nearer():
    state, done = play([(0, ev.EndKnown(500, "Slurm")), (10, USR1), (50, TERM), (60, ev.Tick())])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 497), (50, names.SAVE_AND_STOP, 70)]
    assert of(ev.Ask, done)[1][1].again
    assert len(state.history) == 1


def test_the_end_is_the_earliest_of_all_known():
    assert asks(play([(5, TERM), (6, ev.EndKnown(20, "limit"))])[1])[-1][2] == 17
    assert asks(play([(0, ev.EndKnown(200, "limit")), (10, TERM)])[1]) == [(10, names.SAVE_AND_STOP, 30)]


def test_an_end_that_has_passed_says_nothing():
    """Slurm's SIGTERM comes at the end of the time limit, with KillWait still to come."""
    state = fresh()
    state, done = play([(49.9, TERM), (50.5, ev.EndKnown(50, "Slurm"))], state)
    assert asks(done) == [(49.9, names.SAVE_AND_STOP, 69.9)]


def test_an_end_that_comes_nearer_moves_the_deadline():
    _, done = play([(10, TERM), (12, ev.EndKnown(23, "Slurm")), (13, ev.EndKnown(100, "Slurm")), (14, ev.Tick())])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 30), (12, names.SAVE_AND_STOP, 20)]


def test_kill_comes_before_the_known_end():
    _, done = play([(0, ev.EndKnown(35, "Slurm")), (14, TERM), (100, ev.Tick())])
    assert [at for at, _ in of(ev.Terminate, done)] == [32]
    assert [at for at, _ in of(ev.Kill, done)] == [34]


# --- the user ------------------------------------------------------------------------------------------------------------
def test_interrupts():
    state, done = play([(10, INT), (11, INT), (12, INT)])
    assert [type(action) for _, action in done if not isinstance(action, ev.Say | ev.Record)] == [
        ev.MarkStopped, ev.Ask, ev.Terminate, ev.Kill,
    ]  # fmt: skip
    assert [at for at, _ in of(ev.Terminate, done)] == [11]
    assert state.phase == KILLING


def test_quit_ends_at_once():
    state, _ = play([(10, QUIT)])
    assert (state.phase, state.history[0].cause) == (ENDING, "stopped")


def test_stop_now_from_the_inbox():
    state, done = play([(10, inbox(names.STOP_NOW)), (11, ev.CommandEnded()), (11, EMPTY)])
    assert [at for at, _ in of(ev.Terminate, done)] == [10]
    assert [(action.id, action.ok) for _, action in of(ev.Answer, done)] == [("i1", False)]
    assert [action.by for _, action in of(ev.MarkStopped, done)] == ["ana@login1"]
    assert state.history[0].action == names.STOP_NOW


def test_the_users_word_outweighs_a_preemption():
    state, done = play([(10, TERM), (11, inbox(names.SAVE_AND_STOP)), (12, ev.Saved(1, "s", 7, "3-1"))])
    assert [each.cause for each in state.history] == ["preempted", "stopped"]
    assert len(of(ev.Ask, done)) == 1
    assert [(action.id, action.ok, action.checkpoint) for _, action in of(ev.Answer, done)] == [("i1", True, "s")]


def test_a_deadline_from_the_inbox_counts_if_it_is_nearer():
    _, done = play([(10, inbox(names.SAVE_AND_STOP, deadline=15))])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 15)]
    _, done = play([(10, inbox(names.SAVE_AND_STOP, deadline=500))])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 30)]


# --- saves ---------------------------------------------------------------------------------------------------------------
def test_a_save_and_its_answer():
    state, done = play([(0, HELLO), (10, inbox(names.SAVE)), (12, ev.Saved(100, "step-7", 7, "i1", 0.5))])
    assert asks(done) == [(10, names.SAVE, None)]
    assert [(action.id, action.ok, action.checkpoint) for _, action in of(ev.Answer, done)] == [("i1", True, "step-7")]
    assert len(of(ev.Withdraw, done)) == 1
    assert (state.phase, state.force, state.end) == (RUNNING, None, None)
    assert state.script.save_seconds == (2.0,)  # from the request to the durable checkpoint


def test_a_save_of_the_same_step_is_answered_by_what_is_there():
    _, done = play([(0, HELLO), (10, inbox(names.SAVE)), (12, ev.Answered(100, "i1", "step-7"))])
    assert [action.checkpoint for _, action in of(ev.Answer, done)] == ["step-7"]
    assert len(of(ev.Withdraw, done)) == 1


def test_two_saves_at_once_are_one():
    state, done = play(
        [(0, HELLO), (10, inbox(names.SAVE, "a")), (10.1, inbox(names.SAVE, "b")), (12, ev.Saved(100, "s", 1, "a"))]
    )
    assert len(of(ev.Ask, done)) == 1
    assert {action.id for _, action in of(ev.Answer, done)} == {"a", "b"}
    assert state.open == ()


def test_a_stop_on_top_of_a_save_is_the_stronger_one():
    state, done = play([(0, HELLO), (10, inbox(names.SAVE, "a")), (11, TERM), (13, ev.Saved(100, "s", 1, "3-2"))])
    assert asks(done) == [(10, names.SAVE, None), (11, names.SAVE_AND_STOP, 31)]
    assert [(at, action.id) for at, action in of(ev.Answer, done)] == [(13, "a")]
    assert state.answered


def test_a_save_that_was_under_way_when_a_stop_came_answers_its_own_request():
    state, done = play([(0, HELLO), (10, inbox(names.SAVE, "a")), (11, TERM), (12, ev.Saved(100, "s", 1, "a"))])
    assert [(at, action.id) for at, action in of(ev.Answer, done)] == [(12, "a")]
    assert not state.answered
    assert state.published


def test_a_save_waits_for_all_ranks_but_not_for_ever():
    ranks = [(0, ev.Hello(100, goes_on=True, world=2)), (0, ev.Hello(101, goes_on=True, world=2))]
    _, done = play([*ranks, (10, USR2), (12, ev.Saved(100, "s", 1, "3-1")), (13, ev.Answered(101, "3-1"))])
    assert [at for at, _ in of(ev.Withdraw, done)] == [13]
    _, done = play([*ranks, (10, USR2), (12, ev.Saved(100, "s", 1, "3-1")), (20, ev.Tick())])
    assert [at for at, _ in of(ev.Withdraw, done)] == [17]


def test_the_file_of_a_stop_stays_for_late_ranks():
    ranks = [(0, ev.Hello(100, goes_on=True, world=2)), (0, ev.Hello(101, goes_on=True, world=2))]
    _, done = play([*ranks, (10, TERM), (12, ev.Saved(100, "s", 1, "3-1")), (25, ev.Tick())])
    assert of(ev.Withdraw, done) == []


def test_a_script_without_client_is_answered_by_what_appears_on_disk():
    state, done = play([(10, inbox(names.SAVE)), (12, ev.Found("model.pt", 9))])
    assert [(action.ok, action.checkpoint) for _, action in of(ev.Answer, done)] == [(True, "model.pt")]
    assert len(of(ev.Withdraw, done)) == 1
    assert state.script.checkpoints == ("model.pt",)


def test_nobody_answers():
    _, done = play([(10, inbox(names.SAVE)), (12, ev.CommandEnded()), (12, EMPTY)])
    assert [(action.ok, action.text) for _, action in of(ev.Answer, done)] == [
        (False, "the attempt ended before a checkpoint was saved")
    ]


def test_several_ranks_that_cannot_agree_are_told_a_step_that_none_has_reached():
    steps = [(at, ev.Stepped(100, step=at * 10)) for at in range(1, 6)]  # a tenth of a second each
    for apart, expected in ((True, 53 + 5 + 1 + 10), (False, None)):
        ranks = [(0, ev.Hello(pid, goes_on=True, world=2, apart=apart)) for pid in (100, 101)]
        _, done = play([*ranks, *steps, (5.5, ev.Stepped(101, step=53)), (6, USR2)])
        assert of(ev.Ask, done)[0][1].request.at_step == expected


def test_a_step_is_named_as_soon_as_a_pace_is_known():
    ranks = [(0, ev.Hello(pid, goes_on=True, world=2, apart=True)) for pid in (100, 101)]
    _, done = play([*ranks, (1, ev.Stepped(100, 0)), (1.5, TERM), (2, ev.Stepped(100, 10))])
    assert [(action.request.at_step, action.again) for _, action in of(ev.Ask, done)] == [(None, False), (10 + 1 + 10, True)]


def test_a_rank_that_was_too_late_has_all_told_a_later_step():
    ranks = [(0, ev.Hello(pid, goes_on=True, world=2, apart=True)) for pid in (100, 101)]
    steps = [(at, ev.Stepped(100, step=at * 10)) for at in range(1, 4)]
    late = (4, ev.Late(101, "3-1", step=70))
    _, done = play([*ranks, *steps, (3.5, TERM), late])
    assert [action.request.at_step for _, action in of(ev.Ask, done)] == [30 + 5 + 1 + 10, 70 + 1 + 10]
    _, follows = play([*ranks, *steps, (3.5, inbox(names.SAVE_AND_STOP, "3-1", at_step=51)), late], follows=True)
    assert [action.request.at_step for _, action in of(ev.Ask, follows)] == [51]  # its leader names another


# --- one of several tasks --------------------------------------------------------------------------------------------------
def test_a_follower_leaves_its_signals_to_the_leader():
    state, done = play([(10, TERM), (10.3, inbox(names.SAVE_AND_STOP, "3-1", deadline=35.0)), (20, ev.Tick())], follows=True)
    assert asks(done) == [(10.3, names.SAVE_AND_STOP, 30.3)]
    assert of(ev.PassOn, done) == []
    assert state.own_at is None


def test_a_follower_that_hears_nothing_tells_its_leader_then_acts_alone():
    _, done = play([(10, TERM), (20, ev.Tick())], follows=True)
    assert [(at, act.action, act.cause) for at, act in of(ev.PassOn, done)] == [(11, names.SAVE_AND_STOP, "preempted")]
    assert asks(done) == [(14, names.SAVE_AND_STOP, 34)]


@pytest.mark.parametrize(("event", "action", "cause"), [(USR2, names.SAVE, ""), (INT, names.SAVE_AND_STOP, "stopped")])
def test_what_a_follower_passes_on(event, action, cause):
    _, done = play([(10, event), (12, ev.Tick())], follows=True)
    assert [(act.action, act.cause) for _, act in of(ev.PassOn, done)] == [(action, cause)]


def test_a_step_is_named_within_half_of_the_time_that_is_left():
    ranks = [(0, ev.Hello(pid, goes_on=True, world=2, apart=True)) for pid in (100, 101)]
    steps = [(at, ev.Stepped(100, step=at * 10)) for at in range(1, 4)]
    _, done = play([*ranks, *steps, (3, inbox(names.SAVE_AND_STOP, deadline=4.3))])  # 1.3 s are left
    assert [action.request.at_step for _, action in of(ev.Ask, done)] == [30 + 1 + 7]


def test_a_followers_warning_is_covered_by_a_save_that_the_leader_asks():
    _, done = play([(10, USR1), (10.2, inbox(names.SAVE, "3-1")), (20, ev.Tick())], follows=True)
    assert of(ev.PassOn, done) == []
    assert asks(done) == [(10.2, names.SAVE, None)]


def test_a_save_is_withdrawn_when_the_leader_asks_it_no_more():
    state, done = play([(10, inbox(names.SAVE)), (11, ev.Unasked()), (12, inbox(names.SAVE, "i2"))], follows=True)
    assert [at for at, _, _ in asks(done)] == [10, 12]
    assert [at for at, _ in of(ev.Withdraw, done)] == [11]
    assert state.force.id == "i2"


def test_a_save_that_the_leader_withdrew_unseen_is_not_in_the_way_of_the_next():
    _, done = play([(10, inbox(names.SAVE)), (12, inbox(names.SAVE, "i2", at_step=7))], follows=True)
    assert [(at, action.request.id) for at, action in of(ev.Ask, done)] == [(10, "i1"), (12, "i2")]


def test_what_runs_elsewhere_is_waited_for():
    _, done = play([(10, ev.CommandEnded()), (10, ev.Left(2)), (50, ev.Left(1))])
    assert of(ev.Finish, done) == []
    _, done = play([(10, ev.CommandEnded()), (10, ev.Left(2)), (50, EMPTY)])
    assert [at for at, _ in of(ev.Finish, done)] == [50]


# --- notice --------------------------------------------------------------------------------------------------------------
def test_save_at_once_go_on_save_again():
    history = [(0, HELLO), (0, ev.EndKnown(203, "Slurm")), (100, USR1), (102, ev.Saved(100, "s1", 1, "3-1", 2.0))]
    state, done = play([*history, (197, ev.Saved(100, "s2", 2, "3-2", 1.0))], learned=FAST)
    assert asks(done) == [(100, names.SAVE, None), (196, names.SAVE_AND_STOP, 200)]  # 200 - (0.5 + 1.5 * 2 + 0.5)
    assert [each.cause for each in state.history] == ["preempted", "preempted"]
    assert state.first_notice == 100
    assert state.answered


def test_a_slow_first_save_brings_the_last_call_forward():
    history = [(0, HELLO), (0, ev.EndKnown(203, "Slurm")), (100, USR1), (120, ev.Saved(100, "s1", 1, "3-1", 20.0))]
    _, done = play([*history, (200, ev.Tick())], learned=FAST)
    assert asks(done)[1] == (200 - (0.5 + 1.5 * 20 + 0.5), names.SAVE_AND_STOP, 200)


def test_sigterm_between_the_two_saves():
    history = [(0, HELLO), (0, ev.EndKnown(203, "Slurm")), (100, USR1), (102, ev.Saved(100, "s1", 1, "3-1", 2.0))]
    _, done = play([*history, (150, TERM), (160, ev.Tick())], learned=FAST)
    assert asks(done) == [(100, names.SAVE, None), (150, names.SAVE_AND_STOP, 170)]


def test_a_second_notice_changes_nothing():
    history = [(0, HELLO), (0, ev.EndKnown(203, "Slurm")), (100, USR1), (101, USR1), (150, USR1)]
    assert len(asks(play(history, learned=FAST)[1])) == 1


def test_the_users_own_grace_bounds_a_notice():
    history = [(0, ev.EndKnown(203, "Slurm")), (100, USR1)]
    assert asks(play(history)[1])[0][2] == 200
    assert asks(play(history, grace_given=True)[1])[0][2] == 120


def test_an_end_far_away_is_not_what_a_signal_is_about():
    assert asks(play([(0, HELLO), (0, ev.EndKnown(1e5, "Slurm")), (100, USR1)], learned=FAST)[1])[0] == (
        100, names.SAVE_AND_STOP, 120,
    )  # fmt: skip


def test_a_time_limit_is_a_notice_that_we_raise_ourselves():
    state, done = play([(0, HELLO), (0, ev.EndKnown(1003, "--time-limit")), (1000, ev.Tick())], learned=FAST)
    assert asks(done) == [(1000 - 6.75, names.SAVE, None), (996, names.SAVE_AND_STOP, 1000)]
    assert state.history[-1].cause == "timed_out"
    assert state.history[-1].reason == "--time-limit"


def test_a_time_limit_for_a_script_without_client():
    state, done = play([(0, ev.EndKnown(1003, "--time-limit")), (1000, ev.Tick())])
    assert asks(done) == [(1000 - 1.5 * 21, names.SAVE_AND_STOP, 1000)]
    assert [at for at, _ in of(ev.Terminate, done)] == [1000]
    assert state.history[0].cause == "timed_out"


def test_a_stop_before_the_time_limit_raises_no_second_notice():
    _, done = play([(0, ev.EndKnown(1003, "--time-limit")), (980, TERM), (999, ev.Tick())])
    assert len(asks(done)) == 1


# --- silence -------------------------------------------------------------------------------------------------------------
def test_a_stall():
    state, done = play([(40, ev.Tick(35.0)), (60, ev.Stepped(1, 5)), (200, ev.Tick())], stall_timeout=100.0)
    assert asks(done) == [(160, names.SAVE_AND_STOP, 180)]
    assert state.history[0].cause == "stalled"


def test_saving_is_no_silence():
    _, done = play([(90, ev.Saved(1, "s", 1)), (180, ev.Tick())], stall_timeout=100.0)
    assert asks(done) == []


# --- what the command leaves ---------------------------------------------------------------------------------------------
def test_what_is_left_has_five_seconds_then_ten():
    left = ev.Left(0, ("sleep 1000 (7)",))
    state, done = play([(10, ev.CommandEnded()), (10, left), (11, left), (16, left), (26, left), (27, EMPTY)])
    assert [at for at, _ in of(ev.Terminate, done)] == [15]
    assert [at for at, _ in of(ev.Kill, done)] == [25]
    assert state.strays == ("sleep 1000 (7)",)
    assert state.phase == OVER


def test_what_goes_by_itself_is_no_stray():
    state, done = play([(10, ev.CommandEnded()), (10, ev.Left(0, ("sleep",))), (12, EMPTY)])
    assert (of(ev.Terminate, done), state.strays, state.phase) == ([], (), OVER)


def test_a_rank_that_is_left_is_the_work_itself():
    state, done = play(
        [(0, HELLO), (10, ev.CommandEnded()), (10, ev.Left(1, ())), (1000, ev.Left(1, ("x",))), (1001, EMPTY)]
    )
    assert (of(ev.Terminate, done), state.phase) == ([], OVER)


def test_a_lost_lease_kills_at_once():
    state, done = play([(10, ev.LeaseLost()), (10.1, ev.CommandEnded()), (10.2, EMPTY)])
    assert [at for at, _ in of(ev.Kill, done)] == [10]
    assert (state.phase, state.lease_lost) == (OVER, True)


def test_nothing_happens_after_the_end():
    state, _ = play([(10, ev.CommandEnded()), (10, EMPTY)])
    assert machine.step(state, TERM, 11) == (state, [])


def test_what_was_learned():
    steps = [(at, ev.Stepped(1, at * 2)) for at in range(1, 6)]
    state, _ = play([*steps, (6, ev.Saved(1, "s", 10, "", 0.75)), (7, ev.Stepped(1, 12)), (9, ev.Stepped(1, 13))])
    learned = states.learned(state)
    assert learned.step == 2.0
    assert (learned.save, learned.first_save, learned.exit) == (0.75, 0.75, None)
    assert state.script.step_seconds[-2] == pytest.approx((2 - 0.75) / 2)  # the save is taken out


# --- any history -----------------------------------------------------------------------------------------------------------
ids = st.sampled_from(["3-1", "3-2", "i1", "i2", "x"])
some_event = st.one_of(
    st.sampled_from([USR1, USR2, TERM, INT, HUP, TSTP, HELLO, ev.Hello(101, world=2), ev.SaveFailed("x"), ev.Done(""), ev.Tick()]),
    st.builds(ev.EndKnown, st.one_of(st.none(), st.floats(0, 2000)), st.just("limit")),
    st.builds(inbox, st.sampled_from([names.SAVE, names.SAVE_AND_STOP, names.STOP_NOW]), ids, deadline=st.one_of(st.none(), st.floats(0, 2000))),
    st.builds(ev.Stepped, st.sampled_from([100, 101]), st.integers(0, 1000)),
    st.builds(ev.Saved, st.sampled_from([100, 101]), st.just("s"), st.none(), ids, st.floats(0, 50)),
    st.builds(ev.Answered, st.sampled_from([100, 101]), ids, st.sampled_from(["", "s"])),
    st.builds(ev.Found, st.just("f")),
    st.builds(ev.Left, st.integers(0, 1), st.sampled_from([(), ("x",)])),
    st.just(ev.CommandEnded()),
)  # fmt: skip
histories = st.lists(st.tuples(st.floats(0.001, 200), some_event), max_size=25)
rules = st.builds(
    Rules,
    attempt=st.just(3),
    grace=st.floats(0.1, 300),
    grace_given=st.booleans(),
    term_to_kill=st.floats(0, 20),
    stall_timeout=st.one_of(st.none(), st.floats(1, 500)),
    means_save=st.booleans(),
    learned=st.sampled_from([Learned(), FAST, Learned(step=10, save=60, first_save=60, exit=5)]),
)


@settings(max_examples=300)
@given(rules=rules, gaps=histories)
def test_any_history(rules, gaps):
    now, history = 0.0, []
    for gap, event in gaps:
        now += gap
        history.append((now, event))
    ending = [(now + 1e5, ev.Tick())]
    state, done = play([*history, *ending], State(rules=rules, started=0.0))

    # a deadline only ever comes nearer
    deadlines = [action.request.deadline for _, action in of(ev.Ask, done) if action.request.deadline is not None]
    assert deadlines == sorted(deadlines, reverse=True)
    # a stronger action is never replaced by a weaker one
    actions = [action.request.action for _, action in of(ev.Ask, done)]
    assert names.SAVE not in actions[actions.index(names.SAVE_AND_STOP) :] if names.SAVE_AND_STOP in actions else True
    # once a stop was asked for, the end comes in bounded time
    if deadlines:
        assert state.phase == OVER
        end = of(ev.Finish, done)[0][0]
        assert end <= max(min(deadlines), now) + rules.term_to_kill + states.GIVE_UP_SECONDS + 1.001
    # SIGKILL not before the deadline, unless somebody said "now"
    hurried = any(e in (INT, QUIT) or (isinstance(e, ev.Asked) and e.request.action == names.STOP_NOW) for _, e in history)
    strays = any(isinstance(e, ev.Left) and e.others for _, e in history)
    for at, _ in of(ev.Kill, done):
        assert hurried or strays or at >= min(deadlines)
    assert len(of(ev.Kill, done)) <= 1
    assert len(of(ev.Terminate, done)) <= 1
    # every id from the inbox gets exactly one answer once all is over
    if state.phase == OVER:
        over_at = of(ev.Finish, done)[0][0]
        wanted = {e.request.id for at, e in history if isinstance(e, ev.Asked) and at <= over_at}
        answered = [action.id for _, action in of(ev.Answer, done)]
        assert wanted <= set(answered)
        assert len(of(ev.Finish, done)) == 1
        assert not state.published
    assert len(of(ev.Withdraw, done)) <= len([action for _, action in of(ev.Ask, done) if not action.again])


# --- a script that asks the scheduler to requeue its job ------------------------------------------------------------------
REQUEUE = ev.RequeueAsked("scontrol requeue 7")
SAVE_AGAIN = {"means_save": True}  # a handler that saves, asks to be requeued, and goes on


def test_a_script_that_wants_to_be_requeued_ends_soon_and_is_not_signalled():
    state, done = play([(10, REQUEUE), (14, ev.Tick())])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 15)]
    assert states.signals_for(state) is None
    assert (state.history[0].reason, state.history[0].cause) == (names.BY_SCRIPT, "preempted")
    assert state.forced_at == 0  # what it saved just before is its answer
    assert [at for at, _ in of(ev.Terminate, play([(16, ev.Tick())], state)[1])] == [15]


def test_a_handler_that_asks_within_a_stop_brings_its_end_nearer():
    state, done = play([(10, TERM), (12, REQUEUE), (12.1, REQUEUE), (14, ev.CommandEnded()), (14, EMPTY)])
    assert asks(done) == [(10, names.SAVE_AND_STOP, 30), (12, names.SAVE_AND_STOP, 17)]
    assert state.history[0].reason == "SIGTERM"
    assert state.phase == OVER


def test_it_never_has_longer_than_it_had():
    assert asks(play([(10, TERM), (28, REQUEUE)])[1]) == [(10, names.SAVE_AND_STOP, 30)]
    assert asks(play([(10, REQUEUE)], grace_given=True, learned=FAST)[1]) == [(10, names.SAVE_AND_STOP, 15)]


def test_a_script_that_reads_the_request_file_has_the_grace():
    assert asks(play([(0, HELLO), (10, REQUEUE)])[1]) == [(10, names.SAVE_AND_STOP, 30)]


def test_the_users_stop_outweighs_it():
    state, _ = play([(10, inbox(names.SAVE_AND_STOP)), (11, REQUEUE)])
    assert state.history[0].cause == "stopped"


@pytest.mark.parametrize("asked", [USR2, inbox(names.SAVE)])
def test_a_handlers_habit_after_a_plain_save_ends_nothing(asked):
    state, done = play([(10, asked), (11, ev.Found("a", 1)), (12, REQUEUE), (500, ev.Tick())], **SAVE_AGAIN)
    assert (state.phase, state.end) == (RUNNING, None)
    assert len(asks(done)) == 1
    state, _ = play([(501, REQUEUE)], state)  # one save, one habit
    assert state.end == 506


def test_a_handlers_habit_within_a_notice_leaves_the_second_save_to_come():
    state, done = play([(0, ev.EndKnown(200, "Slurm")), (10, USR1), (11, REQUEUE)], learned=FAST, **SAVE_AGAIN)
    assert state.notice is not None
    assert [action for _, action, _ in asks(done)] == [names.SAVE]
    state, done = play([(196, ev.Tick()), (196, REQUEUE)], state)
    assert [action for _, action, _ in asks(done)] == [names.SAVE_AND_STOP]
    assert state.leaves


def test_a_plain_save_that_signals_nobody_has_no_habit():
    state, _ = play([(10, USR2), (12, REQUEUE)])
    assert state.end == 17


def test_a_follower_leaves_it_to_the_leader():
    state, done = play([(10, REQUEUE)], follows=True)
    assert [action for _, action in of(ev.PassOn, done)] == [
        ev.PassOn(names.SAVE_AND_STOP, names.BY_SCRIPT, names.PREEMPTED)
    ]
    assert state.end is None
    _, done = play([(10, inbox(names.SAVE_AND_STOP)), (11, REQUEUE)], follows=True)
    assert of(ev.PassOn, done) == []
