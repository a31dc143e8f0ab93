"""policy.restart and policy.start: outcomes, codes and budgets as tables."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun import errors, names
from ckptrun.model import AttemptRecord, Ended, Request
from ckptrun.policy import restart, start


def ended(code=0, signal=None, requests=(), **more):
    return Ended(child_exit=code, child_signal=signal, requests=list(requests), started=0.0, ended=1.0, **more)


def asked(action=names.SAVE_AND_STOP, cause=names.PREEMPTED, by="", reason="SIGTERM"):
    return Request(id="r", attempt=1, action=action, cause=cause, by=by, reason=reason)


STOP, SAVE = asked(), asked(action=names.SAVE, cause="", reason="SIGUSR2")
USER = asked(cause=names.STOPPED_BY_USER, reason="ckptrun stop")
CTRL_C = asked(cause=names.STOPPED_BY_USER, reason="SIGINT")
LIMIT = asked(cause=names.TIMED_OUT)
STALL = asked(cause=names.STALLED)


@pytest.mark.parametrize(
    ("case", "outcome", "code"),
    [
        (ended(0), names.COMPLETED, 0),
        (ended(0, requests=[STOP]), names.PREEMPTED, 75),
        (ended(1, requests=[STOP]), names.PREEMPTED, 75),  # torchrun after a clean save
        (ended(143, requests=[STOP]), names.PREEMPTED, 75),
        (ended(None, 9, requests=[STOP]), names.PREEMPTED, 75),
        (ended(0, requests=[SAVE]), names.PREEMPTED, 75),  # save-and-exit-0 answers a plain save
        (ended(7, requests=[SAVE]), names.FAILED, 7),
        (ended(0, requests=[LIMIT, STOP]), names.TIMED_OUT, 75),
        (ended(0, requests=[STOP, USER]), names.STOPPED_BY_USER, 93),
        (ended(0, requests=[CTRL_C]), names.STOPPED_BY_USER, 130),
        (ended(None, 9, requests=[STALL]), names.STALLED, 75),
        (ended(3), names.FAILED, 3),
        (ended(75), names.FAILED, 1),
        (ended(93), names.FAILED, 1),
        (ended(2), names.FAILED, 1),
        (ended(None, 11), names.KILLED, 139),
        (ended(None, 9, oom=True), names.KILLED, 137),
    ],
)
def test_outcomes_and_codes(case, outcome, code):
    verdict = restart.judge(case)
    assert (verdict.outcome, verdict.exit_code) == (outcome, code)
    assert verdict.why
    assert not verdict.proved


@pytest.mark.parametrize("case", [ended(0), ended(1, requests=[STOP]), ended(None, 9, requests=[USER])])
def test_a_proof_always_wins(case):
    verdict = restart.judge(case, proof="run.done()")
    assert (verdict.outcome, verdict.exit_code, verdict.proved) == (names.COMPLETED, 0, True)


def test_a_notice_just_after_an_exit_zero_makes_it_a_preemption():
    assert restart.judge(ended(0), late_notice=True).outcome == names.PREEMPTED


def test_codes_for_other_systems():
    codes = restart.Codes(preempt_exit_code=85, child_preempt_code=75)
    assert restart.judge(ended(0, requests=[STOP]), codes=codes).exit_code == 85
    assert restart.judge(ended(75), codes=codes).outcome == names.PREEMPTED


@given(st.integers(0, 255))
def test_a_failed_childs_code_is_never_one_of_ours(code):
    verdict = restart.judge(ended(code))
    assert verdict.exit_code == code or code in names.OWN_CODES
    assert verdict.exit_code not in names.OWN_CODES


# --- budgets -----------------------------------------------------------------------------------------------------------
def record(n, outcome=names.FAILED, step=None, saved=(), code=1, **more):
    return AttemptRecord(
        attempt=n,
        attempt_id=str(n),
        run="r",
        outcome=outcome,
        last_step=step,
        checkpoints=list(saved),
        exit_code=code,
        **more,
    )


def test_failures_at_different_steps_spend_the_budget():
    history = [record(n, step=n) for n in range(1, 4)]
    assert restart.again(history, max_failures=3).restart
    verdict = restart.again([*history, record(4, step=4)], max_failures=3)
    assert verdict.spent
    assert "4 failures" in verdict.why


def test_a_newer_checkpoint_resets_the_count():
    history = [record(1, step=1), record(2, step=2), record(3, step=3, saved=["a"]), record(4, step=4), record(5, step=5)]
    assert restart.again(history, max_failures=3).restart


def test_two_failures_at_the_same_step_are_a_crash_loop_and_unknown_is_not_a_step():
    assert restart.again([record(1, step=7), record(2, step=7)], max_failures=9).spent
    assert not restart.again([record(1, step=None), record(2, step=None)], max_failures=9).spent
    assert not restart.again([record(1, step=7), record(2, step=7, saved=["a"])], max_failures=9).spent


def test_preemptions_are_free_but_ten_without_progress_are_not():
    free = [record(n, outcome=names.PREEMPTED, code=75) for n in range(1, 10)]
    assert restart.again(free, max_failures=0).restart
    assert restart.again([*free, record(10, outcome=names.PREEMPTED, code=75)], max_failures=0).spent


def test_a_lost_machine_does_not_count_as_a_failure():
    history = [record(n, outcome=names.KILLED, step=5, code=None) for n in range(1, 4)]
    assert restart.again(history, max_failures=0).restart


def test_a_changed_command_resets_the_counts():
    history = [record(n, step=7, command=["a"]) for n in range(1, 4)]
    assert restart.again([*history, record(4, step=7, command=["b"])], max_failures=3).restart


def test_no_restart_after_completion_or_a_users_stop():
    for outcome in (names.COMPLETED, names.STOPPED_BY_USER):
        verdict = restart.again([record(1, outcome=outcome)], max_failures=3)
        assert not verdict.restart
        assert not verdict.spent


def test_backoff_doubles_is_spread_and_bounded():
    delays = [
        restart.again([record(i, step=i) for i in range(1, n + 1)], max_failures=99, jitter=0.5).delay for n in range(1, 10)
    ]
    assert delays[0] == 2.0
    assert all(b == min(2 * a, 300.0) for a, b in itertools.pairwise(delays))


def test_two_deaths_on_one_checkpoint_are_said():
    stuck = {"resumed_from": "checkpoints/step-00000010", "resumed_step": 10}
    assert restart.stuck_on_checkpoint([record(1, step=None, **stuck), record(2, step=10, **stuck)])
    assert not restart.stuck_on_checkpoint([record(1, step=11, **stuck), record(2, **stuck)])


# --- may it start? -----------------------------------------------------------------------------------------------------
def ask(**more):
    return start.Asked(run="r", command=["python", "t.py", "--lr", "1"], **more)


def test_another_command_is_refused_with_the_difference():
    before = ["python", "t.py", "--lr", "2"]
    with pytest.raises(errors.UsageError, match="argument 3 was '2', now it is '1'"):
        start.decide(ask(), [], start.Recorded(command=before), "")
    assert start.decide(ask(changed=True), [], start.Recorded(command=before), "") == start.Decision()


def test_a_complete_run_is_done_unless_reopened():
    history = [record(1, outcome=names.COMPLETED, code=0)]
    assert "nothing to do" in start.decide(ask(), history, start.Recorded(), "").done
    assert not start.decide(ask(again=True), history, start.Recorded(), "").done
    assert not start.decide(ask(fresh=True), history, start.Recorded(), "").done


def test_a_stopped_run_is_started_by_people_only():
    with pytest.raises(errors.DoNotRestart, match="stopped by ana"):
        start.decide(ask(automatic=True), [], start.Recorded(), "stopped by ana")
    assert start.decide(ask(), [], start.Recorded(), "stopped by ana").clear_stop


def test_a_spent_budget_refuses_automatic_starts_of_the_same_code_only():
    history = [record(n, step=7, command=ask().command) for n in (1, 2)]
    with pytest.raises(errors.DoNotRestart, match="crash loop"):
        start.decide(ask(automatic=True), history, start.Recorded(), "")
    start.decide(ask(), history, start.Recorded(), "")
    start.decide(ask(automatic=True, script_digest="new"), history, start.Recorded(), "")


def test_other_values_of_a_sweep_are_refused_with_the_difference():
    before = start.Recorded(command=ask().command, sweep={"lr": 0.1, "width": 64})
    with pytest.raises(
        errors.UsageError, match=r"other values: lr was 0.1, now it is 0.2; width was 64, now it is missing$"
    ):
        start.decide(ask(sweep={"lr": 0.2}), [], before, "")
    with pytest.raises(errors.UsageError, match="other values"):
        start.decide(ask(), [], before, "")
    for meant in ({"changed": True}, {"fresh": True}):
        assert start.decide(ask(sweep={"lr": 0.2}, **meant), [], before, "") == start.Decision()
    assert start.decide(ask(sweep={"width": 64, "lr": 0.1}), [], before, "") == start.Decision()
    assert start.decide(ask(sweep={"lr": 0.2}), [], start.Recorded(), "") == start.Decision()


def test_other_values_count_from_nothing_again():
    spent = [record(n, outcome=names.FAILED, command=ask().command, sweep={"lr": 0.1}) for n in range(1, 6)]
    before = start.Recorded(command=ask().command, sweep={"lr": 0.1})
    with pytest.raises(errors.DoNotRestart):
        start.decide(ask(automatic=True, sweep={"lr": 0.1}), spent, before, "")
    assert start.decide(ask(automatic=True, changed=True, sweep={"lr": 0.2}), spent, before, "") == start.Decision()


def test_a_loop_in_place_goes_on_where_only_the_script_wanted_to_be_requeued():
    asked = {"outcome": names.PREEMPTED, "code": 75, "request": "1-1"}
    assert not restart.again([record(1, notice="SIGUSR1", **asked)], max_failures=3, by_self=True).restart
    assert restart.again([record(1, notice=names.BY_SCRIPT, **asked)], max_failures=3, by_self=True).restart
