"""safetensors: a length, a JSON header, and tensors that fill the rest without holes (huggingface/safetensors, README "Format")."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import msgspec

from ckptrun.model import Noun

if TYPE_CHECKING:
    from ckptrun.checkpoints.kinds.file import File

_LARGEST_HEADER = 100_000_000  # bytes: the format's own limit
_BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
}
_BITS.update({"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8})


class _Tensor(Noun, frozen=True, kw_only=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def check(file: File, _deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """The header describes exactly the bytes that follow it; the format has no checksums."""
    length = int.from_bytes(file.at(0, 8), "little")
    if file.size < 8 or length > _LARGEST_HEADER:
        raise file.wrong(f"its header would have {length} bytes")
    if 8 + length > file.size:
        raise file.cut_short(f"its header needs {8 + length} bytes, {file.size} are there")
    try:
        header = msgspec.json.decode(file.at(8, length), type=dict[str, msgspec.Raw])
        header.pop("__metadata__", None)
        tensors = [(name, msgspec.json.decode(raw, type=_Tensor)) for name, raw in header.items()]
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise file.wrong(f"its header is not one: {error}") from error
    _fill(file, sorted(tensors, key=lambda item: item[1].data_offsets), file.size - 8 - length)


def _fill(file: File, tensors: list[tuple[str, _Tensor]], space: int) -> None:
    at = 0
    for name, tensor in tensors:
        begin, end = tensor.data_offsets
        if begin != at or end < begin:
            raise file.wrong(f"tensor {name} begins at {begin}, where {at} is next")
        bits = _BITS.get(tensor.dtype)
        if bits and (any(side < 0 for side in tensor.shape) or prod(tensor.shape) * bits != (end - begin) * 8):
            raise file.wrong(f"tensor {name} has {end - begin} bytes, not what its shape needs")
        at = end
    if at > space:
        raise file.cut_short(f"its tensors need {at} bytes, {space} are there")
    if at < space:
        raise file.wrong(f"{space - at} bytes follow its last tensor")
