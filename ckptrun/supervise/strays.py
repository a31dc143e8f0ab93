"""Processes that an ended attempt left behind: two writers of one run must not live side by side."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

from ckptrun import names
from ckptrun.supervise import tree

if TYPE_CHECKING:
    from ckptrun.supervise.tree import Proc


_TERM_SECONDS = 5.0
_KILL_SECONDS = 5.0


def end_strays(run_dir: str, ended: dict[str, str], *, uid: int, own_pid: int) -> tuple[list[str], list[str]]:
    """End what is left of ended attempts; (ended, only reported), each a sentence with pid and command.

    Ended is only what is surely a stray: of our user, with the run's directory and the attempt's id in its environment, and in the
    control group that the attempt was in, or in ours. Everything else that bears the id is reported.

    Args:
        run_dir: absolute path of the run.
        ended: attempt id → text of the cgroup file that was recorded for it.
        uid: whose processes may be ended.
        own_pid: we; our ancestors are never touched.
    """
    own_cgroup = _cgroup(own_pid)
    spared = _ancestors(own_pid)
    surely: list[Proc] = []
    reported = []
    for each, values in _bearing(ended, uid, spared):
        cgroup = _cgroup(each.pid)
        ours = cgroup in (own_cgroup, ended[values[names.ENV_ATTEMPT_ID]])
        if ours and values.get(names.ENV_RUN_DIR) == run_dir:
            surely.append(each)
        else:
            where = (
                "in another control group" if not ours else f"of a run in {values.get(names.ENV_RUN_DIR, 'no directory')}"
            )
            reported.append(f"{tree.describe(each)}, {where}")
    return _end(surely), reported


def _end(strays: list[Proc]) -> list[str]:
    described = {each.key: tree.describe(each) for each in strays}
    left = strays
    for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        left = [each for each in left if tree.send(each, number)]
        for each in left:
            tree.send(each, signal.SIGCONT)
        left = _wait(left, seconds)
    outlived = {each.key for each in left}
    return [text + (" (it outlived SIGKILL)" if key in outlived else "") for key, text in described.items()]


def _wait(procs: list[Proc], seconds: float) -> list[Proc]:
    """Those that are still there after at most so many seconds."""
    until = time.monotonic() + seconds
    while (alive := [each for each in procs if _is_alive(each)]) and (left := until - time.monotonic()) > 0:
        _wait_for(alive[0], left)
    return alive


def _wait_for(each: Proc, seconds: float) -> None:
    try:
        fd = os.pidfd_open(each.pid)
    except (OSError, AttributeError):
        time.sleep(min(seconds, 0.02))
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        os.close(fd)
    time.sleep(0.001)  # a pidfd is readable a moment before the process is a zombie for all to see


def _is_alive(each: Proc) -> bool:
    now = tree.read(each.pid)
    return now is not None and now.start == each.start and now.state not in tree.DEAD


def _bearing(ids: dict[str, str], uid: int, spared: set[int]) -> list[tuple[Proc, dict[str, str]]]:
    """Living processes of the user that carry one of the ids, with what they carry."""
    needles = [f"{names.ENV_ATTEMPT_ID}={each}".encode() for each in ids]
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not entry.isdigit() or int(entry) in spared:
            continue
        text = _environ(int(entry), uid)
        words = text.split(b"\0") if any(needle in text for needle in needles) else []
        if any(needle in words for needle in needles):
            each = tree.read(int(entry))
            if each is not None and each.state not in tree.DEAD:
                found.append((each, dict(os.fsdecode(word).split("=", 1) for word in words if b"=" in word)))
    return found


def _environ(pid: int, uid: int) -> bytes:
    try:
        if os.stat(f"/proc/{pid}").st_uid != uid:
            return b""
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:  # gone, or not ours to look into
        return b""


def _ancestors(pid: int) -> set[int]:
    found = {pid}
    each = tree.read(pid)
    while each is not None and each.parent > 0 and each.parent not in found:
        found.add(each.parent)
        each = tree.read(each.parent)
    return found


def _cgroup(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
