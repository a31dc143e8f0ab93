"""Processes that an ended attempt left behind: two writers of one run must not live side by side."""

from __future__ import annotations


def end_strays(run_dir: str, ended: dict[str, str], *, uid: int, own_pid: int) -> tuple[list[str], list[str]]:
    """End what is left of ended attempts; (ended, only reported), each a sentence with pid and command.

    Args:
        run_dir: absolute path of the run.
        ended: attempt id → text of the cgroup file that was recorded for it.
        uid: whose processes may be ended.
        own_pid: we; our ancestors are never touched.
    """
    raise NotImplementedError
