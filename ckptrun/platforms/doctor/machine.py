"""This machine: which Python it is, whether programs can be run from its temporary directory, whether a user may mount."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile

from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000  # CLONE_NEWUSER, CLONE_NEWNS
_PRIVATE = 1 << 18 | 1 << 14  # MS_PRIVATE | MS_REC
# What may forbid it: (file below /proc/sys, the value that does, what to ask the administrators for)
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
)


def examine(environ: Mapping[str, str]) -> list[Finding]:
    """The interpreter, the node-local directory, user namespaces."""
    version = ".".join(map(str, sys.version_info[:3]))
    found = [_found(OK, f"Python {version} ({sys.executable})"), _temporary(environ)]
    return [*found, _namespaces()] if sys.platform == "linux" else found


def _temporary(environ: Mapping[str, str]) -> Finding:
    """Where the request file, the socket and our own scontrol will be."""
    base = environ.get("TMPDIR", "")
    usable = bool(base) and os.path.isabs(base) and len(base.encode()) <= 70  # a socket's path may be 107 bytes long
    folder = base if usable else "/tmp"  # noqa: S108  # looked at only
    try:
        with tempfile.NamedTemporaryFile(prefix="ckptrun-doctor-", dir=folder) as file:
            file.write(b"#!/bin/sh\n")
            file.flush()
            os.fchmod(file.fileno(), 0o700)
            runs = os.access(file.name, os.X_OK)
    except OSError as error:
        return _found(
            PROBLEM, f"nothing can be written in {folder}: {error.strerror}", "set TMPDIR to a directory on this machine"
        )
    if not runs:
        text = f"{folder} is mounted noexec: when a script calls scontrol requeue, ckptrun does not hear of it"
        return _found(NOTE, text, "turn the script's own requeueing off, or set TMPDIR to another directory on this machine")
    return _found(OK, f"{folder} can be written, and programs be run from it")


def _namespaces() -> Finding:
    why = try_namespaces()
    if not why:
        return _found(OK, "a user may make mounts of their own here (user namespaces)")
    todo = "none as long as scripts take their paths from ckptrun (input/, output/)"
    for name, forbids, ask_for in _SWITCHES:
        if _read(name) == forbids:
            return _found(
                NOTE,
                f"a user may make no mounts of their own here: {why} ({ask_for.split()[1].split('=')[0]}={forbids})",
                f"{todo}; else ask for {ask_for}",
            )
    return _found(NOTE, f"a user may make no mounts of their own here: {why}", todo)


def try_namespaces() -> str:
    """Make a user namespace with mounts of its own, in a child; "" if it can be done, else why not."""
    libc = ctypes.CDLL(None, use_errno=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, _in_child(libc).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as told:
        said = told.read().decode()
    os.waitpid(child, 0)
    return said.removeprefix("ok") if said else "the attempt was ended from outside"


def _in_child(libc: ctypes.CDLL) -> str:
    """`ok`, or what could not be done and why."""
    uid = os.getuid()
    if libc.unshare(_NEW_USER | _NEW_MOUNTS):
        return f"a namespace: {os.strerror(ctypes.get_errno())}"
    try:
        with open("/proc/self/uid_map", "w", encoding="ascii") as file:
            file.write(f"0 {uid} 1")
    except OSError as error:
        return f"its user: {error.strerror}"
    if libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None):
        return f"a mount: {os.strerror(ctypes.get_errno())}"
    return "ok"


def _read(name: str) -> str:
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # this kernel has no such switch
        return ""


def _found(level: str, text: str, todo: str = "") -> Finding:
    return Finding(level=level, about="machine", text=text, todo=todo)
