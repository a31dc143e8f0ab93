"""What a reference names: RUN, RUN/ATTEMPT, RUN@STEP, RUN@latest, RUN@best, RUN@best:METRIC, RUN@NAME, DIR@… or a path to any of these.

`parse` is pure; `resolve` looks on disk. `sweep-*` names every run that matches (`the_runs`). A leading `.`, `/` or `~` makes a path; so does a slash, unless the part before it is a run.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from ckptrun import errors, names
from ckptrun.model import Checkpoint, Noun
from ckptrun.policy import roles
from ckptrun.report import gather
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.report.gather import Wish
    from ckptrun.report.listing import Listing
    from ckptrun.runs.paths import AttemptPaths, RunPaths

LATEST, BEST = "latest", "best"
_RUN = r"(?P<run>[A-Za-z0-9_][A-Za-z0-9._-]{0,63})"
_FORMS = tuple(re.compile(_RUN + rest) for rest in (r"/(?P<attempt>\d{1,9})", r"[@/](?P<at>.+)", ""))


class Parsed(Noun, frozen=True):
    """A reference taken apart: a run, and perhaps an attempt's number or what stands after the @."""

    run: str
    attempt: int | None = None
    at: str = ""


class OfRun(Noun, frozen=True):
    """A reference that names a run."""

    run: RunPaths


class OfAttempt(Noun, frozen=True):
    """A reference that names one attempt."""

    run: RunPaths
    attempt: AttemptPaths


class OfCheckpoint(Noun, frozen=True):
    """A reference that names one checkpoint; `run` is None outside of any."""

    run: RunPaths | None
    checkpoint: Checkpoint


class OfDirectory(Noun, frozen=True):
    """A reference that names a directory that is none of these."""

    path: str


Named: TypeAlias = OfRun | OfAttempt | OfCheckpoint | OfDirectory


def parse(ref: str) -> Parsed | None:
    """The parts of a reference to a run, or None: it can only be a path."""
    found = next((match for form in _FORMS if (match := form.fullmatch(ref))), None)
    if found is None:
        return None
    parts = found.groupdict()
    number = parts.get("attempt")
    return Parsed(parts["run"], int(number) if number else None, parts.get("at") or "")


def is_path(ref: str) -> bool:
    """Whether an argument of `ls` is a path by its looks: it has a slash or begins with a dot."""
    return os.sep in ref or ref.startswith((".", "~"))


def resolve(ref: str, *, root: str, cwd: str, wish: Wish | None = None) -> Named:
    """What `ref` names.

    Raises:
        UsageError: it names nothing; the hint says what there is.
        IoFailure: a directory could not be read.
    """
    require(ref)
    parsed = None if ref.startswith((".", os.sep, "~")) else parse(ref)
    if parsed is not None:
        run = run_paths.run_paths(root, parsed.run)
        if exists(run):
            return _in_run(run, parsed, ref, wish)
    path = os.path.normpath(os.path.join(cwd, os.path.expanduser(ref)))
    if os.path.lexists(path) or os.path.lexists(f"{path}.index"):  # TensorFlow's are called by a name that no file has
        return _at_path(path, wish)
    directory, _, at = path.rpartition("@")
    if at and os.path.isdir(directory):
        return _in_directory(directory, at, ref, wish)
    if is_pattern(ref):
        return OfRun(_only(matching(ref, root), ref))
    raise nothing(ref, root)


def one(ref: str, *, root: str, cwd: str, wish: Wish | None = None) -> OfCheckpoint:
    """The one checkpoint that `ref` names outright, by step, role, name or path.

    Raises:
        UsageError: it names something else, or nothing.
        IoFailure: as `resolve`.
    """
    named = resolve(ref, root=root, cwd=cwd, wish=wish)
    if not isinstance(named, OfCheckpoint):
        at = ref.rpartition("/")[0] if isinstance(named, OfAttempt) and not is_path(ref) else ref
        at = named.run.dir if isinstance(named, OfAttempt) and is_path(ref) else at
        raise errors.UsageError(
            f"{ref} is not a checkpoint", f"name one: {at}@STEP or {at}@latest; `ckptrun ls {ref}` lists them"
        )
    return named


def checkpoint(ref: str, *, root: str, cwd: str, wish: Wish | None = None) -> Checkpoint:
    """The checkpoint that `ref` names; a run or a directory means its latest, an attempt the latest that it wrote.

    Raises:
        UsageError: it names none.
        IoFailure: as `resolve`.
    """
    named = resolve(ref, root=root, cwd=cwd, wish=wish)
    if isinstance(named, OfCheckpoint):
        return named.checkpoint
    if isinstance(named, OfDirectory) and not os.path.isdir(named.path):
        raise errors.UsageError(
            f"{ref} is a file, and not one that a checkpoint is known by", "--pattern says how yours are called"
        )
    if isinstance(named, OfDirectory):
        listing = gather.directory_listing(named.path, wish)
        gather.require_no_runs(named.path, listing.checkpoints)
        return _pick(listing, LATEST, ref)
    listing = gather.run_listing(named.run, gather.Wish(patterns=wish.patterns) if wish else None)
    if isinstance(named, OfRun):
        return _pick(listing, LATEST, ref)
    own = [item for item in listing.checkpoints if item.attempt == named.attempt.number]
    found = roles.latest(own)
    if found is None:
        raise errors.UsageError(
            f"attempt {named.attempt.number} of run {named.run.name} left no complete checkpoint", _there(listing)
        )
    return found


def the_run(ref: str, *, root: str, cwd: str) -> RunPaths:
    """The run that `ref` names, by name or path.

    Raises:
        UsageError: it names none.
    """
    named = resolve(ref, root=root, cwd=cwd)
    if isinstance(named, OfRun):
        return named.run
    raise errors.UsageError(f"{ref} is not a run", _runs_there(root))


def the_runs(refs: Sequence[str], *, root: str, cwd: str) -> list[RunPaths]:
    """The runs that `refs` name, each once, in the order of the words; those of a pattern by name, `r-2` before `r-10`.

    Raises:
        UsageError: one of them names none.
    """
    found: dict[str, RunPaths] = {}
    for ref in refs:
        for run in matching(ref, root) if is_pattern(ref) else [the_run(ref, root=root, cwd=cwd)]:
            found.setdefault(os.path.realpath(run.dir), run)
    return list(found.values())


def is_pattern(ref: str) -> bool:
    """Whether a word stands for all runs that match it, as `sweep-*`; a path with such letters is the shell's business."""
    return any(letter in ref for letter in "*?[") and not is_path(ref)


def expanded(ref: str, *, root: str, cwd: str) -> list[str]:
    """The references that a pattern stands for: `sweep-*`, `sweep-*@best` and `sweep-*/1`, one for each run; any other itself.

    Raises:
        UsageError: no run matches.
    """
    pattern = re.split("[@/]", ref, maxsplit=1)[0]
    if not is_pattern(pattern) or ref.startswith((".", os.sep, "~")) or os.path.lexists(os.path.join(cwd, ref)):
        return [ref]
    return [run.name + ref[len(pattern) :] for run in matching(pattern, root)]


def require(ref: str) -> None:
    """Return unless a reference is empty, which the shell makes of a variable that is not set.

    Raises:
        UsageError: it is.
    """
    if not ref:
        raise errors.UsageError("a reference is empty", "is a variable of the shell not set? `ckptrun ls` lists all runs")


def matching(pattern: str, root: str) -> list[RunPaths]:
    """The runs whose names match, in their natural order.

    Raises:
        UsageError: there are none.
    """
    found = [run for run in run_paths.all_runs(root) if fnmatch.fnmatchcase(run.name, pattern)]
    if not found:
        raise errors.UsageError(f"no run in {root} matches {pattern}", _runs_there(root))
    return sorted(found, key=lambda run: natural(run.name))


def natural(name: str) -> list[tuple[int, str]]:
    """What names are sorted by: `r-2` comes before `r-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def run_named(name: str, root: str) -> RunPaths | None:
    """The run of that name, None if there is none."""
    parsed = parse(name)
    run = run_paths.run_paths(root, name) if parsed == Parsed(name) else None
    return run if run and exists(run) else None


def exists(run: RunPaths) -> bool:
    """Whether there is such a run."""
    return any(os.path.lexists(path) for path in (run.run_yaml, run.lease_lock, run.attempts))


def nothing(ref: str, root: str) -> errors.UsageError:
    """The error for a reference that names nothing, with what there is."""
    parsed = parse(ref)
    if "://" in ref:
        hint = f"`ckptrun restore {ref} --to ./DIRECTORY` fetches a backup, to be looked at here"
        return errors.UsageError(f"{ref} is not on this machine", hint)
    if parsed is None or is_path(ref):
        return errors.UsageError(f"there is nothing at {ref}", _runs_there(root))
    return errors.UsageError(f"there is no run {parsed.run} in {root}", _runs_there(root, parsed.run))


def _only(found: Sequence[RunPaths], ref: str) -> RunPaths:
    if len(found) > 1:
        few = _few([run.name for run in found])
        raise errors.UsageError(f"{ref} names {len(found)} runs, and one is wanted: {few}", f"name one, as {found[0].name}")
    return found[0]


def _in_run(run: RunPaths, parsed: Parsed, ref: str, wish: Wish | None) -> Named:
    if parsed.attempt is not None:
        return OfAttempt(run, _attempt(run, parsed.attempt))
    if not parsed.at:
        return OfRun(run)
    at, wish = _wished(parsed.at, wish)
    return OfCheckpoint(run, _pick(gather.run_listing(run, wish), at, ref))


def _in_directory(directory: str, at: str, ref: str, wish: Wish | None) -> OfCheckpoint:
    """One of the checkpoints of a directory, or of the run that it is."""
    at, wish = _wished(at, wish)
    around = gather.run_around(directory)
    is_run = around is not None and os.path.realpath(around.dir) == os.path.realpath(directory)
    listing = gather.run_listing(around, wish) if around and is_run else gather.directory_listing(directory, wish)
    return OfCheckpoint(around, _pick(listing, at, ref))


def _wished(at: str, wish: Wish | None) -> tuple[str, Wish | None]:
    """`best:loss` is the best by that metric."""
    role, _, metric = at.partition(":")
    if role != BEST or not metric:
        return at, wish
    return BEST, msgspec.structs.replace(wish or gather.Wish(), metric=metric)


def _attempt(run: RunPaths, number: int) -> AttemptPaths:
    known = run_paths.attempts(run)
    if number not in known:
        there = f"{known[0]} to {known[-1]}" if known else "none yet"
        raise errors.UsageError(f"run {run.name} has no attempt {number}", f"its attempts: {there}")
    return run.attempt(number)


def _pick(listing: Listing, at: str, ref: str) -> Checkpoint:
    """The checkpoint after the @: by role, by step (the later of two with one step), or by name."""
    found = [item for item in listing.checkpoints if _is(item, at)]
    whole = [item for item in found if item.state == names.COMPLETE]
    if found:
        return (whole or found)[-1]
    what = {LATEST: "no complete checkpoint", BEST: "no checkpoint that is known to be the best"}.get(
        at, f"no checkpoint {at}"
    )
    where = f"run {listing.run}" if listing.run else listing.title
    raise errors.UsageError(f"{ref}: {where} has {what}", _there(listing))


def _is(item: Checkpoint, at: str) -> bool:
    if at in (LATEST, BEST):
        return at in item.roles
    return at in (item.name, str(item.step)) or item.path.endswith(os.sep + at)


def _at_path(path: str, wish: Wish | None) -> Named:
    around = gather.run_around(path)
    if around is not None:
        if os.path.realpath(path) == os.path.realpath(around.dir):
            return OfRun(around)
        inside = os.path.relpath(os.path.abspath(path), around.dir).split(os.sep)
        if inside[0] == names.ATTEMPTS and len(inside) == 2 and inside[1].isdigit():
            return OfAttempt(around, _attempt(around, int(inside[1])))
    return _checkpoint_at(path, around, wish) or OfDirectory(path)


def _checkpoint_at(path: str, around: RunPaths | None, wish: Wish | None) -> OfCheckpoint | None:
    """The checkpoint whose own path, or one of whose files, is `path`; links are followed."""
    places = [gather.run_listing(around, wish)] if around else []
    real = os.path.realpath(path)
    if os.path.isdir(os.path.dirname(real)):  # its neighbours alone: below them may lie somebody's whole home
        places.append(gather.directory_listing(os.path.dirname(real), wish, below=False))
    for listing in places:
        for item in listing.checkpoints:
            if real in (os.path.realpath(item.path), *(os.path.join(item.directory, name) for name in item.files)):
                return OfCheckpoint(around, item)
    return None


def _runs_there(root: str, wanted: str = "") -> str:
    import difflib  # noqa: PLC0415  # for mistakes only

    there = [run.name for run in run_paths.all_runs(root)]
    near = difflib.get_close_matches(wanted, there, n=1) if wanted else []
    if near:
        return f"did you mean {near[0]}?"
    return f"runs in {root}: {_few(there)}" if there else f"there are no runs in {root}; another root: --root DIR"


def _there(listing: Listing) -> str:
    whole = [
        str(item.name if item.step is None else item.step) for item in listing.checkpoints if item.state == names.COMPLETE
    ]
    return f"complete: {_few(whole)}" if whole else f"`ckptrun ls {listing.run or listing.title}` shows what is there"


def _few(words: Sequence[str], most: int = 12) -> str:
    return ", ".join(words) if len(words) <= most else f"{', '.join(words[:2])}, … {', '.join(words[2 - most :])}"
