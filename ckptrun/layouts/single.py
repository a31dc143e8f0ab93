"""One file that a script rewrites in place, among others that are not its state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from ckptrun.layouts import naming
from ckptrun.layouts.claim import UNFINISHED, Claim, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "single"
_MOST = 8  # of one directory: whoever keeps more files has no one file that is the state
_WHY = (
    "though it sounds like a result, or an older one",
    "and nothing speaks against it",
    "and it sounds like one to continue from",
)
_FOLLOWS = frozenset(("last", "latest", "current"))
_PART = re.compile(r"\d[-_]of[-_]\d|(?:rank|shard|part|chunk|worker|fold|[tpdm]p)[-_.]?\d", re.IGNORECASE)


def may_be(entry: Entry) -> bool:
    """Could this file be one? Decided before anybody looks up its time."""
    return not entry.directory and not entry.link and _claim(entry) is not None


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """Files that may be a script's state, the likeliest last: by what their names promise, then the newest."""
    found = [claim for entry in entries if not entry.directory and not entry.link and (claim := _claim(entry))]
    found.sort(key=lambda claim: (claim.likeness, claim.time, claim.name))
    if found:
        found[-1] = msgspec.structs.replace(found[-1], why=_why(found[-1], len(found)))
    return found[-_MOST:]


def _why(likeliest: Claim, count: int) -> str:
    among = "the only file here that may be a state" if count == 1 else f"the likeliest of {count} files here"
    return f"{likeliest.name}: {among}, {likeliest.why}"


def _claim(entry: Entry) -> Claim | None:
    if not naming.might_be(entry.name):
        return None
    final = naming.final_name(entry.name)
    likeness = naming.sounds(final or entry.name)
    if likeness < 0 or _PART.search(entry.name):
        return None
    return Claim(
        layout=NAME,
        name=entry.name,
        files=[entry.name],
        time=entry.time,
        unfinished=UNFINISHED if final else "",
        guess=True,
        follows=bool(_FOLLOWS & set(naming.words(entry.name))) and not final,
        best=likeness == 0 and "best" in naming.words(entry.name),
        why=_WHY[likeness],
        likeness=likeness,
    )
