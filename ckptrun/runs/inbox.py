"""Requests from other processes and hosts: files dropped into control/inbox, believed only from the run's owner.

Whoever may write there can stop the job, so the directories must be ours and writable by nobody else, each file regular,
with one name, ours or root's, small, for this very attempt, and ask for something that may safely be asked twice.
"""

from __future__ import annotations

import errno
import math
import os
import stat

import msgspec

from ckptrun import errors, names
from ckptrun.model import Request
from ckptrun.runs import documents, durable, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = (names.SAVE, names.SAVE_AND_STOP, names.STOP_NOW)
LARGEST = 4096  # bytes
_ALARMING = stat.S_IWGRP | stat.S_IWOTH


def post(run: paths.RunPaths, request: Request) -> str:
    """Drop a request for the running attempt; where it lies. It appears whole or not at all.

    Raises:
        errors.CkptrunError: it may not be written there, or is too large.
    """
    paths.valid_id(request.id)
    data = documents.encode(request)
    if len(data) > LARGEST:
        raise errors.UsageError(f"the request takes {len(data)} bytes where {LARGEST} are read", "give a shorter reason")
    path = os.path.join(run.inbox, f"{int(request.created * 1e6):020d}-{request.id}.json")
    durable.replace(path, data, sync=False)
    return path


def take(run: paths.RunPaths, attempt: int, note: Callable[[str], None]) -> list[Request]:
    """Requests for `attempt`, oldest first, each handed out once; what is wrong is set aside into control/refused.

    `note` is told, in one line each, what was refused and why; the same line every time, while it stays so.
    An inbox that cannot be read just now is told and says nothing.
    """
    try:
        unsafe = _unsafe(run)
        if unsafe:
            note(unsafe)
            return []
        fd = os.open(run.inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        note(durable.io_error(error, run.inbox).message)
        return []
    try:
        mine = (_taken(run, fd, name, attempt, note) for name in sorted(os.listdir(fd)) if not name.startswith("."))
        return [request for request in mine if request]
    finally:
        os.close(fd)


def _unsafe(run: paths.RunPaths) -> str:
    """Why the way to the inbox cannot be trusted, "" if it can: who can rename a directory on it can put another there."""
    for path in (run.dir, run.control, run.inbox):
        seen = os.lstat(path)
        shown = durable.printable(path)
        if not stat.S_ISDIR(seen.st_mode):
            return f"requests are refused: {shown} is not a directory"
        if seen.st_uid not in (os.geteuid(), 0):
            return f"requests are refused: {shown} belongs to another user (uid {seen.st_uid})"
        if seen.st_mode & _ALARMING:
            return f"requests are refused: {shown} is writable by others (mode {seen.st_mode & 0o7777:04o}; chmod go-w)"
    return ""


def _taken(run: paths.RunPaths, inbox: int, name: str, attempt: int, note: Callable[[str], None]) -> Request | None:
    try:
        request = _request(name, inbox)
        os.unlink(name, dir_fd=inbox)  # before it is acted on: what is asked is asked once
    except _Refused as refused:
        note(f"request {durable.printable(name)} was refused: {refused}")
        _set_aside(run, inbox, name, note)
        return None
    except FileNotFoundError:
        return None
    except OSError as error:
        note(durable.io_error(error, os.path.join(run.inbox, name)).message)
        return None
    if request.attempt != attempt:
        note(f"request {request.id} was for attempt {request.attempt} and came too late for it")
        return None
    return request


class _Refused(Exception):  # never leaves this file
    """Why a file in the inbox is not a request."""


def _request(name: str, inbox: int) -> Request:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inbox)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _Refused("it is not a regular file") from error
        raise
    try:
        _check_file(os.fstat(fd))
        return _checked(os.read(fd, LARGEST + 1))
    finally:
        os.close(fd)


def _check_file(seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise _Refused("it is not a regular file")
    if seen.st_nlink != 1:
        raise _Refused(f"it has {seen.st_nlink} names")
    if seen.st_uid not in (os.geteuid(), 0):
        raise _Refused(f"it belongs to another user (uid {seen.st_uid})")
    if seen.st_size > LARGEST:
        raise _Refused(f"it is larger than {LARGEST} bytes")


def _checked(data: bytes) -> Request:
    try:
        request = msgspec.json.decode(data, type=Request)
        paths.valid_id(request.id)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"it cannot be understood ({durable.printable(str(error))})") from error
    except errors.UsageError as error:
        raise _Refused(error.message) from error
    if request.format != names.FORMAT:
        raise _Refused(f"its format is {request.format}, ours is {names.FORMAT}")
    if request.action not in VERBS:
        raise _Refused(f"it asks for '{durable.printable(request.action[:40])}', not for {', '.join(VERBS)}")
    if request.deadline is not None and not math.isfinite(request.deadline):
        raise _Refused("its deadline is not a time")
    return request


def _set_aside(run: paths.RunPaths, inbox: int, name: str, note: Callable[[str], None]) -> None:
    try:
        paths.make_directory(run.refused, durable.PRIVATE_DIRECTORY)
        os.rename(name, os.path.join(run.refused, name), src_dir_fd=inbox)
    except (OSError, errors.CkptrunError) as error:
        note(f"request {durable.printable(name)} could not be set aside: {durable.printable(str(error))}")
