"""Pickles are never loaded, for loading runs what they say. That one ends with its STOP opcode shows that its end was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckptrun.checkpoints.kinds.file import File

_STOP = b"."
# torch.save before 1.6 pickles this number first and lets raw storages follow: torch/serialization.py, MAGIC_NUMBER
_OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def check(file: File, _deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """The last byte is STOP; a file of the old torch format can be told from a cut one by nothing."""
    if file.at(2, len(_OLD_TORCH)) == _OLD_TORCH:
        return
    if file.at(file.size - 1, 1) != _STOP:
        raise file.cut_short("a pickle ends with a full stop")
