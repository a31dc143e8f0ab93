"""ckptrun's own layout: a directory is complete when its manifest says so. Ten thousand of them are read in half a second."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names, units
from ckptrun.checkpoints import manifest
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.model import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ckptrun.layouts.claim import Claim
    from ckptrun.model import FileEntry, Manifest


def inspect(directory: str, claim: Claim, place: str, patience: Patience, *, sizes: bool) -> Checkpoint | None:
    """The checkpoint `claim` in `directory`; None when it has been moved away meanwhile.

    Its state is what the manifest says; with `sizes` every file is looked at too.
    """
    path = os.path.join(directory, claim.name)
    if claim.unfinished:
        return _broken(directory, claim, place, Broken(names.PARTIAL, claim.unfinished))
    try:
        found = manifest.read(path, patience)
        if sizes:
            require_sizes(path, found.files, patience)
    except Broken as broken:
        return _broken(directory, claim, place, broken) if os.path.lexists(path) else None
    item = _whole(directory, path, claim, place, found)
    if found.thinned:
        left = [f"{claim.name}/{name}" for name in found.thinned if os.path.lexists(os.path.join(path, name))]
        files = [*item.files, *left]  # a prune that was killed
        return msgspec.structs.replace(item, state=names.PARTIAL, reason=thinned(found.thinned), thinned=True, files=files)
    return item


def are_here(directory: str, claimed: Iterable[str]) -> bool:
    """Are any of the directories that are called as ours ours: is one being written, has one a manifest, lie they in a run?"""
    for name in claimed:
        if name.startswith(names.TMP_PREFIX) or os.path.lexists(os.path.join(directory, name, names.MANIFEST)):
            return True
    return os.path.lexists(os.path.join(os.path.dirname(os.path.abspath(directory)), names.RUN_YAML))


def thinned(files: Sequence[str]) -> str:
    """Why a thinned checkpoint is not complete."""
    return f"thinned by ckptrun prune: {', '.join(files[:3])}{' and more' if len(files) > 3 else ''} taken away"


def _whole(directory: str, path: str, claim: Claim, place: str, found: Manifest) -> Checkpoint:
    name = claim.name
    return Checkpoint(
        name=name,
        path=path,
        directory=directory,
        layout=claim.layout,
        place=place,
        attempt=found.attempt or None,
        step=found.step,
        epoch=found.epoch,
        metrics=manifest.metrics(found),
        time=_time(found.created, path),
        size=sum([entry.size for entry in found.files]),
        entries=(name,),
        files=[f"{name}/{names.MANIFEST}", *[f"{name}/{entry.path}" for entry in found.files]],
        request=found.request,
        seconds=found.seconds,
        why_saved=found.reason,
        parent=found.parent,
    )


def _broken(directory: str, claim: Claim, place: str, broken: Broken) -> Checkpoint:
    path = os.path.join(directory, claim.name)
    return Checkpoint(
        name=claim.name,
        path=path,
        directory=directory,
        layout=claim.layout,
        place=place,
        step=claim.step,
        time=_modified(path),
        entries=(claim.name,),
        files=[claim.name],
        state=broken.state,
        reason=broken.reason,
        sized=False,
    )


def require_sizes(path: str, files: list[FileEntry], patience: Patience) -> None:
    """Return if every file is there with its size.

    Raises:
        Broken: with up to three of the files that are not; missing ones make it partial, wrong ones corrupt.
    """
    findings = [finding for entry in files if not _as_saved(path, entry) and (finding := _finding(path, entry, patience))]
    if findings:
        raise worst(findings)


def _as_saved(path: str, entry: FileEntry) -> bool:
    """A regular file of the right size, as nearly all are: decided with one call."""
    try:
        found = os.lstat(f"{path}/{entry.path}")
    except OSError:
        return False
    return found.st_size == entry.size and stat.S_ISREG(found.st_mode)


def worst(findings: list[Broken]) -> Broken:
    """One finding for many: corrupt before partial before unknown, the first three in words."""
    order = (names.CORRUPT, names.PARTIAL, names.UNKNOWN)
    findings = sorted(findings, key=lambda finding: order.index(finding.state))
    more = f"; and {len(findings) - 3} more" if len(findings) > 3 else ""
    return Broken(findings[0].state, "; ".join(finding.reason for finding in findings[:3]) + more)


def _finding(path: str, entry: FileEntry, patience: Patience) -> Broken | None:
    try:
        found = patience.read(lambda: _stat(path, entry.path), entry.path)
    except Broken as broken:
        return broken
    if not stat.S_ISREG(found.st_mode):
        return Broken(names.CORRUPT, f"{entry.path} is not a file any more")
    if found.st_size != entry.size:
        return Broken(names.CORRUPT, f"{entry.path} has {found.st_size} bytes instead of {entry.size}")
    return None


def _stat(path: str, name: str) -> os.stat_result:
    """Of the file itself, or of what a link inside the checkpoint leads to.

    Raises:
        Broken: the link leads outside.
        OSError: as stat does.
    """
    full = f"{path}/{name}"
    found = os.lstat(full)
    if not stat.S_ISLNK(found.st_mode):
        return found
    if not os.path.realpath(full).startswith(os.path.realpath(path) + "/"):
        raise Broken(names.CORRUPT, f"{name} is a link that leads outside of the checkpoint")
    return os.stat(full)


def _time(created: str, path: str) -> float:
    try:
        return units.from_rfc3339(created)
    except ValueError:
        return _modified(path)


def _modified(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
