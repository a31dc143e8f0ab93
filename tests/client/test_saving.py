"""checkpoint(): what becomes of the folder, whatever is in it and whatever goes wrong."""

import errno
import json
import math
import os
import shutil
import stat
import subprocess
import sys
import threading

import pytest
import support
import xxhash

from ckptrun import names
from ckptrun.checkpoints import manifest, scan, verify
from ckptrun.client import LeaseLost, contents
from ckptrun.client import manifest as writing


def only(world):
    """The one checkpoint there is, checked to the last byte."""
    (found,) = scan.scan_run(world.checkpoints, os.path.join(world.dir, names.ATTEMPTS), sizes=True)
    assert verify.deep(found) == (names.COMPLETE, "")
    return found


# --- what is written -----------------------------------------------------------------------------------------------------
def test_a_save_is_whole_named_by_its_step_and_acknowledged(world):
    run = world.run()
    folder = world.save(run, 120, {"state.pt": b"a" * 1000, "sub/more": b""}, epoch=3, metrics={"loss": 0.5})
    assert folder.name.startswith(".tmp-step-00000120-a0001-")
    assert folder.parent == run.checkpoint_dir
    assert world.names() == ["latest", "step-00000120"]
    assert os.readlink(os.path.join(world.checkpoints, "latest")) == "step-00000120"
    found = only(world)
    assert (found.step, found.epoch, found.metrics, found.attempt, found.why_saved) == (120, 3, {"loss": 0.5}, 1, "user")
    assert found.size == 1000
    (said,) = world.heard("checkpoint")
    assert said["checkpoint"] == "step-00000120"
    assert said["seconds"] >= 0


def test_the_manifest_says_everything(world):
    path = os.path.join(world.checkpoints, "step-00000100")
    run = world.run("20", CKPTRUN_RESUME_FROM=path, CKPTRUN_RESUME_STEP=100)
    world.ask(id="r7")
    assert run.should_save(101, epoch=2.5, metrics={"loss": 1})
    world.save(run, 101, {"a": b"1"})
    body = world.manifest("step-00000101")
    assert body["format"] == 1
    assert (body["step"], body["epoch"], body["metrics"], body["nonfinite"]) == (101, 2.5, {"loss": 1.0}, {})
    assert (body["run"], body["attempt"], body["attempt_id"]) == ("digits", 1, "id-of-1")
    assert (body["reason"], body["request"], body["parent"]) == ("request", "r7", "step-00000100")
    assert body["files"] == [{"path": "a", "size": 1, "xxh3_128": xxhash.xxh3_128_hexdigest(b"1")}]
    assert body["seconds"] >= 0
    assert body["created"].endswith("Z")


@pytest.mark.parametrize(
    ("resumed", "parent"),
    [
        ("{checkpoints}/step-00000007", "step-00000007"),
        ("{run}/attempts/0001/output/model.pt", "attempts/0001/output/model.pt"),
        ("/elsewhere/step-00000007", "/elsewhere/step-00000007"),
        ("", ""),
    ],
)
def test_the_parent_is_told_so_that_the_run_can_be_moved(world, resumed, parent):
    path = resumed.format(checkpoints=world.checkpoints, run=world.dir)
    world.save(world.run(CKPTRUN_RESUME_FROM=path), 9)
    assert world.manifest("step-00000009")["parent"] == parent


@pytest.mark.parametrize(("every", "step", "total", "why"), [("5", 5, None, "every"), ("50", 9, 10, "final")])
def test_the_reason_is_the_one_that_should_save_had(world, every, step, total, why):
    run = world.run(every)
    assert run.should_save(step, total=total)
    world.save(run, step)
    assert world.manifest(f"step-{step:08d}")["reason"] == why


def test_metrics_of_should_save_are_those_of_the_checkpoint(world):
    run = world.run("5")
    assert run.should_save(5, metrics={"loss": 1})
    world.save(run, 5)
    assert world.manifest("step-00000005")["metrics"] == {"loss": 1.0}
    run.should_save(6, metrics={"loss": 2})
    world.save(run, 7)
    assert world.manifest("step-00000007")["metrics"] == {}


def test_metrics_that_json_cannot_hold(world):
    numpy = pytest.importorskip("numpy")
    given = {
        "loss": float("nan"),
        "top": numpy.float32("inf"),
        "low": -math.inf,
        "half": numpy.float16(0.5),
        "count": numpy.int64(3),
        "yes": True,
        "text": "0.9x",
        "list": [1],
        "many": numpy.zeros(3),
        "none": None,
        "huge": 10**400,
        7: 1,
        "\udcff": 2,
    }
    world.save(world.run(), 1, metrics=given)
    body = world.manifest("step-00000001")
    assert body["metrics"] == {
        "loss": None, "top": None, "low": None, "half": 0.5, "count": 3.0, "yes": 1.0, "7": 1.0, "\\udcff": 2.0
    }  # fmt: skip
    assert body["nonfinite"] == {"loss": "nan", "top": "inf", "low": "-inf"}
    read = manifest.metrics(manifest.read(os.path.join(world.checkpoints, "step-00000001")))
    assert math.isnan(read["loss"])
    assert (read["top"], read["low"], read["half"]) == (math.inf, -math.inf, 0.5)


def test_metrics_of_torch(world):
    torch = pytest.importorskip("torch")
    world.save(world.run(), torch.tensor(4), metrics={"loss": torch.tensor(0.5), "many": torch.zeros(3)})
    assert world.manifest("step-00000004")["metrics"] == {"loss": 0.5}


ODD = [
    'it\'s a "weird"\n\t$HOME; name *',
    "a b",
    "-rf",
    "\udcff\udcfe",
    "back\\slash",
    "\\xff",
    "\\\\",
    "é",
    "目",
    "new\nline",
    "x" * 250,
    ".hidden",
]


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_names_of_every_kind_come_back_as_they_were(world, name):
    world.save(world.run(), 1, {name: b"1", f"sub/{name}": b"22", f"{name[:200]}-dir/deep/er": b"333"})
    path = os.path.join(world.checkpoints, "step-00000001")
    wanted = {name: 1, f"sub/{name}": 2, f"{name[:200]}-dir/deep/er": 3}
    assert {entry.path: entry.size for entry in manifest.read(path).files} == wanted
    only(world)


def test_in_a_weird_place(weird_path):
    code = (
        "import ckptrun\nrun = ckptrun.attach(every=5)\nfor step in range(12):\n"
        "    if run.should_save(step):\n        with run.checkpoint(step) as folder: (folder / 'x').write_text('1')\n"
        "print(run.checkpoint_dir)"
    )
    done = support.run([sys.executable, "-c", code], cwd=weird_path)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(weird_path / "checkpoints")) == ["latest", "step-00000005", "step-00000010"]


def test_links_inside_are_kept(world):
    with world.run().checkpoint(1) as folder:
        (folder / "epoch-1.pt").write_bytes(b"1" * 50)
        (folder / "last.pt").symlink_to("epoch-1.pt")
        (folder / "sub").mkdir()
        (folder / "sub" / "up").symlink_to("../epoch-1.pt")
        (folder / "alias").symlink_to("sub")
        os.link(folder / "epoch-1.pt", folder / "hard")
    entries = {entry.path: entry.size for entry in manifest.read(os.path.join(world.checkpoints, "step-00000001")).files}
    assert entries == {"epoch-1.pt": 50, "last.pt": 50, "hard": 50, "sub/up": 50}
    only(world)


def _link_out(folder):
    (folder / "data").symlink_to("/etc/passwd")


def _link_up(folder):
    (folder / "data").symlink_to("../../run.yaml")


def _link_absolute(folder):
    (folder / "real").write_text("1")
    (folder / "data").symlink_to(folder / "real")


def _link_to_nothing(folder):
    (folder / "data").symlink_to("nothing")


def _link_dir_out(folder):
    (folder / "data").symlink_to("/etc")


def _fifo(folder):
    os.mkfifo(folder / "data")


def _own_name(folder):
    (folder / "checkpoint.json").write_text("{}")


def _nothing(folder):
    (folder / "empty").mkdir()


@pytest.mark.parametrize(
    ("fill", "sentence"),
    [
        (_link_out, "leads outside"),
        (_link_up, "leads outside"),
        (_link_absolute, "leads outside"),
        (_link_dir_out, "leads outside"),
        (_link_to_nothing, "link to nothing"),
        (_fifo, "neither a file nor a directory"),
        (_own_name, "ckptrun writes a file of this name"),
        (_nothing, "nothing was written"),
    ],
)
def test_what_cannot_be_part_of_a_checkpoint(world, capfd, fill, sentence):
    with pytest.raises(ValueError, match=sentence), world.run().checkpoint(1) as folder:
        fill(folder)
    assert world.names() == []
    assert sentence in capfd.readouterr().err
    assert sentence in world.heard("failed")[0]["failed"]
    assert os.path.exists("/etc/passwd")


def test_a_folder_that_was_replaced_by_a_link_is_neither_taken_nor_followed(world, tmp_path):
    support.write_files(tmp_path / "victim", {"precious": "1"})
    with pytest.raises(ValueError, match="replaced by a link"), world.run().checkpoint(1) as folder:  # noqa: PT012
        os.rmdir(folder)
        os.symlink(tmp_path / "victim", folder)
    assert world.names() == []
    assert (tmp_path / "victim" / "precious").exists()


def test_a_file_that_is_still_open_is_refused(world):
    with pytest.raises(ValueError, match="still open for writing"), world.run().checkpoint(1) as folder:  # noqa: PT012
        file = open(folder / "state.pt", "wb")  # noqa: SIM115  # the mistake that is tested
        file.write(b"half of it is in a buffer")
    file.close()
    assert world.names() == []


def test_a_file_that_is_still_read_is_not(world):
    with world.run().checkpoint(1) as folder:
        (folder / "state.pt").write_bytes(b"1")
        file = open(folder / "state.pt", "rb")  # noqa: SIM115  # a reader harms nobody
    file.close()
    only(world)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o027])
def test_modes_follow_the_umask(world, umask):
    code = "import ckptrun\nwith ckptrun.attach().checkpoint(1) as folder: (folder / 'x').write_text('1')"
    before = os.umask(umask)
    try:
        assert world.script(code).returncode == 0
    finally:
        os.umask(before)
    path = os.path.join(world.checkpoints, "step-00000001")
    modes = [stat.S_IMODE(os.stat(p).st_mode) for p in (path, f"{path}/x", f"{path}/checkpoint.json")]
    assert modes == [0o777 & ~umask, 0o666 & ~umask, 0o666 & ~umask]


def test_large_files_are_hashed_by_two_threads_and_right(world):
    world.save(world.run(), 1, {f"part-{i}": os.urandom(9 << 20) for i in range(5)})
    only(world)


# --- the same step again ---------------------------------------------------------------------------------------------------
def test_the_same_step_of_this_attempt_stands(world):
    run = world.run()
    world.save(run, 5, {"state": b"first"})
    world.ask(names.SAVE_AND_STOP)
    world.save(run, 5, {"state": b"second"})
    assert world.names() == ["latest", "step-00000005"]
    with open(os.path.join(world.checkpoints, "step-00000005", "state"), "rb") as file:
        assert file.read() == b"first"
    assert world.heard("checkpoint")[-1] == {
        "checkpoint": "step-00000005", "step": 5, "request": "r1", "seconds": pytest.approx(0, abs=5)
    }  # fmt: skip
    assert run.should_stop


def test_the_same_step_of_another_attempt_gets_another_name(world):
    world.save(world.run(), 5, {"state": b"first"})
    world.begin(3)
    world.save(world.run(), 5, {"state": b"second"})
    world.begin(4)
    world.save(world.run(), 5, {"state": b"third"})
    assert world.names() == ["latest", "step-00000005", "step-00000005.a0003", "step-00000005.a0004"]
    found = scan.scan_run(world.checkpoints, os.path.join(world.dir, names.ATTEMPTS))
    assert [item.attempt for item in found] == [1, 3, 4]


def test_a_broken_one_of_this_attempt_is_not_overwritten(world):
    run = world.run()
    world.save(run, 5, {"state": b"first"})
    os.truncate(os.path.join(world.checkpoints, "step-00000005", "state"), 2)
    world.save(run, 5, {"state": b"second"})
    os.unlink(os.path.join(world.checkpoints, "step-00000005.a0001", "checkpoint.json"))
    world.save(run, 5, {"state": b"third"})
    assert world.names() == ["latest", "step-00000005", "step-00000005.a0001", "step-00000005.a0001.2"]


def test_a_name_that_was_set_aside_is_not_used_again(world):
    world.save(world.run(), 5)
    aside = os.path.join(world.dir, names.SUPERSEDED, "0001-rewind", names.CHECKPOINTS)
    os.makedirs(aside)
    os.rename(os.path.join(world.checkpoints, "step-00000005"), os.path.join(aside, "step-00000005"))
    world.begin(2)
    world.save(world.run(), 5)
    assert world.names() == ["latest", "step-00000005.a0002"]


@pytest.mark.parametrize("thing", ["file", "link", "directory"])
def test_whatever_bears_the_name_is_left_alone(world, thing):
    path = os.path.join(world.checkpoints, "step-00000005")
    if thing == "file":
        support.write_files(world.checkpoints, {"step-00000005": "mine"})
    elif thing == "link":
        os.symlink("nowhere", path)
    else:
        os.mkdir(path)
    world.save(world.run(), 5)
    assert "step-00000005.a0001" in world.names()
    assert os.path.lexists(path)
    assert not os.path.isdir(path) or os.listdir(path) == []


@pytest.mark.parametrize("thing", ["file", "directory"])
def test_a_latest_of_the_scripts_own_is_left_alone(world, thing):
    path = os.path.join(world.checkpoints, "latest")
    if thing == "file":
        support.write_files(world.checkpoints, {"latest": "mine"})
    else:
        os.mkdir(path)
    world.save(world.run(), 5)
    assert not os.path.islink(path)
    assert world.names() == ["latest", "step-00000005"]


# --- what goes wrong ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_an_exception_in_the_block_leaves_a_line_and_goes_on(world, capfd, error):
    with pytest.raises(type(error)) as caught, world.run().checkpoint(9) as folder:  # noqa: PT012
        (folder / "sub").mkdir()
        (folder / "sub" / "half").write_text("1")
        (folder / "out").symlink_to(world.dir)
        raise error
    assert caught.value is error
    assert world.names() == []
    assert os.path.isdir(world.dir)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("ckptrun: step 9 was not saved: ")
    assert len(world.heard("failed")) == 1


def test_a_message_with_escapes_stays_one_line(world, capfd):
    with pytest.raises(ValueError, match="evil"), world.run().checkpoint(9):
        raise ValueError("evil\n\x1b[31m" + "x" * 5000)
    assert capfd.readouterr().err.count("\n") == 1
    assert len(json.dumps(world.heard("failed")[0])) < 1000


@pytest.mark.parametrize("what", ["file", "directory", "manifest", "folder", "parent"])
def test_a_failed_fsync_is_never_believed(world, monkeypatch, what):
    """Each fsync of a commit fails in turn: nothing is left, nothing is acknowledged, what was there stays."""
    run = world.run()
    world.save(run, 1)
    calls = []
    real = os.fsync
    target = {"file": 1, "directory": 2, "manifest": 3, "folder": 4, "parent": 5}[what]

    def fsync(fd):
        calls.append(fd)
        if len(calls) == target:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    world.heard()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        world.save(run, 2, {"sub/state": b"1"})
    assert len(calls) == target
    assert world.names() == ["latest", "step-00000001"]
    assert world.heard("checkpoint") == []
    assert world.heard("failed", "saving") == []


def test_a_directory_that_cannot_be_synced_is_one_of_a_synchronous_filesystem(world, monkeypatch):
    real = os.fsync

    def fsync(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    world.save(world.run(), 2, {"sub/state": b"1"})
    only(world)


def test_a_lost_lease_is_found_before_the_rename(world):
    run = world.run()
    world.save(run, 1)
    with pytest.raises(LeaseLost, match="attempt 1 of run digits has lost its lease"), run.checkpoint(2) as folder:  # noqa: PT012
        (folder / "x").write_text("1")
        world.lease("somebody-else")
    assert world.names() == ["latest", "step-00000001"]


def test_a_later_attempt_is_a_lost_lease_whatever_the_file_says(world):
    run = world.run()
    with pytest.raises(LeaseLost), run.checkpoint(2) as folder:  # noqa: PT012
        (folder / "x").write_text("1")
        os.mkdir(os.path.join(world.dir, names.ATTEMPTS, "0002"))
    assert world.names() == []


@pytest.mark.parametrize("body", [None, "", "{", "[]", "{}"])
def test_a_lease_that_is_not_there_or_not_understood_is_not_ours(world, body, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    path = os.path.join(world.dir, names.LEASE_JSON)
    os.unlink(path)
    if body is not None:
        support.write_files(world.dir, {names.LEASE_JSON: body})
    with pytest.raises((LeaseLost, OSError)):
        world.save(world.run(), 2)
    assert world.names() == []


def test_a_save_begun_without_the_lease_does_not_begin(world):
    run = world.run()
    world.lease("somebody-else")
    with pytest.raises(LeaseLost), run.checkpoint(2):
        raise AssertionError("the block must not run")
    assert world.names() == []


def test_a_file_that_changes_while_it_is_hashed(world, monkeypatch):
    real = contents._settle_one

    def settle(path, *rest):
        real_fstat, calls = os.fstat, []

        def fstat(fd):
            calls.append(fd)
            if len(calls) == 2:
                with open(path, "ab") as file:
                    file.write(b"more")
            return real_fstat(fd)

        monkeypatch.setattr(os, "fstat", fstat)
        try:
            real(path, *rest)
        finally:
            monkeypatch.setattr(os, "fstat", real_fstat)

    monkeypatch.setattr(contents, "_settle_one", settle)
    with pytest.raises(ValueError, match="still being written"):
        world.save(world.run(), 1)
    assert world.names() == []


def test_without_xxhash_sizes_are_the_proof(tmp_path):
    code = (
        "import sys; sys.modules['xxhash'] = None\nimport ckptrun\n"
        "with ckptrun.attach().checkpoint(1) as folder: (folder / 'x').write_text('1')"
    )
    assert support.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
    body = json.loads((tmp_path / "checkpoints/step-00000001/checkpoint.json").read_text())
    assert body["files"] == [{"path": "x", "size": 1, "xxh3_128": ""}]
    (series,) = scan.scan_directory(str(tmp_path / "checkpoints"))
    assert verify.deep(series.checkpoints[0]) == (names.COMPLETE, "")


def test_other_ranks_leave_the_checkpoint_to_rank_0(world, capfd):
    runs = [world.run(agree=lambda number: number, RANK=rank, WORLD_SIZE=2) for rank in range(2)]
    for rank in (1, 0):
        world.save(runs[rank], 5, {"state": b"%d" % rank})
    assert world.names() == ["latest", "step-00000005"]
    with open(os.path.join(world.checkpoints, "step-00000005", "state"), "rb") as file:
        assert file.read() == b"0"
    assert "rank 1: rank 0's folder is the checkpoint; 1 written here not kept: state" in capfd.readouterr().err
    assert len(world.heard("checkpoint")) == 1


def test_two_saves_at_once_by_threads(world):
    run = world.run()
    errors = []

    def work(step):
        try:
            world.save(run, step, {"state": b"%d" % step * 1000})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(step,)) for step in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    found = scan.scan_run(world.checkpoints, os.path.join(world.dir, names.ATTEMPTS))
    assert [item.step for item in found] == list(range(8))
    assert all(verify.deep(item)[0] == names.COMPLETE for item in found)


# --- full disks ----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 256 kB and 40 inodes."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=40", "ckptrun-test", place], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("full", ["bytes", "inodes"])
def test_a_full_disk_loses_the_save_and_nothing_else(world, small_disk, full):
    home = small_disk / "checkpoints"
    home.mkdir()
    run = world.run(CKPTRUN_CHECKPOINT_DIR=home)
    world.save(run, 1)
    files = {"state": b"x" * 400_000} if full == "bytes" else {f"shard-{i}": b"x" for i in range(50)}
    with pytest.raises(OSError, match="No space left"):
        world.save(run, 2, files)
    assert sorted(os.listdir(home)) == ["latest", "step-00000001"]
    world.save(run, 3)
    found = scan.scan_run(str(home), "")
    assert [(item.step, verify.deep(item)[0]) for item in found] == [(1, names.COMPLETE), (3, names.COMPLETE)]


def test_a_disk_that_is_full_for_the_manifest_only(world, small_disk):
    home = small_disk / "checkpoints"
    home.mkdir()
    run = world.run(CKPTRUN_CHECKPOINT_DIR=home)
    free = shutil.disk_usage(small_disk).free
    with pytest.raises(OSError, match="No space left"):
        world.save(run, 2, {"state": b"x" * (free - 100)})
    assert os.listdir(home) == []


# --- done ------------------------------------------------------------------------------------------------------------------------
def test_done_is_a_file_first_and_then_said(world):
    world.run().done("loss 0.1\n")
    path = os.path.join(world.dir, names.ATTEMPTS, "0001", names.DONE)
    with open(path) as file:
        assert file.read() == "loss 0.1\n\n"
    assert world.heard("done") == [{"done": "loss 0.1\n"}]
    assert sorted(os.listdir(os.path.dirname(path))) == ["done", "output"]


def test_done_without_the_lease_is_refused(world):
    run = world.run()
    world.lease("somebody-else")
    with pytest.raises(LeaseLost):
        run.done()
    assert not os.path.exists(os.path.join(world.dir, names.ATTEMPTS, "0001", names.DONE))


def test_done_that_cannot_be_written_is_said_and_sent(world, capfd, monkeypatch):
    def fsync(_):
        raise OSError(errno.EIO, "Input/output error")

    run = world.run()
    monkeypatch.setattr(os, "fsync", fsync)
    run.done()
    assert "proof of completion could not be written" in capfd.readouterr().err
    assert world.heard("done")
    assert os.listdir(os.path.join(world.dir, names.ATTEMPTS, "0001")) == ["output"]
    world.socket.close()
    with pytest.raises(OSError, match="Input/output"):
        run.done()


# --- one schema --------------------------------------------------------------------------------------------------------------------
def test_what_the_client_writes_and_what_is_read_are_one_schema(world):
    """The same fields, and the reader's own writer gives the same document."""
    world.save(world.run(), 3, {ODD[0]: b"1", "\udcff\\": b"2"}, epoch=1, metrics={"loss": float("nan"), "acc": 0.5})
    path = os.path.join(world.checkpoints, "step-00000003")
    read = manifest.read(path)
    body = world.manifest("step-00000003")
    assert set(body) == set(type(read).__struct_fields__) - {"thinned"}
    assert json.loads(manifest.encode(read)) == body
    assert manifest.parse(manifest.encode(read)) == read


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_both_sides_escape_names_alike(name):
    assert writing.escape(name) == manifest.escape(name)
    assert manifest.unescape(writing.escape(name)) == name
