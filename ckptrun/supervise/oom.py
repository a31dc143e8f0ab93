"""Did the kernel kill something of ours because memory ran out? It counts that, for each control group."""

from __future__ import annotations

import os

_FILES = ("memory.events", "memory.oom_control")  # cgroup v2, v1
_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified")


def kills(cgroup: str | None = None) -> int | None:
    """How many processes of our control group were killed for want of memory so far; None where that is not told.

    Args:
        cgroup: text of /proc/self/cgroup, which is read if it is not given.
    """
    text = _read("/proc/self/cgroup") if cgroup is None else cgroup
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        for mount in _MOUNTS:
            for name in _FILES:
                count = _count(_read(os.path.join(mount, path.lstrip("/"), name)))
                if count is not None:
                    return count
    return None


def _count(text: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "oom_kill":
            return int(value)
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
