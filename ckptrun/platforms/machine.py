"""What the kernel says about this boot and this process. `man 5 proc`; empty or 0 where a system does not say."""

from __future__ import annotations

import os
import sys

_TEXT = 1 << 16  # bytes
_LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "ramfs", "overlay", "squashfs")


def boot_id() -> str:
    """A text that is another one after every boot; the same in all containers of a machine."""
    if sys.platform == "darwin":
        return _mac_boot_time()
    return _read("/proc/sys/kernel/random/boot_id").strip()


def start_ticks() -> int:
    """When this process started, in clock ticks since boot: a pid that is used again has another."""
    stat = _read("/proc/self/stat")
    fields = stat[stat.rfind(")") + 2 :].split()  # the name before may hold spaces and parentheses
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else 0


def pid_namespace() -> str:
    """Which processes see our pid as we do."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def cgroup() -> str:
    """The cgroups of this process, as the kernel lists them."""
    return _read("/proc/self/cgroup")


def lies_here(path: str) -> bool:
    """Whether a path, or the nearest above it that exists, is on a disk of this machine, which others see only if it serves them."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in _read("/proc/self/mountinfo").splitlines():  # man 5 proc: …, major:minor third, the type after " - "
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == wanted:
            return rest.split(" ")[0] in _LOCAL
    return False


def parent_name() -> str:
    """The name of the process that started us."""
    return _read(f"/proc/{os.getppid()}/comm").strip()


def parent_catches(number: int) -> bool:
    """Whether the process that started us has a handler for this signal, as a shell with a trap has."""
    for line in _read(f"/proc/{os.getppid()}/status").splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _TEXT).decode("utf-8", "backslashreplace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _mac_boot_time() -> str:
    import subprocess  # noqa: PLC0415  # macOS only

    try:
        ran = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=False, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.decode("ascii", "replace").strip()
