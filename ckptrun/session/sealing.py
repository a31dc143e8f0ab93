"""Checksums of what the script wrote in its framework's own layout: at the end of a run, and as it goes (`seal: each`).

Nothing waits for much of it: a helper reads, one file at a time, of low priority; killed, the next look begins it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names, units
from ckptrun.checkpoints import seals, wholeness
from ckptrun.checkpoints.reading import Broken
from ckptrun.layouts.catalogue import OWN
from ckptrun.model import Noun
from ckptrun.policy import sealing as policy
from ckptrun.report import sealing, verifying
from ckptrun.session import scene as scenes
from ckptrun.session.helper import Helper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckptrun.model import Checkpoint
    from ckptrun.session.helper import Done
    from ckptrun.session.scene import Scene

    Stamps = dict[str, seals.Stamp]

_SHARE = 100  # a look is at least so many times as long ago as it takes
_AT_ONCE = 16  # checkpoints that one helper is given
_sealers: dict[str, Sealer] = {}


def of(scene: Scene) -> Sealer:
    """The one that seals this run as it goes, for all attempts of this process."""
    if scene.paths.dir not in _sealers:
        _sealers[scene.paths.dir] = Sealer(scene)
    return _sealers[scene.paths.dir]


class Sealer:
    """Hands to a helper what is whole, at rest, and not sealed as it is now."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._helper: Helper | None = None
        self._trying: dict[str, Stamps] = {}
        self._seen: dict[str, tuple[Stamps, float]] = {}  # as each was at the last look, and since when
        self._done: dict[str, Stamps] = {}  # sealed like this, or refused
        self._next = 0.0

    def look(self, trouble: Callable[[str], None]) -> None:
        """Take note of what was sealed; begin where something has come to rest since."""
        if self._helper is not None and (done := self._helper.poll()) is not None:
            self._helper = None
            self._note(done, trouble)
        begun = time.monotonic()
        if self._helper is not None or begun < self._next:
            return
        self._trying = self._due(begun)
        if self._trying:
            args = ["seal", "--jobs", "1", "--anew", "--json", *_patterns(self._scene), "--", *self._trying]
            self._helper = Helper(args, self._scene.environ)
        self._next = begun + _SHARE * (time.monotonic() - begun)

    def stop(self) -> None:
        """End the helper: whoever looks next reads again what it had begun."""
        if self._helper is not None:
            self._helper.stop()
            self._helper = None

    def _due(self, now: float) -> dict[str, Stamps]:
        """What is to be sealed now, oldest first, each as it is."""
        foreign = [item for item in scenes.checkpoints(self._scene) if item.state == names.COMPLETE and _is_foreign(item)]
        there = [(item, stamps) for item in foreign if (stamps := _stamps(item)) is not None]
        open_ones = [(item, stamps) for item, stamps in there if self._done.get(item.path) != stamps]
        kept = verifying.seals_of([item for item, _ in open_ones])
        due: dict[str, Stamps] = {}
        for item, stamps in open_ones:
            seal = kept.get(item.path)
            if isinstance(seal, seals.Seal) and seals.is_untouched(seal, stamps):
                self._done[item.path] = stamps
            elif self._rests(item.path, stamps, now):
                due[item.path] = stamps
        return dict(list(due.items())[:_AT_ONCE])

    def _rests(self, path: str, stamps: Stamps, now: float) -> bool:
        before, since = self._seen.get(path, ({}, now))
        if before != stamps:
            self._seen[path] = (stamps, now)
            return False
        written = max((stamp.modified for stamp in stamps.values()), default=0) / 1e9
        return policy.settled(now - since, float(self._scene.clock()) - written)

    def _note(self, done: Done, trouble: Callable[[str], None]) -> None:
        if done.code < 0 or done.code == names.EXIT_USAGE:
            return  # somebody ended it, as schedulers do with all processes of a job, or one of them is gone: again
        try:
            told = msgspec.json.decode(done.out)["checkpoints"]
        except (msgspec.MsgspecError, KeyError):
            trouble(f"what the script wrote could not be sealed: {done.why}; it is tried again")
            return
        for (path, stamps), each in zip(self._trying.items(), told, strict=True):
            where = os.path.relpath(path, self._scene.paths.dir)
            if each["busy"] or each["state"] == sealing.UNREAD:
                self._seen.pop(path, None)  # it has to come to rest again
            else:
                self._done[path] = stamps
            if each["state"] == sealing.SEALED:
                self._scene.say(f"sealed {where}", level=1)
            elif each["state"] in (sealing.REFUSED, sealing.UNREAD) and not each["busy"]:
                trouble(f"{where} is not sealed: {each['reason']}")


def _is_foreign(item: Checkpoint) -> bool:
    return item.layout != OWN.name and item.place != names.COPIES


def _stamps(item: Checkpoint) -> Stamps | None:
    """Its files as they are; None where they cannot be looked at."""
    try:
        return seals.stamps(item.directory, wholeness.files(item))
    except Broken:
        return None


def _patterns(scene: Scene) -> list[str]:
    return [word for pattern in scene.config.patterns for word in ("--pattern", pattern)]


class _Pending(Noun, frozen=True, kw_only=True):
    items: list[Checkpoint] = []
    size: int = 0


def at_the_end(scene: Scene, foreign: Sequence[Checkpoint], *, comes_back: bool) -> None:
    """Seal what has no seal, or was saved anew since. Never fails: what could not be sealed is said."""
    of(scene).stop()
    try:
        pending = _pending(foreign)
        how, why = policy.when(pending.size, comes_back=comes_back)
        if not pending.items or how == policy.LATER:
            return
        if how == policy.NOW:
            _here(scene, pending.items)
        else:
            _aside(scene, pending, why)
    except (errors.CkptrunError, OSError) as error:
        scene.say(
            f"warning: what the script wrote could not be sealed: {error}; `ckptrun seal {scene.paths.dir}` tries again"
        )


def _pending(foreign: Sequence[Checkpoint]) -> _Pending:
    kept = verifying.seals_of(foreign)
    items, size = [], 0
    for item in foreign:
        seal = kept.get(item.path)
        try:
            now = seals.stamps(item.directory, wholeness.files(item))
        except Broken:
            continue  # `ckptrun verify` says what is wrong with it
        if seal is None or (isinstance(seal, seals.Seal) and seals.is_of_before(seal, now, item)):
            items.append(item)
            size += sum(stamp.size for stamp in now.values())
    return _Pending(items=items, size=size)


def _here(scene: Scene, items: Sequence[Checkpoint]) -> None:
    done = list(sealing.seal(items, sealing.Wish(anew=True), now=scene.clock, jobs=1))
    for each in done:
        if each.state != sealing.SEALED:
            scene.say(f"warning: {os.path.relpath(each.path, scene.paths.dir)} is not sealed: {each.reason}")
    scene.say(f"sealed {sum(each.state == sealing.SEALED for each in done)} of {len(done)} checkpoints", level=1)


def _aside(scene: Scene, pending: _Pending, why: str) -> None:
    """By a process that outlives us, unless the scheduler ends all that is left of a job: then the next end of the run does it."""
    environ = {key: value for key, value in scene.environ.items() if key not in names.CHILD_ENV}
    argv = [sys.executable, "-m", "ckptrun", "seal", "--idle", "--anew", *_patterns(scene), "--", scene.paths.dir]
    nothing = subprocess.DEVNULL
    started = subprocess.Popen(
        argv, cwd=scene.paths.dir, env=environ, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
    started.returncode = 0  # nobody waits for it: Popen would complain
    scene.say(f"sealing {units.size(pending.size)} in the background, process {started.pid}: {why} (seal: off)")
