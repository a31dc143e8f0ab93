"""A container image without Slurm's commands, made of this machine's own files, and a runtime that needs neither daemon nor root."""

from __future__ import annotations

import os
import shutil

INSTALL = "apt-get install --no-install-recommends charliecloud-runtime"
_SHOWN = (
    "/usr/lib",
    "/usr/lib64",
    "/usr/local",
)  # what an interpreter and its packages need; none of Slurm's commands is there
_COMMANDS = ("sh", "env", "cat")
_EMPTY = ("bin", "dev", "etc", "home", "lib64", "mnt", "proc", "sys", "tmp", "usr/bin", *(path[1:] for path in _SHOWN))


def missing() -> str:
    """Why there can be no container here, "" if there can."""
    return "" if shutil.which("ch-run") else f"a container needs ch-run: {INSTALL}"


def build(image: str) -> None:
    """An image, which is a directory."""
    for path in dict.fromkeys(_EMPTY):
        os.makedirs(os.path.join(image, path))
    for name in ("hosts", "resolv.conf", "passwd", "group"):
        with open(os.path.join(image, "etc", name), "w", encoding="ascii"):
            pass
    for name in _COMMANDS:
        shutil.copy(f"/usr/bin/{name}", os.path.join(image, "usr", "bin"))
    for name in ("bin", "lib64", "lib"):
        shutil.rmtree(os.path.join(image, name), ignore_errors=True)
        os.symlink(f"usr/{name}", os.path.join(image, name))


def command(image: str, folder: str) -> str:
    """The beginning of a command that runs in `folder` inside; /tmp, and with it everything of a test cluster, is seen there."""
    shown = " ".join(f"--bind={path}:{path}" for path in _SHOWN if os.path.isdir(path))
    return f"ch-run {shown} --cd={folder} {image} --"
