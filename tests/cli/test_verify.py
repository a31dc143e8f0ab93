"""`ckptrun verify`, as it is typed: whole, broken, unreadable; files that want to be believed, loaded or waited for."""

import json
import os
import pickle
import pty
import signal
import socket
import struct
import subprocess
import sys
import zipfile

import pytest
import support
from runmaker import Made
from support import clean_env, run_ckptrun

numpy = pytest.importorskip("numpy")


def safetensors(path, size=40, declared=None):
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with open(path, "wb") as file:
        file.write((declared or len(header)).to_bytes(8, "little") + header + b"\1" * size)


def huggingface(root, step):
    """A checkpoint of transformers' Trainer, with a shard list and an archive."""
    path = os.path.join(root, f"checkpoint-{step}")
    os.makedirs(path)
    for shard in (1, 2):
        safetensors(f"{path}/model-0000{shard}-of-00002.safetensors")
    names = {f"w{shard}": f"model-0000{shard}-of-00002.safetensors" for shard in (1, 2)}
    for name, body in (("model.safetensors.index.json", {"weight_map": names}), ("trainer_state.json", {"step": step})):
        with open(f"{path}/{name}", "w") as file:
            json.dump(body, file)
    with zipfile.ZipFile(f"{path}/optimizer.pt", "w") as archive:
        archive.writestr("archive/data/0", bytes(range(256)) * 400)
    with zipfile.ZipFile(f"{path}/scheduler.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"s" * 100)
    with open(f"{path}/was-saved", "w"):
        pass  # an empty file that says what it says by being there
    return path


def _bind(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


def flip(path, place):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


def verify(cwd, *args, **more):
    done = run_ckptrun("verify", *args, "--json", cwd=cwd, **more)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert done.returncode == (1 if found["broken"] else 74 if found["unread"] else 0)
    assert found["whole"] + len(found["broken"]) + len(found["unread"]) == found["checked"]
    return found


def broken(found):
    return {os.path.basename(each["path"]): each["reason"] for each in found["broken"]}


def test_a_run_by_its_manifests(tmp_path):
    run = Made(tmp_path / "runs", "digits")
    with run.attempt() as attempt:
        first, second = attempt.save(10), attempt.save(20)
    assert verify(tmp_path, "--deep", "digits") | {"seconds": 0} == {
        "format": 1,
        "checked": 2,
        "whole": 2,
        "broken": [],
        "unread": [],
        "remarks": [],
        "deep": True,
        "bytes": 2 * os.path.getsize(f"{first}/state.bin"),
        "seconds": 0,
    }
    flip(f"{second}/state.bin", 3)
    assert verify(tmp_path, "dig*")["whole"] == 2  # by sizes
    assert "state.bin has checksum" in broken(verify(tmp_path, "--deep", "dig*"))["step-00000020"]
    assert verify(tmp_path, "--deep", "digits@10")["whole"] == 1
    assert broken(verify(tmp_path, "--deep", "digits/1")).keys() == {"step-00000020"}


def test_a_byte_of_somebody_else_s(tmp_path):
    paths = [huggingface(tmp_path / "out", step) for step in (100, 200, 300)]
    found = verify(tmp_path, "--deep", "./out")
    assert (found["whole"], found["remarks"]) == (
        3,
        ["12 files have no checksum: only their structure was looked at (`ckptrun seal` makes one for later)"],
    )
    flip(f"{paths[1]}/optimizer.pt", 5000)
    assert verify(tmp_path, "./out")["whole"] == 3
    assert broken(verify(tmp_path, "--deep", "./out"))["checkpoint-200"].startswith(
        "optimizer.pt is damaged: archive/data/0"
    )


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: os.truncate(f"{path}/optimizer.pt", 900), "optimizer.pt is cut short"),
        (lambda path: os.truncate(f"{path}/optimizer.pt", 0), "optimizer.pt is empty"),
        (lambda path: os.truncate(f"{path}/trainer_state.json", 5), "trainer_state.json"),
        (lambda path: os.truncate(f"{path}/model-00001-of-00002.safetensors", 70), "is cut short"),
        (lambda path: os.unlink(f"{path}/model-00002-of-00002.safetensors"), "model-00002-of-00002.safetensors is missing"),
        (
            lambda path: safetensors(f"{path}/extra.safetensors", declared=1 << 62),
            "its header would have 4611686018427387904",
        ),
        (lambda path: os.symlink("nowhere", f"{path}/link.pt"), "link.pt is missing"),
        (lambda path: os.symlink("loop.json", f"{path}/loop.json"), "loop.json is not a file of its own"),
        (lambda path: os.mkfifo(f"{path}/pipe.json"), "pipe.json is a pipe where a file should be"),
        (lambda path: os.symlink("/dev/zero", f"{path}/zero.json"), "zero.json is a device where a file should be"),
        (lambda path: _bind(f"{path}/socket.json"), "socket.json is not a file of its own"),
    ],
)
def test_damage_that_is_seen_without_reading(tmp_path, damage, reason, monkeypatch):
    path = huggingface(tmp_path / "out", 100)
    monkeypatch.chdir(path)  # a socket's path may have 107 bytes
    damage(".")
    assert reason in broken(verify(tmp_path, "./out"))["checkpoint-100"]


def test_shards_that_only_a_list_knows(tmp_path):
    path = huggingface(tmp_path / "out", 100)
    for listed, reason in (("adapter.safetensors", "adapter.safetensors is missing, which"), ("../../x", "names '../../x'")):
        with open(f"{path}/adapter.safetensors.index.json", "w") as file:
            json.dump({"weight_map": {"a": listed}}, file)
        safetensors(f"{path}/adapter-00001-of-00001.safetensors")
        assert reason in broken(verify(tmp_path, "./out"))["checkpoint-100"]


class Runs:
    """What a pickle can do that is loaded."""

    def __reduce__(self):
        return os.mkdir, ("loaded",)


def test_a_pickle_is_not_loaded(tmp_path):
    path = huggingface(tmp_path / "out", 100)
    with open(f"{path}/rng_state.pth", "wb") as file:
        pickle.dump(Runs(), file)
    with zipfile.ZipFile(f"{path}/optimizer.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Runs()))
    assert verify(tmp_path, "--deep", "./out")["whole"] == 1
    assert not os.path.exists(tmp_path / "loaded")


def test_an_archive_that_unpacks_to_more_than_it_says(tmp_path):
    """A bomb costs no more than its declared size, and what is declared is bounded by what is there."""
    with zipfile.ZipFile(tmp_path / "step-1.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", bytes(64 << 20))
    for wanted in (1000, 0xFFFFFFF0):  # the size in both headers
        data = bytearray((tmp_path / "step-1.pt").read_bytes())
        struct.pack_into("<L", data, data.rfind(b"PK\x01\x02") + 24, wanted)
        (tmp_path / "step-1.pt").write_bytes(data)
        limited = f"ulimit -v {1 << 20}; exec {sys.executable} -m ckptrun verify --deep --jobs 1 ./step-1.pt"
        done = support.run(["bash", "-c", limited], cwd=tmp_path)
        assert (done.returncode, "step-1.pt is damaged: data" in done.stdout) == (1, True), done.stdout + done.stderr


def test_names_that_are_no_text(tmp_path, weird_path):
    path = huggingface(weird_path / "out", 100)
    os.truncate(f"{path}/scheduler.pt", 50)
    os.rename(f"{path}/scheduler.pt", os.fsencode(path) + b"/sch\xff\n\x1b[31m.pt")
    assert "sch\\xff\n\x1b[31m.pt is cut short" in broken(verify(tmp_path, weird_path / "out"))["checkpoint-100"]
    told = run_ckptrun("verify", weird_path / "out", cwd=tmp_path)
    assert "sch\\xff\\n\\x1b[31m.pt is cut short" in told.stdout
    assert told.stdout.count("\n") == 3  # head, finding, sum


def test_holes_and_single_files(tmp_path):
    with open(tmp_path / "step-1.pt", "wb") as file:
        file.truncate(1 << 40)  # takes no time, quick or deep
    numpy.savez(tmp_path / "mine.npz", a=numpy.arange(1000))
    assert "nothing but a hole" in broken(verify(tmp_path, "--deep", "./step-1.pt"))["step-1.pt"]
    assert verify(tmp_path, "./mine.npz", "--deep")["bytes"] > 8000


def test_what_may_not_be_read_is_not_called_broken(tmp_path):
    path = huggingface(tmp_path / "out", 100)
    os.chmod(f"{path}/optimizer.pt", 0)
    argv = [sys.executable, "-m", "ckptrun", "verify", "--json", "./out"]
    if os.geteuid() == 0:
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv]
        pytest.skip("as root every file can be read") if not _may_enter(tmp_path) else None
    done = support.run(argv, cwd=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1"})
    found = json.loads(done.stdout)
    assert (done.returncode, found["broken"]) == (74, [])
    assert found["unread"][0]["reason"] == "optimizer.pt cannot be read: Permission denied"


def _may_enter(path):
    """Open the way to the test's directory to an ordinary user, if the interpreter can be reached by one."""
    while os.path.dirname(path) != path and "pytest-" in os.fspath(path):
        os.chmod(path, os.stat(path).st_mode | 0o055)
        path = os.path.dirname(path)
    asked = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", "import ckptrun.cli"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0


def test_nothing_is_no_success(tmp_path):
    (tmp_path / "empty").mkdir()
    done = run_ckptrun("verify", "./empty", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no checkpoint in ./empty\nhint: ")


def test_words_for_people(tmp_path):
    paths = [huggingface(tmp_path / "out", step) for step in (100, 200)]
    os.unlink(f"{paths[0]}/trainer_state.json")
    done = run_ckptrun("verify", "./out", cwd=tmp_path)
    head, finding, told = done.stdout.splitlines()
    assert head == "state\tcheckpoint\treason"
    assert finding.split("\t")[:2] == ["partial", paths[0]]
    assert told.startswith("2 checkpoints: 1 whole, 1 broken (by sizes and structure, ")
    assert (done.returncode, done.stderr) == (1, "")


def test_a_bar_where_somebody_looks_and_an_end_by_ctrl_c(tmp_path):
    """A disk that takes half a minute; Ctrl-C does not wait for the file's end."""
    with zipfile.ZipFile(tmp_path / "step-1.pt", "w") as archive, archive.open("data", "w", force_zip64=True) as member:
        for _ in range(8):
            member.write(bytes(16 << 20))
    leader, follower = pty.openpty()
    slow = (
        "import os, signal, time\nfrom ckptrun.checkpoints.kinds import file\nreal = os.preadv\n"
        "def slowly(*args):\n    time.sleep(0.2)\n    return real(*args)\n"
        "file.os.preadv = slowly\nfrom ckptrun.cli import main\nraise SystemExit(main())"
    )
    argv = [sys.executable, "-c", slow, "verify", "--deep", "./step-1.pt"]
    process = subprocess.Popen(argv, cwd=tmp_path, env=clean_env({"TERM": "xterm", "COLUMNS": "100"}), stderr=follower)
    os.close(follower)
    said = b""
    while b"/s" not in said:
        said += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    while chunk := _read(leader):
        said += chunk
    assert process.wait(support.PATIENCE) == 130
    assert b"reading" in said
    os.close(leader)


def _read(leader):
    try:
        return os.read(leader, 4096)
    except OSError:
        return b""
