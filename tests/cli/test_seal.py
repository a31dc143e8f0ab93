"""`ckptrun seal`, as it is typed, and what `verify` makes of a seal."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import support
from runmaker import Made
from support import run_ckptrun


def checkpoint(root, step):
    path = os.path.join(root, f"checkpoint-{step}")
    os.makedirs(path)
    with open(f"{path}/trainer_state.json", "w") as file:
        json.dump({"step": step}, file)
    with zipfile.ZipFile(f"{path}/optimizer.pt", "w") as archive:
        archive.writestr("archive/data/0", bytes(range(256)) * 40)
    with open(f"{path}/model.bin", "wb") as file:
        file.write(b"m" * 5000)
    with open(f"{path}/saved", "w"):
        pass
    return path


@pytest.fixture
def out(tmp_path):
    for step in (100, 200):
        checkpoint(tmp_path / "out", step)
    return tmp_path / "out"


def seal(cwd, *args, code=0):
    done = run_ckptrun("seal", *args, "--json", cwd=cwd)
    assert (done.returncode, done.stderr) == (code, ""), done.stderr
    return {os.path.basename(each["path"]): each for each in json.loads(done.stdout)["checkpoints"]}


def states(found):
    return {name: each["state"] for name, each in found.items()}


def verify(cwd, *args):
    done = run_ckptrun("verify", *args, "--json", cwd=cwd)
    found = json.loads(done.stdout)
    return {os.path.basename(each["path"]): each["reason"] for each in found["broken"]}, found


def flip(path, *, quietly=False):
    state = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    if quietly:  # as a disk does
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def everything(path):
    return sorted(os.path.join(at, name) for at, below, files in os.walk(path) for name in [*below, *files])


def test_a_seal_lies_beside_and_finds_every_byte(tmp_path, out):
    before = everything(out)
    assert states(seal(tmp_path, "./out")) == {"checkpoint-100": "sealed", "checkpoint-200": "sealed"}
    assert everything(out) == before
    assert len(os.listdir(tmp_path / ".ckptrun" / "seals")) == 2
    broken, found = verify(tmp_path, "--deep", "./out")
    assert (broken, found["remarks"], found["bytes"]) == ({}, [], sum(map(os.path.getsize, _files(out))))
    flip(out / "checkpoint-100" / "model.bin", quietly=True)
    assert verify(tmp_path, "./out")[0] == {}
    reason = verify(tmp_path, "--deep", "./out")[0]["checkpoint-100"]
    assert "model.bin has checksum" in reason
    assert "it was written since" not in reason


def _files(path):
    return [name for name in everything(path) if os.path.isfile(name)]


def test_what_is_in_a_seal(tmp_path, out):
    with open(seal(tmp_path, "./out/checkpoint-100")["checkpoint-100"]["seal"]) as file:
        found = json.load(file)
    assert {key: found[key] for key in ("format", "path", "layout", "step")} == {
        "format": 1,
        "path": "out/checkpoint-100",
        "layout": "transformers",
        "step": 100,
    }
    model = next(each for each in found["files"] if each["path"] == "checkpoint-100/model.bin")
    import xxhash

    assert (model["size"], model["xxh3_128"]) == (5000, xxhash.xxh3_128(b"m" * 5000).hexdigest())


def test_again_is_nothing_and_a_change_is_refused(tmp_path, out):
    seal(tmp_path, "./out")
    record = tmp_path / ".ckptrun" / "seals"
    before = {name: os.stat(record / name).st_ino for name in os.listdir(record)}
    assert states(seal(tmp_path, "./out")) == {"checkpoint-100": "unchanged", "checkpoint-200": "unchanged"}
    for name in _files(out):
        os.utime(name)  # read again, and the same
    assert states(seal(tmp_path, "./out")) == {"checkpoint-100": "unchanged", "checkpoint-200": "unchanged"}
    flip(out / "checkpoint-100" / "model.bin")
    found = seal(tmp_path, "./out", code=1)
    assert states(found) == {"checkpoint-100": "refused", "checkpoint-200": "unchanged"}
    assert "checkpoint-100/model.bin has other bytes (--again" in found["checkpoint-100"]["reason"]
    assert {name: os.stat(record / name).st_ino for name in os.listdir(record)} == before
    assert states(seal(tmp_path, "./out", "--again")) == {"checkpoint-100": "sealed", "checkpoint-200": "unchanged"}
    assert verify(tmp_path, "--deep", "./out")[0] == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: os.unlink(f"{path}/saved"), "saved is missing, which was there when it was sealed"),
        (
            lambda path: os.truncate(f"{path}/model.bin", 10),
            "model.bin has 10 bytes, and was sealed with 5000; it was written",
        ),
        (lambda path: _instead(f"{path}/saved", lambda name: os.symlink("/dev/zero", name)), "saved is not a file any more"),
    ],
)
def test_changes_that_are_seen_without_reading(tmp_path, out, change, reason):
    seal(tmp_path, "./out")
    change(out / "checkpoint-100")
    for deep in ([], ["--deep"]):
        assert reason in verify(tmp_path, "./out", *deep)[0]["checkpoint-100"]


def _instead(path, make):
    os.unlink(path)
    make(path)


def test_a_file_more_is_a_remark(tmp_path, out):
    seal(tmp_path, "./out")
    (out / "checkpoint-100" / "notes.txt").write_text("mine")
    broken, found = verify(tmp_path, "./out")
    assert (broken, len(found["remarks"])) == ({}, 1)
    assert "1 more than were sealed: checkpoint-100/notes.txt" in found["remarks"][0]


def test_what_was_saved_anew_is_not_held_against_an_old_seal(tmp_path, out):
    seal(tmp_path, "./out")
    shutil.rmtree(out / "checkpoint-100")
    checkpoint(out, 100)
    (out / "checkpoint-100" / "model.bin").write_bytes(b"n" * 6000)
    broken, found = verify(tmp_path, "--deep", "./out")
    assert broken == {}
    assert "it was saved anew" in found["remarks"][0]
    assert states(seal(tmp_path, "./out", code=1))["checkpoint-100"] == "refused"
    assert states(seal(tmp_path, "./out", "--anew"))["checkpoint-100"] == "sealed"


def test_what_is_not_whole_is_not_sealed(tmp_path, out):
    os.unlink(out / "checkpoint-100" / "trainer_state.json")
    flip(out / "checkpoint-200" / "optimizer.pt")
    found = seal(tmp_path, "./out", code=1)
    assert states(found) == {"checkpoint-100": "refused", "checkpoint-200": "refused"}
    assert found["checkpoint-100"]["reason"].startswith("it is partial: ")
    assert found["checkpoint-200"]["reason"].startswith(
        "it is corrupt: optimizer.pt is damaged: archive/data/0 has checksum"
    )
    assert not os.path.exists(tmp_path / ".ckptrun")


def test_what_is_being_written_is_not_sealed(tmp_path, out):
    holds = "import sys; file = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", holds, out / "checkpoint-100" / "model.bin"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"open\n"
        found = seal(tmp_path, "./out", code=1)
        writer.stdin.close()
    assert states(found) == {"checkpoint-100": "refused", "checkpoint-200": "sealed"}
    assert f"(pid {writer.pid}) is writing to checkpoint-100/model.bin" in found["checkpoint-100"]["reason"]


def test_ours_have_a_manifest(tmp_path):
    with Made(tmp_path / "runs", "digits").attempt() as attempt:
        attempt.save(10)
    assert states(seal(tmp_path, "digits")) == {"step-00000010": "manifest"}


def test_names_that_are_no_text_and_a_directory_that_moved(tmp_path, weird_path):
    path = checkpoint(weird_path / "out", 100)
    os.rename(f"{path}/model.bin", os.fsencode(path) + b"/mo\xff\\x41\n.bin")
    assert states(seal(tmp_path, weird_path / "out")) == {"checkpoint-100": "sealed"}
    os.rename(weird_path, tmp_path / "moved")
    assert states(seal(tmp_path, "./moved/out")) == {"checkpoint-100": "unchanged"}
    os.truncate(os.fsencode(tmp_path) + b"/moved/out/checkpoint-100/mo\xff\\x41\n.bin", 9)
    assert "has 9 bytes, and was sealed with 5000" in verify(tmp_path, "./moved/out")[0]["checkpoint-100"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "its seal is damaged"),
        (b'{"format": 7}', "its seal has format 7"),
        (b'{"format": 1, "path": "x", "layout": "x", "created": "now", "version": "1", "files": []}', "its seal is damaged"),
    ],
)
def test_a_damaged_seal_is_said_and_proves_nothing(tmp_path, out, body, reason):
    with open(seal(tmp_path, "./out/checkpoint-100")["checkpoint-100"]["seal"], "wb") as file:
        file.write(body)
    broken, found = verify(tmp_path, "--deep", "./out/checkpoint-100")
    assert (broken, reason in found["remarks"][0]) == ({}, True)
    assert states(seal(tmp_path, "./out/checkpoint-100", code=1)) == {"checkpoint-100": "refused"}
    assert states(seal(tmp_path, "./out/checkpoint-100", "--again")) == {"checkpoint-100": "sealed"}


def test_a_seal_that_leads_elsewhere_is_not_followed(tmp_path, out):
    path = seal(tmp_path, "./out/checkpoint-100")["checkpoint-100"]["seal"]
    with open(path) as file:
        text = file.read().replace("checkpoint-100/model.bin", "../../etc/passwd")
    with open(path, "w") as file:
        file.write(text)
    assert "names '../../etc/passwd'" in verify(tmp_path, "--deep", "./out/checkpoint-100")[1]["remarks"][0]


def test_where_nothing_can_be_made(tmp_path, out):
    for place in (tmp_path, out):
        (place / ".ckptrun").write_text("something else")
    done = run_ckptrun("seal", "./out", cwd=tmp_path)
    assert done.returncode in (73, 74)
    assert f"{tmp_path}/.ckptrun: something else is in its place" in done.stderr


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_killed_anywhere_there_is_a_whole_seal_or_none(tmp_path, out, call):
    killing = (
        "import os, signal\n"
        f"os.{call} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from ckptrun.cli import main\nmain()"
    )
    done = support.run([sys.executable, "-c", killing, "seal", "./out/checkpoint-100"], cwd=tmp_path)
    assert done.returncode == -9
    assert verify(tmp_path, "--deep", "./out")[0] == {}
    assert states(seal(tmp_path, "./out")) == {"checkpoint-100": "sealed", "checkpoint-200": "sealed"}
