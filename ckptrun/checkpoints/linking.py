"""A file in a second place: by sharing its blocks, by another name for it, or byte by byte."""

from __future__ import annotations

import fcntl
import os

from ckptrun.checkpoints.kinds.file import BLOCK

REFLINK, LINK, COPY = "reflink", "link", "copy"
_FICLONE = 0x40049409  # ioctl(2): share all blocks of another file of this filesystem


def put(source: str, target: str, *, link: bool) -> str:
    """Make `target`, which is not there, hold what `source` holds, durably; how. `link` only where neither is ever rewritten in place.

    Raises:
        OSError: it cannot be read or written.
    """
    with open(os.path.realpath(source), "rb") as old:
        with open(target, "xb") as new:
            os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode & 0o777)
            shared = _shared(old.fileno(), new.fileno())
            if shared:
                os.fsync(new.fileno())
        if shared:
            return REFLINK
        if link and _linked(os.path.realpath(source), target):
            return LINK
        with open(target, "r+b") as new:
            while block := old.read(BLOCK):
                new.write(block)
            new.flush()
            os.fsync(new.fileno())
    return COPY


def _shared(old: int, new: int) -> bool:
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError:  # the filesystem cannot, or they are on two
        return False
    return True


def _linked(source: str, target: str) -> bool:
    """In the place of the empty file at `target`, which stays where there can be no link."""
    beside = f"{target}.link"
    try:
        os.link(source, beside)
    except OSError:
        return False
    os.rename(beside, target)
    return True
