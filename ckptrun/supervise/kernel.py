"""The two things of Linux's that Python does not offer: who adopts orphans, and what a child is told when its parent dies."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Orphans of our tree become our children, so that nothing on this host escapes by a double fork."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def ask_for_sigterm_when_parent_dies() -> None:
    """Called in the child, before exec: SIGTERM when the thread that forked it is gone, however that happened."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _load() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


_libc = _load()  # before the fork: nothing is loaded between fork and exec


def _prctl(option: int, value: int) -> None:
    if _libc is not None:  # there is nothing like it elsewhere; what is left of a tree is then ended by the next start
        _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
