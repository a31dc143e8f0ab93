"""Which filesystem a directory is on, and what its kind and options mean for a run. Pure; `man 5 proc`, mountinfo."""

from __future__ import annotations

import os
import re

from ckptrun.model import Noun
from ckptrun.platforms.doctor.finding import NOTE, OK, PROBLEM, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPED = re.compile(r"\\([0-7]{3})")
_NETWORK = (
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "ceph", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "fuse.juicefs",
    "panfs", "pvfs2", "orangefs", "afs", "wekafs", "9p", "virtiofs", "fuse.dfuse",
)  # fmt: skip
_IN_MEMORY = ("tmpfs", "ramfs")
_OBJECTS = ("fuse.gcsfuse", "fuse.s3fs", "fuse.mountpoint-s3", "fuse.goofys", "fuse.rclone")
# Kinds and options that keep locks on one machine: a regular expression over the options, and what it means.
_LOCKS = {
    "nfs": (r"\bnolock\b|\blocal_lock=(all|flock)\b", "locks are this machine's own"),
    "nfs4": (r"\blocal_lock=(all|flock)\b", "locks are this machine's own"),
    "lustre": (r"\blocalflock\b|\bnoflock\b", "locks are this machine's own, or there are none"),
    "cifs": (r"\bnobrl\b", "locks are this machine's own"),
    "smb3": (r"\bnobrl\b", "locks are this machine's own"),
    "fuse.sshfs": (r"", "locks are this machine's own"),
    "beegfs": (r"", "locks are this machine's own unless tuneUseGlobalFileLocks is set"),
}
_GUARDED = "heartbeats and attempt numbers guard a run all the same: start it from one place at a time, and after a lost node wait 90 s"


class Mount(Noun, frozen=True, kw_only=True):
    """One line of mountinfo."""

    point: str
    kind: str
    source: str
    options: str  # those of the mount and those of the filesystem, with commas


def parse(text: str) -> list[Mount]:
    """The mounts in the order in which they were made; a line that says something else is left out."""
    found = []
    for line in text.splitlines():
        front, dash, back = line.partition(" - ")
        fields, rest = front.split(), back.split()
        if dash and len(fields) >= 6 and len(rest) >= 3:
            found.append(
                Mount(
                    point=_plain(fields[4]),
                    kind=rest[0],
                    source=_plain(rest[1]),
                    options=f"{fields[5]},{' '.join(rest[2:])}",
                )
            )
    return found


def of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """Where an absolute path without links lies: the deepest mount, of two on one point the later."""
    inside = [mount for mount in mounts if path == mount.point or path.startswith(mount.point.rstrip(os.sep) + os.sep)]
    deepest = max((len(mount.point) for mount in inside), default=0)
    return next((mount for mount in reversed(inside) if len(mount.point) == deepest), None)


def findings(folder: str, mount: Mount, *, shared: bool) -> list[Finding]:
    """What its kind and options mean; `shared`: other machines are to see it, because a scheduler chooses them."""
    where = f"{folder}: {mount.kind}"
    found = [_kind(where, mount, shared=shared)]
    pattern, means = _LOCKS.get(mount.kind, (None, ""))
    if pattern is not None and re.search(pattern, mount.options):
        matched = re.search(pattern, mount.options)
        option = f" ({matched[0]})" if matched and matched[0] else ""
        found.append(_found(NOTE, f"{where}{option}: {means}", _GUARDED))
    options = mount.options.split(",")
    if mount.kind.startswith("nfs") and {"soft", "softerr"} & set(options):
        text = f"{where} (soft): reading and writing may fail where the server is slow"
        found.append(
            _found(NOTE, text, "ask for it to be mounted hard; ckptrun tries again what could not be read, and ends with 74")
        )
    return found


def _kind(where: str, mount: Mount, *, shared: bool) -> Finding:
    if "ro" in mount.options.split(","):
        return _found(PROBLEM, f"{where}, mounted read-only", "write elsewhere: --root")
    if mount.kind in _OBJECTS:
        return _found(
            PROBLEM,
            f"{where}: an object store has no renames that are whole or not at all, and no appending",
            "put --root on a filesystem, and copy what shall be kept",
        )
    if mount.kind in _IN_MEMORY:
        return _found(
            NOTE, f"{where}: it is in memory, and gone with the machine", "put --root where it outlives the machine"
        )
    if mount.kind in _NETWORK:
        return _found(OK, f"{where} from {mount.source}")
    if shared:
        return _found(
            NOTE,
            f"{where}, this machine's own by its looks: a job that comes back on another node does not find its run",
            "put --root on a filesystem that all nodes share",
        )
    return _found(OK, f"{where}, this machine's own")


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _found(level: str, text: str, todo: str = "") -> Finding:
    return Finding(level=level, about="filesystem", text=text, todo=todo)
