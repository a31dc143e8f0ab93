"""At the end of a run: checksums of what the script wrote in its framework's own layout. Nothing waits for much of it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ckptrun import errors, names, units
from ckptrun.checkpoints import seals, wholeness
from ckptrun.checkpoints.reading import Broken
from ckptrun.model import Noun
from ckptrun.policy import sealing as policy
from ckptrun.report import sealing, verifying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.model import Checkpoint
    from ckptrun.session.scene import Scene


class _Pending(Noun, frozen=True, kw_only=True):
    items: list[Checkpoint] = []
    size: int = 0


def at_the_end(scene: Scene, foreign: Sequence[Checkpoint], *, comes_back: bool) -> None:
    """Seal what has no seal, or was saved anew since. Never fails: what could not be sealed is said."""
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
    argv = [sys.executable, "-m", "ckptrun", "seal", "--idle", "--anew", scene.paths.dir]
    nothing = subprocess.DEVNULL
    started = subprocess.Popen(
        argv, cwd=scene.paths.dir, env=environ, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
    started.returncode = 0  # nobody waits for it: Popen would complain
    scene.say(f"sealing {units.size(pending.size)} in the background, process {started.pid}: {why} (seal: off)")
