"""Which checkpoint this attempt continues from: look, decide, verify what was chosen, decide again if it is not whole."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

from ckptrun import errors, names
from ckptrun.policy import resume
from ckptrun.runs import durable, superseded
from ckptrun.session import scene as scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ckptrun.model import Checkpoint
    from ckptrun.policy.resume import Resume
    from ckptrun.runs.ledger import Ledger
    from ckptrun.session.scene import Scene

SETTING_ASIDE, SET_ASIDE = "setting_aside", "set_aside"  # ledger: the intent, and that it was done
READ_TRIES = 3
READ_PAUSE = 1.0  # seconds


def choose(scene: Scene, *, once: bool, parent: str = "") -> Resume:
    """What to continue from. Reads only; `once` is False where --fresh, --from and --resume-at were obeyed already.

    `parent` is the reference that an earlier --from of this run recorded: with the same one the run continues with its own checkpoints.

    Raises:
        UsageError: --resume-at or --from names something that is not there.
        IoFailure: what would be chosen cannot be read.
    """
    for again in range(READ_TRIES):
        plan = _choose_whole(scene, once=once, parent=parent)
        if not plan.unknown:
            return plan
        if again + 1 < READ_TRIES:
            time.sleep(READ_PAUSE)
    lost = plan.unknown[0]
    raise errors.IoFailure(
        f"{lost.name} cannot be read: {lost.reason}: {lost.path}",
        "it may be whole, so nothing was started; look at the disk, then start the same command again, or choose another with --resume-at STEP",
    )


def _choose_whole(scene: Scene, *, once: bool, parent: str) -> Resume:
    found = _found(scene)
    decide = _decider(scene, once=once, parent=parent)
    while True:
        plan = decide(found)
        chosen = plan.chosen
        if chosen is None:
            return plan
        state, reason = _verified(chosen)
        if state == names.COMPLETE:
            return _as_original(scene, plan)
        if chosen not in found:  # another run's: there is nothing of ours to fall back to
            raise errors.UsageError(f"--from: {chosen.path} is {state}: {reason}", "name another step: RUN@STEP")
        found = [msgspec.structs.replace(item, state=state, reason=reason) if item is chosen else item for item in found]


def _as_original(scene: Scene, plan: Resume) -> Resume:
    """A copy of a file in checkpoints/, which the script looks for under its own name, is gone on from there: `set_aside` puts it back."""
    chosen = plan.chosen
    if chosen is None or chosen.place != names.COPIES:
        return plan
    from ckptrun.backup import aside  # noqa: PLC0415  # only where a save was cut short

    original = aside.of(chosen.path)
    if original.split(os.sep)[0] != names.CHECKPOINTS or os.pardir in original.split(os.sep):
        return plan
    moved = msgspec.structs.replace(chosen, path=os.path.join(scene.paths.dir, original))
    return msgspec.structs.replace(plan, chosen=moved, why=f"{plan.why}; put back from {relative(scene, chosen.path)}")


def _put_back(plan: Resume) -> None:
    """The copy under the name of what it is a copy of, which has been moved out of the way."""
    chosen = plan.chosen
    if chosen is None or chosen.place != names.COPIES:
        return
    copy = os.path.join(chosen.directory, chosen.files[0])
    if copy == chosen.path or os.path.lexists(chosen.path):
        return
    from ckptrun.backup import local  # noqa: PLC0415  # as above

    try:
        local.copy_file(copy, chosen.path)
    except OSError as error:
        raise durable.io_error(error, chosen.path) from error


def _found(scene: Scene) -> list[Checkpoint]:
    """Every checkpoint of the run, oldest first. A first start finds out that there are none for the price of two listings."""
    if not (holds_something(scene.paths.checkpoints) or holds_something(scene.paths.attempts)):
        return []
    return scenes.checkpoints(scene)


def _verified(chosen: Checkpoint) -> tuple[str, str]:
    from ckptrun.checkpoints import verify  # noqa: PLC0415  # as above

    return verify.deep(chosen)


def holds_something(directory: str) -> bool:
    """Whether a directory can be listed and is not empty; one that cannot be listed is left to the scan to complain about."""
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:  # an attempt that was killed before it had one
        return False
    except OSError:
        return True


def _decider(scene: Scene, *, once: bool, parent: str) -> Callable[[list[Checkpoint]], Resume]:
    config = scene.config
    if once and config.resume_at is not None:
        return lambda found: resume.decide(found, at_step=config.resume_at)
    if config.from_ref:
        takes_over = once and (config.fresh or config.from_ref != parent)
        return lambda found: _from_parent(found, scene, takes_over=takes_over)
    return lambda found: resume.decide(found, fresh=once and config.fresh)


def _from_parent(found: list[Checkpoint], scene: Scene, *, takes_over: bool) -> Resume:
    """Another run's checkpoint; when this run continued from the same one before, its own are newer than that."""
    if not takes_over:
        plan = resume.decide(found)
        if plan.chosen is not None or plan.unknown:
            return plan
    from ckptrun.report import gather, refs  # noqa: PLC0415  # not on the launch path

    wish = gather.Wish(patterns=scenes.layouts(scene))
    origin = refs.checkpoint(str(scene.config.from_ref), root=scene.config.root, cwd=scene.caller, wish=wish)
    return resume.superseded_by_parent(found, origin)


def set_aside(scene: Scene, plan: Resume, ledger: Ledger, guard: Callable[[], None]) -> None:
    """Move what is later than the chosen one into superseded/, each with its reason in the ledger and one line for the user."""
    reasons = {entry.checkpoint.path: entry.why for entry in plan.passed}
    for entry in plan.passed:
        scene.say(f"warning: {relative(scene, entry.checkpoint.path)} is not used: {entry.why}", level=-1)
    if not plan.set_aside:
        _put_back(plan)
        return
    intent = [{"path": relative(scene, item.path), "why": reasons.get(item.path, plan.why)} for item in plan.set_aside]
    files = [path for item in plan.set_aside for path in _members(item)]
    ledger.append(SETTING_ASIDE, label=plan.label, checkpoints=intent, files=[relative(scene, path) for path in files])
    _move(scene, files, plan.label, ledger, guard)
    _put_back(plan)


def finish_setting_aside(scene: Scene, ledger: Ledger, entries: Iterable[dict[str, Any]], guard: Callable[[], None]) -> None:
    """Finish what a killed start began: half a --fresh must not look like a shorter history of the same lineage."""
    begun: dict[str, Any] | None = None
    for entry in entries:
        if entry.get("event") in (SETTING_ASIDE, SET_ASIDE):
            begun = entry if entry["event"] == SETTING_ASIDE else None
    if begun is None:
        return
    left = [os.path.join(scene.paths.dir, name) for name in begun.get("files", [])]
    _move(scene, [path for path in left if os.path.lexists(path)], str(begun.get("label", "")), ledger, guard)


def _move(scene: Scene, files: Sequence[str], label: str, ledger: Ledger, guard: Callable[[], None]) -> None:
    moved = superseded.set_aside(scene.paths, files, label, guard)
    ledger.append(SET_ASIDE, label=label, moved=[relative(scene, path) for path in moved])
    if moved:
        scene.say(f"{len(moved)} set aside in {names.SUPERSEDED}/ ({label}); nothing was deleted")


def relative(scene: Scene, path: str) -> str:
    """A path inside the run as relative to it, so that a run can be moved; any other as it is."""
    inside = path.startswith(scene.paths.dir + os.sep)
    return os.path.relpath(path, scene.paths.dir) if inside else path


def _members(item: Checkpoint) -> list[str]:
    """What has to be moved: all that is one checkpoint; what others need too stays."""
    return [os.path.join(item.directory, name) for name in item.entries] or [item.path]
