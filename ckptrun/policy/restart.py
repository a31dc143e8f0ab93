"""How an attempt ended, which code that is, and whether to start again. PURE.

Sources of the rules: completion needs a proof or an exit 0 that nobody asked for (torchrun ends with 1 after a clean save, srun -K with
143, Hugging Face's Trainer with 0 at step 310 of 2000), and budgets are kept apart by cause (preemptions are free, failures are not).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.model import AttemptRecord, Ended, Noun, Request, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTED = (names.FAILED, names.KILLED, names.STALLED)  # outcomes that spend the budget
NO_PROGRESS_ATTEMPTS = 10  # attempts of any kind in a row without a newer checkpoint
SAME_STEP_FAILURES = 2
BACKOFF_FIRST, BACKOFF_MOST = 2.0, 300.0  # seconds
LATE_NOTICE_SECONDS = 2.0  # a notice this long after an exit 0 still makes it a preemption


class Codes(Noun, frozen=True, kw_only=True):
    """Settings that change exit codes."""

    preempt_exit_code: int = names.EXIT_AGAIN
    child_preempt_code: int | None = None


class Again(Noun, frozen=True, kw_only=True):
    """Whether to start another attempt, after how many seconds, and why (not)."""

    restart: bool
    why: str
    delay: float = 0.0
    spent: bool = False  # a budget is spent or there is no progress: the exit code is 93


# --- how it ended ------------------------------------------------------------------------------------------------------
def judge(ended: Ended, *, proof: str = "", codes: Codes | None = None, late_notice: bool = False) -> Verdict:
    """The outcome of an attempt. `proof` is what proves completion ("" = nothing does); it always wins.

    `late_notice`: a signal or notice came up to `LATE_NOTICE_SECONDS` after the child's exit 0.
    """
    codes = codes or Codes()
    if proof:
        return Verdict(outcome=names.COMPLETED, why=proof, exit_code=names.EXIT_OK, proved=True)
    stop = _stop(ended.requests)
    if stop is not None:
        return _stopped(ended, stop, codes)
    if ended.child_exit == 0:
        return _exit_zero(ended, codes, late_notice=late_notice)
    if ended.child_exit is not None and ended.child_exit == codes.child_preempt_code:
        why = f"the script ended with {ended.child_exit}, which --child-preempt-code says is a preemption"
        return Verdict(outcome=names.PREEMPTED, why=why, exit_code=codes.preempt_exit_code)
    return _died(ended)


def _stop(requests: Sequence[Request]) -> Request | None:
    """The request that decides the outcome: a user's stop wins, otherwise the first that asked to stop."""
    stops = [request for request in requests if request.action in (names.SAVE_AND_STOP, names.STOP_NOW)]
    users = [request for request in stops if request.cause == names.STOPPED_BY_USER]
    decisive = users or stops
    return decisive[0] if decisive else None


def _stopped(ended: Ended, stop: Request, codes: Codes) -> Verdict:
    outcome = stop.cause or names.PREEMPTED
    why = f"{stop.reason or 'asked to stop'}{_saved(ended)}; {how_it_exited(ended)}"
    if outcome == names.STOPPED_BY_USER:
        interrupted = stop.reason == "SIGINT"
        return Verdict(
            outcome=outcome, why=why, exit_code=names.EXIT_INTERRUPTED if interrupted else names.EXIT_DO_NOT_RESTART
        )
    return Verdict(outcome=outcome, why=why, exit_code=codes.preempt_exit_code)


def _saved(ended: Ended) -> str:
    return ", answered by a checkpoint" if ended.answered else ", not answered by a checkpoint"


def _exit_zero(ended: Ended, codes: Codes, *, late_notice: bool) -> Verdict:
    if ended.requests:
        why = f"it ended with 0 after it was asked to save ({ended.requests[0].reason}), without saying that it was done"
        return Verdict(outcome=names.PREEMPTED, why=why, exit_code=codes.preempt_exit_code)
    if late_notice:
        why = f"it ended with 0 and a notice came within {LATE_NOTICE_SECONDS:g} s"
        return Verdict(outcome=names.PREEMPTED, why=why, exit_code=codes.preempt_exit_code)
    return Verdict(outcome=names.COMPLETED, why="it ended with 0 and nobody had asked it to stop", exit_code=names.EXIT_OK)


def _died(ended: Ended) -> Verdict:
    how = how_it_exited(ended)
    if ended.oom:
        code = 128 + ended.child_signal if ended.child_signal else own_code(ended.child_exit)
        return Verdict(outcome=names.KILLED, why=f"out of memory: {how}", exit_code=code)
    if ended.child_signal is not None:
        return Verdict(outcome=names.KILLED, why=how, exit_code=128 + ended.child_signal)
    return Verdict(outcome=names.FAILED, why=how, exit_code=own_code(ended.child_exit))


def own_code(child_exit: int | None) -> int:
    """The child's code, or 1 where it is one of ours and would be misread by a scheduler."""
    if child_exit is None or child_exit in names.OWN_CODES:
        return names.EXIT_FAILURE
    return child_exit


def how_it_exited(ended: Ended) -> str:
    """`exit 3`, `killed by SIGKILL`, `killed by our SIGTERM`."""
    if ended.child_signal is None:
        return f"exit {ended.child_exit}"
    ours = "our " if ended.child_signal in ended.sent_signals else ""
    return f"killed by {ours}{_SIGNAL_NAMES.get(ended.child_signal, f'signal {ended.child_signal}')}"


_SIGNAL_NAMES = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
    10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ",
}  # fmt: skip


# --- whether to start again --------------------------------------------------------------------------------------------
def again(history: Sequence[AttemptRecord], *, max_failures: int, by_self: bool = False, jitter: float = 0.5) -> Again:
    """May the run be started again by itself, judged after the last attempt of `history` (oldest first)?

    A notice from outside ends a loop in place too: the machine is going away. `jitter` in 0..1 spreads the delay over 0.5 to 1.5 times.
    """
    if not history:
        return Again(restart=True, why="the first attempt")
    last = history[-1]
    if last.outcome == names.COMPLETED:
        return Again(restart=False, why="the run is complete")
    if last.outcome == names.STOPPED_BY_USER:
        return Again(restart=False, why="stopped by the user")
    recent = _since_change(history)
    spent = _spent(recent, max_failures)
    if spent:
        return Again(restart=False, why=spent, spent=True)
    failures = _failures_since_checkpoint(recent)
    if not counts(last):
        asked_from_outside = bool(last.request or last.notice) and not last.notice.startswith(names.BY_SCRIPT)
        return Again(restart=not (by_self and asked_from_outside), why=f"{last.outcome}: does not count against the budget")
    delay = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** (len(failures) - 1)) * (0.5 + jitter)
    return Again(
        restart=True, delay=delay, why=f"failure {len(failures)} of at most {max_failures} without a newer checkpoint"
    )


def _since_change(history: Sequence[AttemptRecord]) -> list[AttemptRecord]:
    """The attempts at the end of `history` with the last one's command, commit and script: a change resets the counts."""
    last, recent = history[-1], []
    for record in reversed(history):
        if (record.command, record.commit, record.script_digest) != (last.command, last.commit, last.script_digest):
            break
        recent.append(record)
    return recent[::-1]


def counts(record: AttemptRecord) -> bool:
    """Whether an attempt spends the budget. One that ended without a word (no exit code: machine lost, kill -9 of ckptrun) does not."""
    return record.outcome in COUNTED and record.exit_code is not None


def _progressed(record: AttemptRecord) -> bool:
    return bool(record.checkpoints) or bool(record.steps_gained and record.steps_gained > 0)


def _failures_since_checkpoint(recent: Sequence[AttemptRecord]) -> list[AttemptRecord]:
    """Counted outcomes since the last newer checkpoint; an attempt that saved before it failed is the first of a new count."""
    failures: list[AttemptRecord] = []
    for record in reversed(recent):
        if counts(record):
            failures.append(record)
        if _progressed(record):
            break
    return failures[::-1]


def _spent(recent: Sequence[AttemptRecord], max_failures: int) -> str:
    failures = _failures_since_checkpoint(recent)
    if counts(recent[-1]):
        if max_failures >= 0 and len(failures) > max_failures:
            return (
                f"restart budget spent: {len(failures)} failures without a newer checkpoint (max_failures: {max_failures})"
            )
        looping = _crash_loop(failures)
        if looping is not None:
            return f"crash loop: {SAME_STEP_FAILURES} failures at step {looping} with no new checkpoint between"
    return _no_progress(recent)


def _crash_loop(failures: Sequence[AttemptRecord]) -> int | None:
    """The step at which the last two failures happened, if they did so with no checkpoint between. An unknown step is no step."""
    if len(failures) < SAME_STEP_FAILURES:
        return None
    before, last = failures[-2], failures[-1]
    if last.last_step is None or before.last_step != last.last_step or _progressed(last):
        return None
    return last.last_step


def _no_progress(recent: Sequence[AttemptRecord]) -> str:
    tail = recent[-NO_PROGRESS_ATTEMPTS:]
    if len(tail) == NO_PROGRESS_ATTEMPTS and not any(_progressed(record) for record in tail):
        return f"no progress: {NO_PROGRESS_ATTEMPTS} attempts in a row without a newer checkpoint"
    return ""


def stuck_on_checkpoint(history: Sequence[AttemptRecord]) -> str:
    """The checkpoint on which the last two attempts died before their first new step, "" if there is none."""
    tail = history[-SAME_STEP_FAILURES:]
    if len(tail) < SAME_STEP_FAILURES or not all(counts(record) for record in tail):
        return ""
    before, last = tail
    same = last.resumed_from and last.resumed_from == before.resumed_from
    moved = any(_moved(record) for record in tail)
    return last.resumed_from if same and not moved else ""


def _moved(record: AttemptRecord) -> bool:
    if record.checkpoints or record.last_step is None:
        return bool(record.checkpoints)
    return record.resumed_step is None or record.last_step > record.resumed_step
