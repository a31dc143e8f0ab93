"""--data SOURCE:MOUNT: what is mounted where in an attempt's input directory, as symbolic links.

A source is a path, or a reference to what an earlier run wrote: RUN (as RUN/output), RUN/3 (attempt 3's output), RUN/3/output,
RUN/output (the latest attempt that has any) or RUN/checkpoints.
"""

from __future__ import annotations

import os

from ckptrun import errors, names
from ckptrun.model import Noun
from ckptrun.runs import durable, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.runs.paths import AttemptPaths

_FORM = "write --data SOURCE:MOUNT, for instance --data /data/mnist:mnist or --data other-run/output:start"


class Mount(Noun, frozen=True, kw_only=True):
    """One mount. `source` is as given; `path`, once resolved, is where that is, absolute; `why` how it was understood."""

    source: str
    mount: str  # relative to the input directory, without "." and ".."
    path: str = ""
    why: str = ""


def parse(text: str) -> Mount:
    """`SOURCE:MOUNT`, split at the last colon. A leading slash of the mount changes nothing.

    Raises:
        errors.UsageError: a part is missing, or the mount leaves the input directory.
    """
    source, colon, mount = text.rpartition(":")
    if not colon or not source or not mount.strip("/"):
        raise errors.UsageError(f"--data {_shown(text)}: both a source and a mount name are needed", _FORM)
    parts = [part for part in mount.split("/") if part not in ("", ".")]
    if ".." in parts or not parts or "\0" in text:
        raise errors.UsageError(f"--data {_shown(text)}: the mount must stay inside the input directory", _FORM)
    return Mount(source=source, mount="/".join(parts))


def check(mounts: Sequence[Mount]) -> None:
    """Refuse two mounts of one name, and one inside another: what is there would depend on their order.

    Raises:
        errors.UsageError: with both.
    """
    seen: dict[str, Mount] = {}
    for mount in mounts:
        if mount.mount in seen:
            both = f"{_shown(seen[mount.mount].source)} and {_shown(mount.source)}"
            raise errors.UsageError(
                f"--data: '{_shown(mount.mount)}' is mounted twice: {both}", "give one of them another name"
            )
        seen[mount.mount] = mount
    for mount in mounts:
        _refuse_nested(mount, [*seen, names.INPUT_MODEL])


def plan(texts: Sequence[str], *, root: str, cwd: str) -> list[Mount]:
    """All mounts of an attempt, understood, checked and found. Relative paths are relative to `cwd`, runs are those of `root`.

    Raises:
        errors.UsageError: as `parse` and `check`; or a source is not there.
    """
    mounts = [parse(text) for text in texts]
    check(mounts)
    return [resolve(mount, root=root, cwd=cwd) for mount in mounts]


def resolve(mount: Mount, *, root: str, cwd: str) -> Mount:
    """The mount with its source found: a path if it begins with `/`, `.` or `~`, else a run's, else a path.

    Raises:
        errors.UsageError: it is not there.
    """
    path = _normal(os.path.join(cwd, os.path.expanduser(mount.source)))
    run = None if mount.source[0] in "/.~" else _run_of(mount.source, root)
    if run is None:
        if not os.path.exists(path):
            raise _missing(mount, root)
        return Mount(source=mount.source, mount=mount.mount, path=path, why="")
    found, why = _in_run(mount, run)
    if os.path.exists(path):
        why += f" (not the path {_shown(path)}: write ./{_shown(mount.source)} for that)"
    return Mount(source=mount.source, mount=mount.mount, path=found, why=why)


def attach(attempt: AttemptPaths, mounts: Sequence[Mount], model_output: str | None) -> list[str]:
    """Link resolved mounts, and `model_output` as `model`, into the attempt's fresh input directory; a line about each.

    Links into the run itself are relative, so that a run can be moved; all others are absolute.

    Raises:
        errors.IoFailure, errors.CannotCreate: a link could not be made.
    """
    lines = [_link(attempt, mount.mount, mount.path, mount.why) for mount in mounts]
    if model_output is None:
        return lines
    if any(mount.mount == names.INPUT_MODEL for mount in mounts):
        return [*lines, f"input/{names.INPUT_MODEL} is what --data says, not the output of an earlier attempt"]
    return [*lines, mount_model(attempt, model_output)]


def mount_model(attempt: AttemptPaths, output: str) -> str:
    """Link an earlier attempt's output as `model`; a line about it.

    Raises:
        errors.IoFailure, errors.CannotCreate: as `attach`.
    """
    return _link(attempt, names.INPUT_MODEL, output, "the output of an earlier attempt")


def _normal(path: str) -> str:
    """Without "." and double slashes. ".." is left to the kernel, which knows where a link before it leads."""
    if ".." not in path.split("/"):
        return os.path.normpath(path)
    return os.path.realpath(path) if os.path.exists(path) else path


def _refuse_nested(mount: Mount, known: Sequence[str]) -> None:
    outer = next((name for name in known if mount.mount.startswith(name + "/")), "")
    if outer == names.INPUT_MODEL:
        raise errors.UsageError(
            f"--data: '{_shown(mount.mount)}' lies inside '{outer}', where the output of an earlier attempt is mounted",
            f"choose another name, or mount something at '{outer}' itself",
        )
    if outer:
        raise errors.UsageError(
            f"--data: '{_shown(mount.mount)}' lies inside the mount '{_shown(outer)}'", "mount them side by side"
        )


def _run_of(source: str, root: str) -> paths.RunPaths | None:
    """The run that a reference names, None if it names none and must be a path."""
    name, _, rest = source.partition("/")
    try:
        run = paths.run_paths(root, name)
    except errors.UsageError:
        return None
    parts = [part for part in rest.split("/") if part]
    return run if os.path.isdir(run.attempts) and _is_reference(parts) else None


def _is_reference(parts: list[str]) -> bool:
    if parts and _number(parts[0]):
        parts = parts[1:]
        return parts in ([], [names.OUTPUT])
    return parts in ([], [names.OUTPUT], [names.CHECKPOINTS])


def _in_run(mount: Mount, run: paths.RunPaths) -> tuple[str, str]:
    part = next((part for part in mount.source.split("/")[1:] if part), "")
    if part == names.CHECKPOINTS:
        return run.checkpoints, f"the checkpoints of run {run.name}"
    number = _number(part) or _latest_with_output(run)
    found = run.attempt(number).output
    if not number or not os.path.isdir(found):
        have = ", ".join(str(n) for n in paths.attempts(run)) or "none"
        what = (
            f"attempt {number} of run {run.name} has no output" if number else f"no attempt of run {run.name} has any output"
        )
        raise errors.UsageError(f"--data {_shown(mount.source)}: {what}", f"its attempts: {have}")
    return found, f"the output of attempt {number} of run {run.name}"


def _latest_with_output(run: paths.RunPaths) -> int:
    for number in reversed(paths.attempts(run)):
        try:
            if os.listdir(run.attempt(number).output):
                return number
        except OSError:  # an attempt that was killed before it had one
            continue
    return 0


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _missing(mount: Mount, root: str) -> errors.UsageError:
    runs = f"nor a run in {_shown(root)}" if mount.source[0] not in "/.~" else ""
    what = f"there is no such file or directory{', ' + runs if runs else ''}"
    return errors.UsageError(f"--data {_shown(mount.source)}:{_shown(mount.mount)}: {what}", _FORM)


def _link(attempt: AttemptPaths, mount: str, target: str, why: str) -> str:
    link = os.path.join(attempt.input, mount)
    run = os.path.dirname(os.path.dirname(attempt.dir))
    inside = target == run or target.startswith(run + "/")
    try:
        os.makedirs(os.path.dirname(link), durable.DIRECTORY, exist_ok=True)
        os.symlink(os.path.relpath(target, os.path.dirname(link)) if inside else target, link)
    except OSError as error:
        raise durable.io_error(error, link, creating=True) from error
    return f"input/{_shown(mount)} -> {_shown(target)}" + (f": {why}" if why else "")


def _shown(text: str) -> str:
    return durable.printable(text)
