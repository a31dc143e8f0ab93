"""What a power cut may leave: a model that replays the traced calls of one process and forgets what was not synced.

A kill loses nothing that was written; a power cut does, and no kill test can see a missing fsync. As in LevelDB's fault injection: the
content of a file is safe as of its last fsync, a name in a directory as of the directory's last fsync. Two worst cases for each moment:

    forgotten     names and contents that were not synced are gone
    names first   all names are there, contents that were not synced are not: a rename that overtook its data
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALL = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)(.*)", re.DOTALL)


class File:
    """A file: as it is, and as it would be after a power cut."""

    def __init__(self, data: bytes = b"", *, link: bool = False) -> None:
        self.data = bytearray(data)
        self.safe: bytes | None = bytes(data) if link else None
        self.link = link

    def sync(self) -> None:
        self.safe = bytes(self.data)


class Directory:
    """Names in a directory: as they are, and as they would be after a power cut."""

    def __init__(self) -> None:
        self.names: dict[str, File | Directory] = {}
        self.safe: dict[str, File | Directory] = {}

    def sync(self) -> None:
        self.safe = dict(self.names)


class Disk:
    """The tree below `root`, as the traced calls change it. What was there at the beginning is safe."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.top = _load(root)
        self.said = b""  # what the process wrote to its stdout
        self._open: dict[int, File | Directory] = {}

    def replay(self, trace: list[str]) -> Iterator[str]:
        """Apply the calls one by one; yields each mutating one after it was applied."""
        for line in trace:
            found = _CALL.match(line)
            if found and int(found[3]) >= 0 and self._apply(found[1], found[2], int(found[3])):
                yield line

    def forgotten(self, place: str) -> str:
        """The tree after a power cut that loses all that was not synced, written below `place`."""
        return _write(self.top, os.path.join(place, "forgotten"), names="safe")

    def names_first(self, place: str) -> str:
        """The tree after one that loses only contents that were not synced."""
        return _write(self.top, os.path.join(place, "names-first"), names="names")

    def _apply(self, name: str, rest: str, result: int) -> bool:
        method = getattr(self, f"_{name}", None)
        if name in _IGNORED:
            return False
        assert method, f"the model does not know {name}({rest[:200]})"
        return bool(method(rest, result))

    # --- calls; each returns whether the tree was changed or synced --------------------------------------------------------
    def _openat(self, rest: str, result: int) -> bool:
        self._open.pop(result, None)
        path = _paths(rest)[0]
        if not self._inside(path):
            return False
        parent, base = self._parent(path)
        made = "O_CREAT" in rest and base not in parent.names
        if made:
            parent.names[base] = File()
        node = parent.names[base] if base else self.top
        self._open[result] = node
        if "O_TRUNC" in rest and isinstance(node, File):
            node.data.clear()
            made = True
        return made

    def _close(self, rest: str, _result: int) -> bool:
        self._open.pop(int(rest.partition("<")[0]), None)
        return False

    def _write(self, rest: str, result: int) -> bool:
        fd = int(rest.partition("<")[0])
        data = rest[rest.index('"') + 1 : rest.rindex('"')].encode("utf-8", "surrogateescape")[:result]
        if fd == 1:
            self.said += data
        node = self._open.get(fd)
        if not isinstance(node, File):
            return False
        node.data += data  # nothing here writes but at the end
        return True

    def _fsync(self, rest: str, _result: int) -> bool:
        node = self._open.get(int(rest.partition("<")[0]))
        if node is not None:
            node.sync()
        return node is not None

    _fdatasync = _fsync

    def _mkdir(self, rest: str, _result: int) -> bool:
        return self._add(_paths(rest)[0], Directory())

    def _symlink(self, rest: str, _result: int) -> bool:
        target, path = _strings(rest)[:2]
        return self._add(os.path.join(self.root, path), File(target.encode("utf-8", "surrogateescape"), link=True))

    def _rename(self, rest: str, _result: int) -> bool:
        old, new = _paths(rest)[:2]
        if not self._inside(old):
            return False
        parent, base = self._parent(old)
        return self._add(new, parent.names.pop(base))

    def _unlink(self, rest: str, _result: int) -> bool:
        path = _paths(rest)[0]
        if not self._inside(path):
            return False
        parent, base = self._parent(path)
        del parent.names[base]
        return True

    _rmdir = _unlinkat = _unlink
    _renameat = _renameat2 = _rename
    _mkdirat = _mkdir
    _symlinkat = _symlink

    # --- paths ---------------------------------------------------------------------------------------------------------------
    def _add(self, path: str, node: File | Directory) -> bool:
        if not self._inside(path):
            return False
        parent, base = self._parent(path)
        parent.names[base] = node
        return True

    def _inside(self, path: str) -> bool:
        return path == self.root or path.startswith(self.root + "/")

    def _parent(self, path: str) -> tuple[Directory, str]:
        *parts, base = path[len(self.root) :].strip("/").split("/")
        node = self.top
        for part in parts:
            below = node.names[part]
            assert isinstance(below, Directory), path
            node = below
        return node, base


_IGNORED = frozenset(("access", "faccessat", "faccessat2", "flock", "chmod", "fchmod", "fchmodat", "utimensat"))


def _strings(rest: str) -> list[str]:
    return re.findall(r'"((?:[^"])*)"', rest, re.DOTALL)


def _paths(rest: str) -> list[str]:
    """The paths among the arguments, absolute: relative ones count from the directory that stands before them."""
    found = []
    for at, path in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', rest, re.DOTALL):
        found.append(path if path.startswith("/") or not at else os.path.join(at, path))
    return found


def _load(path: str) -> Directory:
    directory = Directory()
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_symlink():
                node: File | Directory = File(os.fsencode(os.readlink(entry.path)), link=True)
            elif entry.is_dir():
                node = _load(entry.path)
            else:
                with open(entry.path, "rb") as file:
                    node = File(file.read())
                node.sync()
            directory.names[entry.name] = node
    directory.sync()
    return directory


def _write(directory: Directory, path: str, *, names: str) -> str:
    os.mkdir(path)
    for name, node in getattr(directory, names).items():
        below = os.path.join(path, name)
        if isinstance(node, Directory):
            _write(node, below, names=names)
        elif node.link:
            os.symlink(bytes(node.data), os.fsencode(below))
        else:
            with open(below, "wb") as file:
                file.write(node.safe or b"")
    return path
