"""Earlier versions of a file that the script rewrites in place: a kill in the middle of a save then costs one save, not all of them.

Now and then, while the attempt runs, a look for a new version; a helper copies it (backup/aside.py) to attempts/N/copies/.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

from ckptrun import names
from ckptrun.policy import copies as policy
from ckptrun.session import resuming
from ckptrun.session import scene as scenes
from ckptrun.session.helper import Helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.policy.copies import Version
    from ckptrun.session.helper import Done
    from ckptrun.session.scene import Scene

_SHARE = 100  # a look is at least so many times as long ago as it takes


class Copier:
    """Keeps copies for one attempt."""

    def __init__(self, scene: Scene, attempt: int, attempt_id: str) -> None:
        self._scene, self._attempt, self._attempt_id = scene, attempt, attempt_id
        self._helper: Helper | None = None
        self._known: Version | None = None  # what was copied, or cannot be
        self._trying: Version | None = None
        self._between: float | None = None  # seconds between the last two saves
        self._began = self._copy_began = time.monotonic()
        self._next = 0.0

    def look(self, trouble: Callable[[str], None]) -> float | None:
        """Copy a new version, if there is one and nobody is at it. Seconds until the next look; None = now and then."""
        now = time.monotonic()
        if self._helper is not None and (done := self._helper.poll()) is not None:
            self._helper = None
            self._next = now + policy.rest(now - self._copy_began)
            self._note(done, trouble)
        if self._helper is not None:
            return policy.AT_WORK
        if now >= self._next and self._has_changed():
            inside = self._files()
            if any(name.startswith(names.STEP_PREFIX) for name in inside):
                return None  # who saves as ckptrun does never rewrites anything
            if self._holds_something(inside) and self._begin(trouble):
                return policy.AT_WORK
            self._next = max(self._next, now + _SHARE * (time.monotonic() - now))
        return policy.pause(now - self._began, self._between)

    def _has_changed(self) -> bool:
        """Cheap: whether the file is another one than was copied, as far as it is known already."""
        if self._known is None:
            return True
        try:
            state = os.stat(self._known[0])
        except OSError:
            return True
        return (state.st_mtime, state.st_size) != self._known[1:]

    def _files(self) -> list[str]:
        try:
            return os.listdir(self._scene.paths.checkpoints)
        except OSError:
            return []

    def _holds_something(self, inside: list[str]) -> bool:
        return bool(inside) or resuming.holds_something(self._scene.paths.attempt(self._attempt).output)

    def _begin(self, trouble: Callable[[str], None]) -> bool:
        """Whether a copy is being made."""
        paths = self._scene.paths
        item = policy.rewritten(scenes.checkpoints(self._scene), self._attempt)
        if item is None or policy.version(item) == self._known:
            return False
        job = {
            "run": paths.dir,
            "attempt": self._attempt,
            "attempt_id": self._attempt_id,
            "source": resuming.relative(self._scene, item.path),
            "keep": self._scene.config.keep_copies,
        }
        before, self._trying = self._known, policy.version(item)
        if before is not None and before[0] == item.path:
            self._between = item.time - before[1]
        self._copy_began = time.monotonic()
        try:
            self._helper = Helper([msgspec.json.encode(job).decode()], self._scene.environ, module="ckptrun.backup.aside")
        except OSError as error:
            trouble(f"{item.name} is not copied aside: {error.strerror}")
            return False
        return True

    def _note(self, done: Done, trouble: Callable[[str], None]) -> None:
        said = msgspec.json.decode(done.out) if done.code == names.EXIT_OK else {"why": done.why}
        if said.get("copy"):
            self._known = self._trying
            self._scene.say(f"copied aside: {said['copy']}", level=1)
        elif not said.get("again"):  # a full disk, which is no better in a moment
            self._known = self._trying
            trouble(
                f"no copy of what was saved last is kept, so that a kill in the middle of the next save loses it: {said['why']}"
            )
