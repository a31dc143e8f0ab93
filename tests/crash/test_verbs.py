"""Every verb that writes, killed at random moments, failing with a full disk at them, and on a disk that is really full.

Each time: nothing that is kept is lost, nothing half done looks whole, no error is silent; and the same command again finishes what was
begun and leaves nothing of it lying about.
"""

import os
import re
import shutil
import subprocess
import time

import layouts_trees as trees
import numpy as np
import pytest
import support
from crash.harness import Case
from crash.moments import KILL, MANY, breaches, is_below
from runmaker import Made, age
from safetensors.numpy import save_file

from ckptrun import errors, names
from ckptrun.backup import copying, local, restoring
from ckptrun.checkpoints import scan, seals, verify
from ckptrun.layouts import pointers
from ckptrun.report import gather, verifying
from ckptrun.runs import branches, paths, records
from ckptrun.state import reading, stats

LONG_AGO = 2 * 3600
UNFINISHED = (names.TMP_PREFIX, restoring.STAGING)


class Verb:
    """A command; what must hold whatever became of it, and what once it has been given again."""

    args = ()
    other = ()  # the same to another place, where it is refused to make again what is there

    def prepare(self, root):
        """The world, in an empty directory."""

    def holds(self, root):
        """What is lost, or looks whole and is not."""
        yield from ()

    def done(self, root):
        """What it should have done and has not."""
        yield from ()


def run_dir(root, name="r"):
    return os.path.join(root, "runs", name)


def checkpoints_of(root, name="r"):
    run = paths.RunPaths(dir=run_dir(root, name))
    return {item.name: item for item in scan.scan_run(run.checkpoints, run.attempts)}


def broken(items):
    for item in items:
        if (state := verify.deep(item)) != (names.COMPLETE, ""):
            yield f"{item.path} looks like a checkpoint and is {state}"


def saved(root, steps, files):
    made = Made(os.path.join(root, "runs"), "r")
    with made.attempt() as attempt:
        for step in steps:
            attempt.save(step, files(step), loss=step)
    age(made.paths)


# --- prune -------------------------------------------------------------------------------------------------------------
class Prune(Verb):
    args = ("prune", "r", "--keep-last", "1", "--yes", "--wait")
    kept = ("step-00000010", "step-00000040")  # the best and the newest
    all = ("step-00000010", "step-00000020", "step-00000030", "step-00000040")

    def prepare(self, root):
        saved(root, (10, 20, 30, 40), lambda _: {"model.pt": b"m" * 100, "sub": b"s"})

    def holds(self, root):
        there = checkpoints_of(root)
        yield from broken(there.values())
        yield from (f"{name} is gone" for name in self.kept if name not in there)

    def done(self, root):
        if (there := sorted(checkpoints_of(root))) != sorted(self.kept):
            yield f"there are {there}"
        if left := os.listdir(os.path.join(run_dir(root), names.TRASH)):
            yield f"in the trash there are {left}"


class Thin(Prune):
    args = ("prune", "r", "--keep-last", "4", "--thin", "--yes", "--wait")
    kept = Prune.all

    def prepare(self, root):
        saved(root, (10, 20, 30, 40), lambda _: {"model.pt": b"m" * 100, "optimizer.pt": b"o" * 100})

    def holds(self, root):
        there = checkpoints_of(root)
        yield from (f"{name} is gone" for name in self.kept if name not in there)
        for item in there.values():
            state, why = verify.deep(item)
            model = os.path.join(item.path, "model.pt")
            if not os.path.exists(model) or (state != names.COMPLETE and not why.startswith("thinned")):
                yield f"{item.name} is {state}: {why}"

    def done(self, root):
        thin = [
            name for name in self.all if not os.path.exists(os.path.join(run_dir(root), "checkpoints", name, "optimizer.pt"))
        ]
        if thin != ["step-00000010", "step-00000020"]:  # the two newest stay as they are
            yield f"thin are {thin}"


class PrunePointed(Verb):
    """Checkpoints of another framework, with seals, and a list of what is there, which loses a name first."""

    args = ("prune", "./out", "--keep-last", "1", "--yes", "--wait")

    def prepare(self, root):
        trees.plant(os.path.join(root, "out"), trees.recorded()["tf_checkpointmanager_keep3"])
        support.run_ckptrun("seal", "./out", cwd=root)
        assert len(seals_in(root)) == 3

    def holds(self, root):
        there = {item.name: item for item in self._there(root)}
        assert "ckpt-700" in there
        yield from broken(there.values())
        with open(os.path.join(_home(root), "checkpoint"), encoding="utf-8") as file:
            text = file.read()
        if (named := pointers.read("tf", text)) != "ckpt-700":
            yield f"the pointer leads to {named}"
        listed = {*re.findall(r"ckpt-\d+", text)}
        if not listed <= {*there}:
            yield f"the pointer lists {listed - {*there}}, which is gone"
        kept = verifying.seals_of(list(there.values()))
        yield from (
            f"the seal of {name} is gone" for name, item in there.items() if not isinstance(kept.get(item.path), seals.Seal)
        )

    def done(self, root):
        if (there := [item.name for item in self._there(root)]) != ["ckpt-700"]:
            yield f"there are {there}"
        if len(seals_in(root)) != 1:
            yield f"of seals there are {seals_in(root)}"

    @staticmethod
    def _there(root):
        return [item for each in scan.scan_directory(os.path.join(root, "out")) for item in each.checkpoints]


def _home(root):
    (home,) = {
        where for where, _, files in os.walk(os.path.join(root, "out")) if any(name.endswith(".index") for name in files)
    }
    return home


def seals_in(root):
    return [
        name
        for where, _, files in os.walk(root)
        if where.endswith(os.path.join(names.SIDE, names.SEALS))
        for name in files
        if not name.startswith(names.TMP_PREFIX)
    ]


# --- backup, restore ---------------------------------------------------------------------------------------------------
class Backup(Verb):
    args = ("backup", "--copy", "--jobs", "1", "r")

    def prepare(self, root):
        saved(root, (7,), lambda _: {"state.pt": b"state" * 1000, "sub/more": b"m" * 10, "empty": b""})

    def holds(self, root):
        there = checkpoints_of(root)
        yield from broken(there.values())
        if not there:
            yield "the checkpoint is lost"
        yield from self.backups(root)

    def backups(self, root):
        place = local.LocalPlace(os.path.join(run_dir(root), names.BACKUP))
        found = restoring.newest(place)
        for part in found[1].files if found else ():
            if copying.digest_of(os.path.join(place.base, found[0], part.path)) != part.xxh3_128:
                yield f"the backup looks whole, and {part.path} is not"

    def done(self, root):
        if restoring.newest(local.LocalPlace(os.path.join(run_dir(root), names.BACKUP))) is None:
            yield "there is no backup"


class BackupByLinks(Backup):
    args = ("backup", "--jobs", "1", "r")


class Restore(Backup):
    args = ("restore", "--jobs", "1", "r")

    def prepare(self, root):
        super().prepare(root)
        assert support.run_ckptrun(*BackupByLinks.args, cwd=root).returncode == 0
        shutil.rmtree(checkpoints_of(root)["step-00000007"].path)

    def holds(self, root):
        yield from broken(checkpoints_of(root).values())
        yield from self.backups(root)
        yield from Backup.done(self, root)

    def done(self, root):
        if not checkpoints_of(root):
            yield "it is not restored"


class RestoreInPlace(Restore):
    """Something else is in its place, and goes to superseded/."""

    args = ("restore", "--jobs", "1", "--force", "r")

    def prepare(self, root):
        Backup.prepare(self, root)
        assert support.run_ckptrun(*BackupByLinks.args, cwd=root).returncode == 0
        shutil.rmtree(checkpoints_of(root)["step-00000007"].path)
        with Made(os.path.join(root, "runs"), "r").attempt() as attempt:
            attempt.save(7, {"state.pt": b"another"})

    def holds(self, root):
        yield from super().holds(root)
        if not any("state.pt" in files and b"another" in _read(where) for where, _, files in os.walk(run_dir(root))):
            yield "what was in its place is lost"

    def done(self, root):
        if _read(os.path.join(run_dir(root), "checkpoints", "step-00000007")) != b"state" * 1000:
            yield "it is not restored"


class RestorePointed(Verb):
    """Of a framework whose pointer led nowhere."""

    args = ("restore", "--jobs", "1", "backups", "--to", "./out")

    def prepare(self, root):
        support.write_files(
            root, {"out/global_step5/mp_rank_00_model_states.pt": trees.body("zip"), "out/latest": "global_step5"}
        )
        assert support.run_ckptrun("backup", "./out", "--to", "./backups", cwd=root).returncode == 0
        shutil.rmtree(os.path.join(root, "out", "global_step5"))
        os.unlink(os.path.join(root, "out", "latest"))

    def holds(self, root):
        home = os.path.join(root, "out")
        yield from broken([item for each in scan.scan_directory(home) for item in each.checkpoints])
        if os.path.exists(os.path.join(home, "latest")) and not os.path.isdir(os.path.join(home, "global_step5")):
            yield "the pointer leads to what is not there"

    def done(self, root):
        with open(os.path.join(root, "out", "latest")) as file:
            if file.read() != "global_step5":
                yield "the pointer does not lead to it"


def _read(folder):
    with open(os.path.join(folder, "state.pt"), "rb") as file:
        return file.read()


# --- mean, branch, seal ------------------------------------------------------------------------------------------------
class Mean(Verb):
    args = ("mean", "a.safetensors", "b.safetensors", "--to", "mean.safetensors")
    other = (*args[:-1], "other.safetensors")
    old = None

    def prepare(self, root):
        for name, value in (("a", 1.0), ("b", 3.0)):
            save_file({key: np.full(3000, value, "f4") for key in ("w", "v")}, os.path.join(root, f"{name}.safetensors"))
        if self.old is not None:
            np.savez(os.path.join(root, self.to), w=np.full(5, self.old, "f4"))

    def holds(self, root):
        found = self._means(root)
        if found not in ([2.0, 2.0], [] if self.old is None else [self.old]):
            yield f"there is {found}"

    def done(self, root):
        if self._means(root) != [2.0, 2.0]:
            yield f"there is {self._means(root)}"

    @property
    def to(self):
        return self.args[self.args.index("--to") + 1]

    def _means(self, root):
        path = os.path.join(root, self.to)
        return [stats.of(each).mean for each in reading.one(path).tensors] if os.path.exists(path) else []


class MeanInPlace(Mean):
    args = ("mean", "a.safetensors", "b.safetensors", "--to", "mean.npz", "--force")
    other = ()
    old = 7.0


class Branch(Verb):
    args = ("branch", "r@7", "b", "--set", "every=5")
    other = ("branch", "r@7", "c")
    prepare = Backup.prepare

    def holds(self, root):
        yield from broken(checkpoints_of(root).values())
        runs = [run.name for run in paths.all_runs(os.path.join(root, "runs"))]
        if runs not in (["r"], ["b", "r"], ["b", "c", "r"]):
            yield f"there are the runs {runs}"
        if "b" in runs:
            yield from self.done(root)
        elif branches.of(paths.RunPaths(dir=run_dir(root))):
            yield "what is not there is said to be branched from it"

    def done(self, root):
        there = checkpoints_of(root, "b")
        yield from broken(there.values())
        record = records.read_run(paths.RunPaths(dir=run_dir(root, "b")))
        if [*there] != ["step-00000007"] or record.parent != "r@step-00000007" or record.overrides != {"every": "5"}:
            yield f"the new run has {[*there]}, and is {record}"
        if not branches.in_use(paths.RunPaths(dir=run_dir(root))):
            yield "the parent does not know of it"


class Seal(Verb):
    args = ("seal", "./out")

    def prepare(self, root):
        trees.plant(os.path.join(root, "out"), trees.recorded()["tf_checkpointmanager_keep3"])

    def holds(self, root):
        items = PrunePointed._there(root)
        yield from broken(items)
        kept = verifying.seals_of(items)
        yield from (
            f"the seal of {path} is {seal.reason}" for path, seal in kept.items() if not isinstance(seal, seals.Seal)
        )
        if len(items) != 3:
            yield f"there are {items}"

    def done(self, root):
        if len(seals_in(root)) != 3:
            yield f"of seals there are {seals_in(root)}"


VERBS = {
    each.__name__: each
    for each in (
        Prune, Thin, PrunePointed, Backup, BackupByLinks, Restore, RestoreInPlace, RestorePointed, Mean, MeanInPlace, Branch, Seal,
    )
}  # fmt: skip


# --- struck ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """What `prepare` makes, made once and copied for each strike."""
    made = {}

    def prepare(verb):
        def copy(root):
            if verb not in made:
                made[verb] = os.fspath(tmp_path_factory.mktemp("world"))
                verb.prepare(made[verb])
            shutil.copytree(made[verb], root, symlinks=True, dirs_exist_ok=True)

        return copy

    return prepare


def judge(verb):
    """What does not hold after the struck run, and after the same command again."""

    def judged(ran, call, how):
        yield from verb.holds(ran.root)
        if ran.silent:
            yield from (f"it said that all is well: {each}" for each in verb.done(ran.root))
        yield from (f"listed as a checkpoint: {name}" for name in listed(ran.root))
        yield from (f"again: {each}" for each in again(verb, ran.root))

    return judged


def again(verb, root):
    make_old(root)
    done = support.run_ckptrun(*verb.args, cwd=root)
    if is_there(verb, done):
        done = support.run_ckptrun(*verb.other, cwd=root)
    if done.returncode:
        yield f"it ends with {done.returncode}: {done.stderr}"
        return
    yield from verb.holds(root)
    yield from verb.done(root)
    yield from (f"left lying about: {path}" for path in unfinished(root))


def is_there(verb, done):
    """What came to be just before the kill is not made again; another is."""
    return verb.other and done.returncode == names.EXIT_USAGE and "there already" in done.stderr


def listed(root):
    """What is half-written and shown as a checkpoint all the same."""
    try:
        found = gather.directory_listing(root).checkpoints
    except errors.CkptrunError as error:
        return [f"{error}"]
    return [item.name for item in found if item.name.startswith(UNFINISHED)]


def unfinished(root):
    return [
        os.path.join(where, name)
        for where, dirs, files in os.walk(root)
        for name in (*dirs, *files)
        if name.startswith(UNFINISHED)
    ]


def make_old(root):
    """As if what was left half-written had been left so long ago."""
    then = time.time() - LONG_AGO
    for path in unfinished(root):
        for where, dirs, files in os.walk(path):
            for name in (*dirs, *files):
                os.utime(os.path.join(where, name), (then, then), follow_symlinks=False)
        os.utime(path, (then, then), follow_symlinks=False)


@pytest.mark.parametrize(
    ("count", "hows"),
    [
        (3, (KILL, "ENOSPC")),
        pytest.param(MANY, (KILL, "ENOSPC", "EIO"), marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
@pytest.mark.parametrize("name", VERBS)
def test_killed_and_failing_at_random_moments(name, count, hows, worlds, tmp_path):
    verb = VERBS[name]()
    case = Case(worlds(verb), lambda _: support.ckptrun_argv(*verb.args), mark="", alone=True)
    found = breaches(case, tmp_path, judge(verb), hows=lambda _: hows, count=count, only=is_below)
    assert not found, "\n".join(found)


# --- on a disk that is full --------------------------------------------------------------------------------------------
@pytest.fixture
def disk(tmp_path):
    """A filesystem of 2 MB and 400 inodes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=400", "ckptrun-test", place]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield os.fspath(place)
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk, what, free):
    """Leave so many pages, or inodes, and no more."""
    home = os.path.join(disk, "full")
    os.mkdir(home)
    left = os.statvfs(disk)
    if what == "inodes":
        for number in range(left.f_favail - free):
            open(os.path.join(home, f"{number}"), "w").close()
        return
    with open(os.path.join(home, "file"), "wb") as file:
        os.posix_fallocate(file.fileno(), 0, (left.f_bavail - free) * left.f_frsize)


@pytest.mark.parametrize(
    ("what", "frees"),
    [
        ("bytes", [1]),
        pytest.param("bytes", range(60), marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
        pytest.param("inodes", range(60), marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
@pytest.mark.parametrize("name", VERBS)
def test_on_a_disk_that_is_full(name, what, frees, worlds, disk):
    """More and more room, until there is enough: before that it is said, and afterwards, with room, the same again does it."""
    verb, found = VERBS[name](), []
    for free in frees:
        root = os.path.join(disk, f"world-{free}")
        os.mkdir(root)
        worlds(verb)(root)
        fill(disk, what, free)
        done = support.run_ckptrun(*verb.args, cwd=root)
        found += [f"{free} {what} free: {each}" for each in full(verb, root, done)]
        shutil.rmtree(os.path.join(disk, "full"))
        found += [f"{free} {what} free: again: {each}" for each in again(verb, root)]
        shutil.rmtree(root)
        if done.returncode == 0:
            break
    assert not found, "\n".join(found)
    assert done.returncode == 0 or len(frees) == 1, "there was never enough room"


def full(verb, root, done):
    yield from verb.holds(root)
    yield from (f"listed as a checkpoint: {name}" for name in listed(root))
    if done.returncode == 0:
        yield from (f"it said that all is well: {each}" for each in verb.done(root))
    elif done.returncode not in (names.EXIT_IO, names.EXIT_CANNOT_CREATE) or not re.search(
        "no space left|there is no room", done.stderr, re.IGNORECASE
    ):
        yield f"it ends with {done.returncode}: {done.stderr}"
