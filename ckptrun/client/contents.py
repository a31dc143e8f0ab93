"""What lies in the folder of a save: which files, what is in them, and all of it on the disk.

Each file is hashed while it is in the cache and then fsynced; large ones two at a time. A failed fsync is an error and is never
tried again: the kernel may have dropped the pages and would call the second one a success.
"""

from __future__ import annotations

import errno
import os
import stat

from ckptrun import names
from ckptrun.client import hashing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.client.early import Early

_WORTH_THREADS = 32 << 20  # bytes: below, starting threads takes longer than they save
_THREADS = 2  # more do not help: memory is the limit (measured: benchmarks/commit.py)


class File:
    """One file: path relative to the folder, size in bytes, XXH3-128 in hex ("" without xxhash)."""

    __slots__ = ("digest", "path", "size")

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.digest = ""


def walk(folder: str) -> tuple[list[File], list[str]]:
    """Files and directories in `folder`, relative to it, directories before what is in them.

    Raises:
        ValueError: something in it cannot be part of a checkpoint; the sentence names it.
    """
    if os.path.islink(folder):
        raise ValueError("the folder was replaced by a link")
    files: list[File] = []
    directories = [""]
    for directory in directories:  # grows while it is walked
        with os.scandir(os.path.join(folder, directory)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = os.path.join(directory, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(path)
                elif _is_file(folder, path, entry):
                    files.append(File(path))
    if not files:
        raise ValueError("nothing was written into the folder")
    return files, directories


def _is_file(folder: str, path: str, entry: os.DirEntry[str]) -> bool:
    """True for a file and for a link to one; False for a link to a directory, whose files are listed where they lie."""
    if path == names.MANIFEST:
        raise ValueError(f"{path}: ckptrun writes a file of this name itself")
    if entry.is_symlink():
        target = os.readlink(entry.path)
        inside, home = os.path.realpath(entry.path), os.path.realpath(folder)
        if os.path.isabs(target) or not inside.startswith(home + "/"):
            raise ValueError(f"{path} is a link that leads outside, to {target}: a checkpoint holds all that it needs")
        if not os.path.exists(inside):
            raise ValueError(f"{path} is a link to nothing: {target}")
        return not os.path.isdir(inside)
    if not entry.is_file(follow_symlinks=False):
        raise ValueError(f"{path} is neither a file nor a directory")
    return True


def refuse_open(folder: str) -> None:
    """A file that is still open for writing may not be whole.

    Raises:
        ValueError: names the file. Without /proc nothing can be said, and nothing is.
    """
    home = os.path.realpath(folder) + "/"
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return
    for name in descriptors:
        try:
            path = os.readlink(f"/proc/self/fd/{name}")
            if path.startswith(home) and _writes(int(name)):
                raise ValueError(f"{path[len(home) :]} is still open for writing: close it inside the block")
        except OSError:
            continue  # closed since


def _writes(descriptor: int) -> bool:
    import fcntl  # noqa: PLC0415  # needed in the rare case only

    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


def settle(folder: str, files: list[File], early: Early | None = None) -> None:
    """Fill in size and digest of each file, and make its content durable; `early` has done some of it already.

    Raises:
        OSError: reading or fsync failed; the folder cannot be trusted any more.
        ValueError: a file changed meanwhile.
    """
    if early is None:
        _settle(folder, files, None)
        return
    early.stop()
    later = [file for file in files if early.busy_with(os.path.join(folder, file.path))]
    _settle(folder, [file for file in files if file not in later], early)
    early.join()
    _settle(folder, later, early)


def _settle(folder: str, files: list[File], early: Early | None) -> None:
    total = sum(os.stat(os.path.join(folder, file.path)).st_size for file in files)
    if total < _WORTH_THREADS or len(files) == 1:
        _settle_all(folder, files, early)
        return
    import functools  # noqa: PLC0415  # for large saves only

    _in_threads([functools.partial(_settle_all, folder, files[k::_THREADS], early) for k in range(_THREADS)])


def _settle_all(folder: str, files: list[File], early: Early | None) -> None:
    for file in files:
        _settle_one(os.path.join(folder, file.path), file, early)


def _settle_one(path: str, file: File, early: Early | None) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        before = os.fstat(fd)
        file.size = before.st_size
        if not stat.S_ISREG(before.st_mode):
            raise ValueError(f"{file.path} is not a file any more")
        file.digest = (early.known(before) if early else "") or hashing.final(fd, before.st_size)
        os.fsync(fd)
        after = os.fstat(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ValueError(f"{file.path} is still being written: the block must not end before")
    finally:
        os.close(fd)


def _in_threads(parts: list[Callable[[], None]]) -> None:
    """Run all; raise the first error after all have ended."""
    import threading  # noqa: PLC0415  # for large saves only

    errors: list[BaseException] = []

    def guarded(part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(part,), name="ckptrun-commit") for part in parts[1:]]
    for thread in threads:
        thread.start()
    guarded(parts[0])
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def sync_directory(path: str) -> None:
    """Make the names in a directory durable; a few network filesystems cannot (EINVAL): they are synchronous."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
