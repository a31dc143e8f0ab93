"""Many tasks, one attempt: whose failure it is, and how all of it ended."""

from __future__ import annotations

import pytest

from ckptrun.model import Ended, Request, TaskRecord
from ckptrun.policy import group, nodes, restart
from ckptrun.policy.group import Trouble
from ckptrun.runs.records import now_text


def task(rank: int = 2, **fields: object) -> TaskRecord:
    return TaskRecord(rank=rank, node=f"n{rank}", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "silent", "gone", "found"),
    [
        (task(), 1.0, False, None),
        (task(child_exit=0), 1.0, False, None),
        (task(child_exit=0), 999.0, True, None),  # it has done its share
        (task(child_exit=3), 1.0, False, Trouble(cause="failed", reason="task 2 on n2 ended with exit 3")),
        (task(child_signal=9), 1.0, False, Trouble(cause="killed", reason="task 2 on n2 ended with signal 9")),
        (task(why="no such file"), 1.0, True, Trouble(cause="failed", reason="task 2 on n2 is gone: no such file")),
        (task(), 60.0, False, None),
        (task(), 61.0, False, Trouble(cause="killed", reason="task 2 on n2 was not heard of for 1m 01s")),
    ],
)
def test_when_a_task_is_in_trouble(seen: TaskRecord, silent: float, gone: bool, found: Trouble | None) -> None:
    assert group.trouble(seen, silent=silent, gone=gone) == found


def ended(*requests: Request, code: int | None = 0) -> Ended:
    return Ended(child_exit=code, child_signal=None, started=0.0, ended=9.0, requests=list(requests))


def asked(request_id: str, cause: str = "preempted") -> Request:
    return Request(id=request_id, attempt=1, action="save_and_stop", reason="SIGTERM", cause=cause)


FINE = [task(0, child_exit=0, ended=5.0), task(1, child_exit=0, ended=5.0)]
ONE_FAILED = [task(0, child_exit=1, ended=6.0), task(1, child_exit=3, ended=5.0), task(2, child_exit=1, ended=5.5)]


def test_tasks_that_end_well_are_one_that_ended_well() -> None:
    assert group.account(ended(), FINE) == (ended(), None)


def test_it_ended_as_the_first_that_failed_did() -> None:
    told, blamed = group.account(ended(asked("task-1", "failed"), code=1), ONE_FAILED)
    assert (told.child_exit, told.requests, blamed and blamed.node) == (3, [], "n1")
    verdict = restart.judge(told)
    assert (verdict.outcome, verdict.exit_code) == ("failed", 3)


def test_what_was_asked_from_outside_decides_whatever_the_codes() -> None:
    account = ended(asked("1-1"), asked("task-1", "failed"), code=1)
    assert group.account(account, ONE_FAILED) == (account, None)


def test_a_task_that_was_lost_without_a_code_is_known_by_its_request() -> None:
    account = ended(asked("task-1", "killed"))
    told, blamed = group.account(account, [FINE[0], task(1)])
    assert blamed is None
    assert restart.judge(told).outcome == "killed"


def test_the_node_of_the_task_that_failed_first_is_to_blame() -> None:
    from ckptrun.model import AttemptRecord

    def died(number: int, blamed: str) -> AttemptRecord:
        return AttemptRecord(
            attempt=number,
            attempt_id=str(number),
            run="r",
            node="n0",
            started=now_text(1000.0),
            ended=now_text(1010.0),
            outcome="failed",
            exit_code=1,
            tasks=ONE_FAILED,
            blamed=blamed,
        )

    assert list(nodes.bad([died(1, "n1"), died(2, "n1")])) == ["n1"]
    assert nodes.bad([died(1, "n1"), died(2, "n2")]) == {}
    assert nodes.bad([died(1, ""), died(2, "")]) == {}  # nobody knows: node 0 is not to blame
