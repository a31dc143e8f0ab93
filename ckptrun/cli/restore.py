"""`ckptrun restore`: a backup, put back as a checkpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ckptrun import errors, names, platforms, units
from ckptrun.backup import places, restoring
from ckptrun.cli import desk, words
from ckptrun.cli.help import verb
from ckptrun.cli.params import DIRECTORY, REF, json_option, root_option, working_directory
from ckptrun.report import moving, refs
from ckptrun.runs import control, durable, superseded
from ckptrun.runs import paths as run_paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ckptrun.backup.places import Place
    from ckptrun.backup.record import Record
    from ckptrun.backup.restoring import Restored, Target
    from ckptrun.runs.paths import RunPaths

    Aside = Callable[[list[str]], None]

_NONE = {"backup": None, "path": None, "state": "none", "step": None, "attempt": None}


@verb(
    "restore",
    examples=[
        ("ckptrun restore digits-3f9a1c", "the newest of the run's own backups, to where it was"),
        ("ckptrun restore --at 120 /safe/digits-3f9a1c", "the backup of step 120 in a directory"),
        ("ckptrun restore --all sftp://ana@nas/digits-3f9a1c", "everything that was backed up, over SSH"),
        ("ckptrun restore s3://bucket/runs/digits-3f9a1c --to digits-3f9a1c", "from S3, into a run of this machine"),
        ("ckptrun restore /safe/digits-3f9a1c/step-00000120 --to ./here", "one backup, into any directory"),
    ],
    codes={
        names.EXIT_OK: "it is there, whole, now or already",
        names.EXIT_USAGE: "the command line is wrong, or there is no whole backup",
        names.EXIT_LEASED: "--force: somebody runs the run",
        names.EXIT_CANNOT_CREATE: "something else is in its place (--force sets it aside), or a file cannot be made",
        names.EXIT_IO: "it cannot be read or is damaged, or the disk is full; the same command goes on with what was fetched",
    },
)
@click.argument("backup", type=REF, metavar="BACKUP|RUN|URL", envvar="CKPTRUN_RESTORE_BACKUP")
@click.option(
    "--to",
    metavar="RUN|DIR",
    type=DIRECTORY,
    help="A run, or a directory (with a slash or a leading dot).  [default: the run that it is a backup of]",
)
@click.option("--at", default="", metavar="STEP|NAME", help="Which of several backups.  [default: the newest]")
@click.option("--all", "every", is_flag=True, help="All whole backups, instead of the newest.")
@click.option("--force", is_flag=True, help="Set aside what is in its place.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=4, show_default=True, metavar="N", help="Files that are fetched at a time."
)
@click.option("--if-any", is_flag=True, help="No backup is no error.")
@click.option("--dry-run", is_flag=True, help="Say what would be restored, and where.")
@root_option
@json_option
def command(
    *,
    backup: str,
    to: str | None,
    at: str,
    every: bool,
    force: bool,
    if_any: bool,
    jobs: int,
    dry_run: bool,
    root: str,
    as_json: bool,
) -> int:
    """Put a backup back as a checkpoint that is whole.

    BACKUP is a backup's directory, a directory of backups, a URL of either, or a run. Every file is read and compared before
    any of it is seen; nothing is overwritten. The next start of the run goes on from it if it is the newest.
    """
    backup, at = _taken_apart(backup, at, root)
    if every and at:
        raise errors.UsageError("--all and --at contradict each other", "leave one of them out")
    source = _source(backup, at, root, every=every)
    if source is None:
        if not if_any:
            raise _none(backup, at, root)
        _print([], every=every, as_json=as_json)
        return names.EXIT_OK
    place, backups = source
    done: list[dict[str, Any]] = []
    wrong: list[errors.CkptrunError] = []
    try:
        for home, found in backups:
            try:
                target, run = _target(to, found, backup, root)
                aside = _set_aside(target, run, dry_run=dry_run) if force else None
                restored = _restored(place, home, found, target, jobs=jobs, aside=aside, dry_run=dry_run)
                done.append(_told(restored, found, places.below(place.shown, home)))
            except errors.CkptrunError as error:
                wrong.append(error)
    finally:
        place.close()
    for each in wrong[:-1]:
        words.error(each.message, each.hint)
    if done or not wrong:
        _print(done, every=every, as_json=as_json)
    if wrong:
        raise wrong[-1]
    return names.EXIT_OK


def _restored(
    place: Place, home: str, found: Record, target: Target, *, jobs: int, aside: Aside | None, dry_run: bool
) -> Restored:
    with moving.moving(f"restoring {found.name}", found.size, desk.err(), words.say) as tell:
        work = restoring.Restorer(place, home, found, target, jobs=jobs, tell=tell, set_aside=aside, now=desk.now())
        return _guarded(lambda: work.restore(dry_run=dry_run), place)


def _taken_apart(ref: str, at: str, root: str) -> tuple[str, str]:
    """`RUN@STEP` and `DIR@STEP` are as `--at STEP`."""
    refs.require(ref)
    before, mark, after = ref.rpartition("@")
    path = places.absolute(ref, working_directory())
    if at or not mark or places.is_url(ref) or os.path.isdir(path):
        return ref, at
    if refs.run_named(before, root) is None and not os.path.isdir(places.absolute(before, working_directory())):
        return ref, at
    return before, "" if after == refs.LATEST else after


def _none(backup: str, at: str, root: str) -> errors.UsageError:
    """Why there is nothing to restore."""
    there = places.is_url(backup) or refs.run_named(backup, root) is not None
    if not there and not os.path.isdir(places.absolute(backup, working_directory())):
        return errors.UsageError(f"there is no directory {backup}", "restore takes a run, a directory of backups or a URL")
    return errors.UsageError(
        f"no whole backup {f'of {at} ' if at else ''}in {places.redacted(backup)}",
        "`ckptrun backup RUN --to DEST` makes backups in DEST/RUN",
    )


def _guarded(act: Callable[[], Restored], place: Place) -> Restored:
    try:
        return act()
    except OSError as error:
        raise durable.io_error(error, error.filename or place.shown, creating=bool(error.filename)) from error


def _source(ref: str, at: str, root: str, *, every: bool) -> tuple[Place, list[tuple[str, Record]]] | None:
    """The place, and the name in it and the record of each backup that is meant; None where there is no whole one."""
    dest = _dest(ref, root)
    if dest is None:
        return None
    place = places.open_place(dest, os.environ)
    if place.read("", names.BACKUP_JSON) is None:
        newest = None if every else restoring.newest(place, at)
        chosen = restoring.every(place) if every else [newest] if newest else []
        if not chosen:
            place.close()
            return None
        return place, chosen
    found = restoring.read(place, "")
    return (place, [("", found)]) if found is not None else None


def _dest(ref: str, root: str) -> str | None:
    """Where the backup, or several, lie; None where there is no such directory.

    Raises:
        UsageError: it is neither a run nor a path.
    """
    if places.is_url(ref):
        return ref.rstrip("/")
    run = None if refs.is_path(ref) else refs.run_named(ref, root)
    if run is not None:
        return run.backup
    path = places.absolute(ref, working_directory())
    if not os.path.isdir(path):
        if not refs.is_path(ref):
            raise refs.nothing(ref, root)
        return None
    inside = run_paths.RunPaths(dir=path)
    return inside.backup if os.path.lexists(inside.run_yaml) else path


def _target(to: str | None, found: Record, ref: str, root: str) -> tuple[Target, RunPaths | None]:
    """Where it goes, and the run that is.

    Raises:
        UsageError: nobody says where.
    """
    if to is not None and refs.is_path(to):
        path = places.absolute(to, working_directory())
        run = run_paths.RunPaths(dir=path)
        if not refs.exists(run):
            return restoring.Target(root=path, directory=path), None
        return restoring.target_in_run(found, path), run
    name = to or found.run
    if not name:
        raise errors.UsageError(
            f"{places.redacted(ref)} is of no run, so that --to must say where it goes", "--to DIR, or --to RUN"
        )
    run = run_paths.run_paths(root, name)
    if to is None and not refs.exists(run):
        raise errors.UsageError(
            f"there is no run {name} in {root} to restore it to", f"--to {name} makes one; --root DIR looks elsewhere"
        )
    return restoring.target_in_run(found, run.dir), run


def _set_aside(target: Target, run: RunPaths | None, *, dry_run: bool) -> Callable[[list[str]], None]:
    """How --force makes room: what is in the way is renamed, in a run to superseded/.

    Raises:
        Leased: somebody runs the run: what is in the way may be what it goes on from.
    """
    if run is None:
        return lambda paths: _move(paths, target.directory)
    holder = (
        control.running(run, platforms.detect(os.environ).identity(), now=desk.now()) if os.path.isdir(run.dir) else None
    )
    if holder is not None and not dry_run:
        raise errors.Leased(
            f"run {run.name} is held by {holder.host}, pid {holder.pid}, since {holder.since}", f"ckptrun stop {run.name}"
        )
    return lambda paths: _superseded(run, paths)


def _superseded(run: RunPaths, paths: list[str]) -> None:
    for path in superseded.set_aside(run, paths, "restore", lambda: None):
        words.say(f"set aside: {path}")


def _move(paths: list[str], directory: str) -> None:
    """Aside, beside the directory's other notes of ours."""
    home = os.path.join(directory, names.SIDE, names.SUPERSEDED)
    os.makedirs(home, exist_ok=True)
    for path in paths:
        aside = os.path.join(home, f"{os.path.basename(path)}-{os.urandom(4).hex()}")
        os.rename(path, aside)
        words.say(f"set aside: {aside}")
    durable.fsync_dir(home)


def _told(done: Restored, found: Record, source: str) -> dict[str, Any]:
    """Say what became of one; the same for a document."""
    how = {"there": "is there already", "restored": f"restored from {source}"}.get(done.state, f"{done.state} from {source}")
    words.say(f"{done.path}: {units.size(done.size)}, {how}")
    for note in done.notes:
        words.say(f"{found.name}: {note}")
    return {
        "backup": source,
        "path": done.path,
        "state": done.state,
        "step": found.step,
        "attempt": found.attempt,
        "bytes": done.size,
        "fetched": done.fetched,
        "notes": done.notes,
    }


def _print(done: list[dict[str, Any]], *, every: bool, as_json: bool) -> None:
    """The document: of one, or with --all a list."""
    if not as_json:
        return
    if every:
        desk.print_document({"format": names.FORMAT, "restored": done})
    else:
        desk.print_document({"format": names.FORMAT, **(done[0] if done else _NONE)})
