"""The directory that Lightning keeps in a checkpoint's state (ModelCheckpoint.state_dict), where the checkpoint now lies in another.

The state is a pickle in a zip archive. Nothing is unpickled: strings are replaced in its operations (`moved`, PURE), and the new pickle
and a new index are appended to the archive (`move`). So the file that was backed up is the beginning of the one that is restored, and
can be compared with it at any time.
"""

from __future__ import annotations

import os
import pickletools
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

LAYOUTS = ("lightning", "nemo")
LARGEST = 64 << 20  # bytes of a pickle
_FILES = re.compile(r"\.ckpt$|(^|/)meta\.pt$")  # a file, or what belongs to no shard in a directory of them
_PICKLE = re.compile(r"(^|/)data\.pkl$")
_KEY, _NEXT = (
    "dirpath",
    "best_k_models",
)  # what stands behind the directory tells ModelCheckpoint's from a setting of that name
_UNREADABLE = (ValueError, zipfile.BadZipFile, RuntimeError, EOFError, OverflowError, struct.error, zlib.error)
_STRINGS = {"BINUNICODE": 4, "SHORT_BINUNICODE": 1, "BINUNICODE8": 8}  # bytes of the length
_PUT, _GET = ("BINPUT", "LONG_BINPUT"), ("BINGET", "LONG_BINGET")


class Text(NamedTuple):
    """A string in a pickle: where its operation is (begin = end: it is a repetition), and what it says."""

    begin: int
    end: int
    width: int
    says: str


def applies(layout: str, path: str) -> bool:
    """Whether a file of a checkpoint may hold such a directory."""
    return layout in LAYOUTS and _FILES.search(path) is not None


def moved(pickle: bytes, directory: str, before: str) -> bytes:
    """The pickle with `directory` in the place of ModelCheckpoint's, in all that it names there; unchanged if it holds none.

    Of several, each of another ModelCheckpoint, it is the one in whose end `before`, where the checkpoint lay, is found again.

    Raises:
        ValueError: it is no pickle, or of a kind in which nothing can be replaced.
    """
    texts = list(_texts(pickle))
    old = _left(_directories(texts), before)
    if old in ("", directory):
        return pickle
    made, at = bytearray(), 0
    for text in texts:
        new = _elsewhere(text.says, old, directory)
        if text.begin < text.end and new != text.says:
            data = new.encode("utf-8", "surrogatepass")
            made += pickle[at : text.begin + 1] + len(data).to_bytes(text.width, "little") + data
            at = text.end
    return bytes(made + pickle[at:])


def move(path: str, directory: str, before: str) -> bool:
    """Append the moved state to the archive at `path`; False if it holds no directory that is another one, or is of another kind."""
    with open(path, "r+b") as file:
        if (found := _state_in(file, directory, before)) is None:
            return False
        name, state = found
        size = file.seek(0, os.SEEK_END)
        with zipfile.ZipFile(file, "a") as archive:
            archive.start_dir = size  # behind the old index, which would be overwritten otherwise
            _replace(archive, name, state)
        file.flush()
        os.fsync(file.fileno())
    return True


def is_moved(path: str, directory: str, before: str, size: int) -> bool:
    """Whether there is nothing left to move in the archive at `path`, which had `size` bytes before anybody did."""
    with open(path, "rb") as file:
        try:
            return _changed(file, directory, before) is None
        except _UNREADABLE:
            return os.fstat(file.fileno()).st_size == size  # an append that was cut short, or something that nobody moves


def _changed(file: BinaryIO, directory: str, before: str) -> tuple[str, bytes] | None:
    """The member that holds the state, and what must be in it; None if nothing must be changed."""
    with zipfile.ZipFile(file) as archive:
        name = next((each for each in archive.namelist() if _PICKLE.search(each)), None)
        if name is None or archive.getinfo(name).file_size > LARGEST:
            return None
        state = archive.read(name)
    new = moved(state, directory, before)
    return None if new == state else (name, new)


def _state_in(file: BinaryIO, directory: str, before: str) -> tuple[str, bytes] | None:
    """The same, and None where nobody here can change it."""
    try:
        return _changed(file, directory, before)
    except _UNREADABLE:
        return None


def _replace(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    old = archive.getinfo(name)
    place = archive.filelist.index(old)
    archive.filelist.remove(old)
    del archive.NameToInfo[name]
    archive.writestr(zipfile.ZipInfo(name, old.date_time), data)
    archive.filelist.insert(place, archive.filelist.pop())


# --- strings in a pickle ----------------------------------------------------------------------------------------------
def _texts(pickle: bytes) -> Iterator[Text]:
    """All strings, in order, those that are referred to again too."""
    remembered: dict[Any, str] = {}
    last = ""
    for operation, argument, found_at in pickletools.genops(pickle):
        kind, at = operation.name, found_at or 0
        if kind in ("FRAME", "MEMOIZE"):
            raise ValueError("a pickle of protocol 4 counts its bytes")
        if kind in _PUT and last:
            remembered[argument] = last
        last = ""
        if kind in _STRINGS:
            width, last = _STRINGS[kind], str(argument)
            yield Text(at, at + 1 + width + len(last.encode("utf-8", "surrogatepass")), width, last)
        elif kind in _GET and argument in remembered:
            yield Text(at, at, 0, remembered[argument])


def _directories(texts: list[Text]) -> set[str]:
    """What each ModelCheckpoint calls its directory."""
    triples = zip(texts, texts[1:], texts[2:], strict=False)
    return {value.says for key, value, after in triples if key.says == _KEY and after.says == _NEXT and value.says}


def _left(directories: set[str], before: str) -> str:
    """The one that the checkpoint has left; "" if that cannot be told."""
    tail = f"/{before.strip('/')}/"
    fitting = {each for each in directories if f"{each.rstrip('/')}/".endswith(tail)} or directories
    return fitting.pop() if len(fitting) == 1 else ""


def _elsewhere(says: str, old: str, directory: str) -> str:
    if says == old or says.startswith(old.rstrip("/") + "/"):
        return (directory + says[len(old.rstrip("/")) :]).rstrip("/")
    return says
