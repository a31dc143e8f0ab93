"""safetensors: read by hand, because a header and bytes are all there is, and the library cannot write a block at a time."""

from __future__ import annotations

import msgspec

from ckptrun.checkpoints.kinds import tensors as structure
from ckptrun.model import Noun
from ckptrun.state import dtypes
from ckptrun.state.data import Piece, opened
from ckptrun.state.tensor import Contents, Tensor, simple


class _Entry(Noun, frozen=True, kw_only=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def contents(path: str) -> Contents:
    """What is in the file.

    Raises:
        Broken: it is not whole.
    """
    with opened(path) as file:
        structure.check(file, False)
        length = int.from_bytes(file.at(0, 8), "little")
        try:
            header = msgspec.json.decode(file.at(8, length), type=dict[str, msgspec.Raw])
            notes = msgspec.json.decode(header.pop("__metadata__", msgspec.Raw(b"{}")), type=dict[str, str])
            entries = {name: msgspec.json.decode(raw, type=_Entry) for name, raw in header.items()}
        except (msgspec.MsgspecError, ValueError) as error:
            raise file.wrong(f"its header is not one: {error}") from error
        if any(side < 0 for entry in entries.values() for side in entry.shape):
            raise file.wrong("a tensor has a shape that is none")
    return Contents(
        format="safetensors",
        notes=notes,
        tensors=[_tensor(path, name, entry, 8 + length) for name, entry in entries.items()],
    )


def _tensor(path: str, name: str, entry: _Entry, begin: int) -> Tensor:
    first, last = entry.data_offsets
    known = dtypes.BY_CODE.get(entry.dtype)
    return simple(name, known.name if known else entry.dtype, entry.shape, Piece(path, begin + first, last - first))
