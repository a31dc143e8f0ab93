"""JSON documents parse or are not whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ckptrun.checkpoints.kinds.file import File

_LARGEST = 256 << 20  # bytes: parsing takes several times as much memory


def check(file: File, _deep: bool) -> None:  # noqa: FBT001  # one signature for all kinds
    """The text is one JSON document; a very large one must at least end as one."""
    if file.size > _LARGEST:
        if file.at(file.size - 64, 64).rstrip()[-1:] not in (b"}", b"]"):
            raise file.cut_short("it does not end as JSON does")
        return
    data = file.at(0, file.size)
    try:
        msgspec.json.decode(data)
    except RecursionError:
        raise file.wrong("it is nested too deeply to be a state") from None
    except (msgspec.MsgspecError, ValueError) as error:
        if "truncated" in str(error):
            raise file.cut_short("its JSON is not closed") from error
        if not _lenient(data):
            raise file.wrong(f"it is not JSON: {error}") from error


def closed(file: File, _deep: bool) -> None:  # noqa: FBT001  # as above
    """UBJSON (XGBoost): one object, from bracket to bracket."""
    if file.at(0, 1) != b"{":
        raise file.wrong("it does not begin as UBJSON does")
    if file.at(file.size - 1, 1) != b"}":
        raise file.cut_short("its object is not closed")


def _lenient(data: bytes) -> bool:
    """Python's json writes NaN and Infinity, and reads them."""
    import json  # noqa: PLC0415  # for the rare document only

    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
