"""Whether the holder named in lease.json is dead, so that the run may be taken over. Unknown is never dead."""

from __future__ import annotations

from ckptrun import errors, names, units
from ckptrun.model import Holder, Noun
from ckptrun.runs import control, documents, durable
from ckptrun.runs.holder import RELEASED, alive, describe, read_holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.model import Identity
    from ckptrun.runs.paths import RunPaths

LOOK_SECONDS = 5.0  # between two looks at a heartbeat
# On the holder's own kernel the lock that we got would do as proof; three heartbeats are for mounts where locks do not hold.
SAME_KERNEL_SECONDS = 3 * names.HEARTBEAT_SECONDS


class Senses(Noun, frozen=True, kw_only=True):
    """What judging needs from outside: time, patience, a voice, and the scheduler's opinion."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Callable[[str], None]
    is_over: Callable[[Holder], bool | None]
    locked: bool  # the kernel gave us the lock (False: the filesystem has none)


def judge(paths: RunPaths, found: Holder, me: Identity, senses: Senses) -> str:
    """Return why `found` is dead, in a few words; the caller holds the lock, where there are locks.

    Raises:
        errors.Leased: it is alive, or nobody can know.
    """
    living = alive(paths, found, me)
    if living is False:
        return "released" if found.state == RELEASED else _cause(found, me)
    same_kernel = found.boot_id == me.boot_id
    over = senses.is_over(found) if found.job or not same_kernel else None
    if over is False:
        raise leased(paths, found)
    if over:
        return f"its job {found.job} is over"
    short = same_kernel and senses.locked and not living
    return _watch(paths, found, senses, SAME_KERNEL_SECONDS if short else names.DEAD_AFTER_SECONDS)


def leased(paths: RunPaths, found: Holder | None) -> errors.Leased:
    """The error that names who holds the run, where, since when and what it does."""
    if found is None:
        return errors.Leased(f"run {paths.name} is being started by somebody else at this moment", _hint(paths))
    since = f" since {found.since}" if found.since else ""
    return errors.Leased(f"run {paths.name} is held by {describe(found)}{since}{_doing(paths, found)}", _hint(paths))


def unknown(paths: RunPaths, error: errors.CkptrunError) -> errors.Leased:
    """The error for a lease.json that cannot be understood: somebody may hold the run, so nobody else may have it."""
    look = f"if you are sure that nothing is running this run anywhere, move {durable.printable(paths.lease_json)} away"
    return errors.Leased(f"run {paths.name}: nobody can tell who holds it: {error.message}", error.hint or look)


def _watch(paths: RunPaths, found: Holder, senses: Senses, window: float) -> str:
    """Dead is whose heartbeat does not change for so long by our own clock: clocks of two hosts need not agree."""
    senses.tell(
        f"run {paths.name} is held by {describe(found)}, which may be dead: "
        f"watching its heartbeat for {units.duration(window)} before taking over"
    )
    end = senses.monotonic() + window
    while (left := end - senses.monotonic()) > 0:
        senses.sleep(min(LOOK_SECONDS, left))
        try:
            now = read_holder(paths)
        except documents.Unreadable as error:
            raise unknown(paths, error) from error
        if now is None or now.state == RELEASED:
            return "released"
        if now != found:
            raise leased(paths, now)
    return f"no heartbeat for {units.duration(window)}"


def _cause(found: Holder, me: Identity) -> str:
    return "its process is gone" if found.boot_id == me.boot_id else f"{found.host} was rebooted"


def _doing(paths: RunPaths, found: Holder) -> str:
    try:
        progress = control.read_progress(paths)
    except errors.CkptrunError:
        return ""  # only an ornament of another error
    if progress is None or progress.attempt != found.attempt:
        return ""
    total = "" if progress.total is None else f" of {progress.total}"
    step = "" if progress.step is None else f", step {progress.step}{total}"
    return durable.printable(f": {progress.state}{step}")


def _hint(paths: RunPaths) -> str:
    import os  # noqa: PLC0415  # only when something went wrong
    import shlex  # noqa: PLC0415  # as above

    root = os.path.dirname(paths.dir)
    where = "" if root == os.path.abspath(names.DEFAULT_ROOT) else f" --root {shlex.quote(durable.printable(root))}"
    return f"`ckptrun status {paths.name}{where}` shows it, `ckptrun stop {paths.name}{where}` ends it"
