"""The average of the same tensors of several checkpoints: in double precision, a block at a time, rounded once at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckptrun import errors
from ckptrun.state import dtypes, numbers
from ckptrun.state.data import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckptrun.state.tensor import Contents, Tensor

_AVERAGED = (dtypes.FLOAT, dtypes.COMPLEX)
_MOST_NAMED = 20  # differences in a sentence


def columns(sources: Sequence[tuple[str, Contents]]) -> list[list[Tensor]]:
    """For each tensor of the last source, which is the newest, it and its fellows in all sources.

    Raises:
        CkptrunError: they have not all the same tensors; with the list of what differs.
    """
    newest_name, newest = sources[-1]
    if not newest.tensors:
        raise errors.UsageError(
            f"{newest_name} holds no tensors that can be averaged",
            f"`ckptrun show --tensors {newest_name}` says what it holds",
        )
    found = [{each.name: each for each in contents.tensors} for _, contents in sources]
    problems = [
        problem
        for (name, _), tensors in zip(sources[:-1], found, strict=False)
        for problem in _problems(name, tensors, newest_name, found[-1])
    ]
    if problems:
        more = [f"… and {len(problems) - _MOST_NAMED} more"] if len(problems) > _MOST_NAMED else []
        raise errors.CkptrunError(
            "\n       ".join(["they do not hold the same tensors:", *problems[:_MOST_NAMED], *more]),
            "--only PATTERN averages some of the tensors, as --only 'model.*'",
        )
    return [[tensors[each.name] for tensors in found] for each in newest.tensors]


def average(column: Sequence[Tensor]) -> Iterator[bytes]:
    """The mean of one tensor, a block at a time; what is no float and no complex number is the newest's.

    Raises:
        Broken, OSError, UsageError: as the tensors' data, and numbers.decoded.
    """
    newest = column[-1]
    if newest.kind not in _AVERAGED or len(column) == 1:
        yield from newest.data.blocks()
        return
    for total in _whole(column) if any(each.data.whole for each in column) else _by_blocks(column):
        yield numbers.encoded(total / len(column), newest.dtype)


def averaged(column: Sequence[Tensor]) -> bool:
    """Whether it is averaged, and not taken from the newest."""
    return column[-1].kind in _AVERAGED


def _by_blocks(column: Sequence[Tensor]) -> Iterator[Any]:
    wide = _wide(column[-1])
    for blocks in zip(*(each.data.blocks() for each in column), strict=True):
        total = numbers.decoded(blocks[0], column[-1].dtype).astype(wide)
        for block in blocks[1:]:
            total += numbers.decoded(block, column[-1].dtype)
        yield total


def _whole(column: Sequence[Tensor]) -> Iterator[Any]:
    """Where one of them must be in memory as a whole: one after the other, beside the sum."""
    np, newest = numbers.numpy(), column[-1]
    total = np.zeros(newest.elements, _wide(newest))
    step = BLOCK // dtypes.BY_NAME[newest.dtype].width
    for each in column:
        for number, block in enumerate(each.data.blocks()):
            total[number * step : (number + 1) * step] += numbers.decoded(block, newest.dtype)
    for begin in range(0, total.size, step):
        yield total[begin : begin + step]


def _wide(tensor: Tensor) -> str:
    return "c16" if tensor.kind == dtypes.COMPLEX else "f8"


def _problems(name: str, tensors: dict[str, Tensor], newest_name: str, newest: dict[str, Tensor]) -> Iterator[str]:
    for each, wanted in newest.items():
        if each not in tensors:
            yield f"{name} lacks {each}, which {newest_name} has"
        elif tensors[each].described != wanted.described:
            yield f"{each} is {tensors[each].described} in {name} and {wanted.described} in {newest_name}"
    for each in tensors:
        if each not in newest:
            yield f"{newest_name} lacks {each}, which {name} has"
