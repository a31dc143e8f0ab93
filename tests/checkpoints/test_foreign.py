"""Directories that others wrote, with everything in them that can be wrong; and what looking at them costs."""

import os
import re
import shutil
import socket
import subprocess
import sys

import layouts_trees as trees
import pytest

from ckptrun import errors, names
from ckptrun.checkpoints import scan, verify
from ckptrun.policy import resume

ORBAX = ('_CHECKPOINT_METADATA\ttext\t"{}"', "commit_success.txt\tbytes", "default/_METADATA\tbytes", "default/d/0a\tbytes")
METRICS = 'metrics/metrics\ttext\t"{\\"loss\\": 0.5}"'


def plant(root, *lines):
    trees.plant(root, [line.replace("|", "\t", 3) for line in lines])


def orbax(root, *steps):
    plant(root, *(f"{step}/{line}" for step in steps for line in (*ORBAX, METRICS)))


def states(root, **how):
    return {item.name: item.state for item in scan.look_directory(str(root), **how).checkpoints}


# --- what lies where a checkpoint should -------------------------------------------------------------------------------
def test_pipes_and_sockets(tmp_path):
    plant(tmp_path, "epoch_1.pt", 'checkpoint-7/trainer_state.json|text|"{}"')
    os.mkfifo(tmp_path / "epoch_2.pt")
    os.mkfifo(tmp_path / "checkpoint-7" / "model.safetensors")
    os.mkfifo(tmp_path / "latest")
    os.mkfifo(tmp_path / "last_checkpoint")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "epoch_3.pt"))
        for sizes in (True, False):
            found = states(tmp_path, sizes=sizes)
            assert found["epoch_1.pt"] == names.COMPLETE
            assert {found["epoch_2.pt"], found["epoch_3.pt"]} == {names.CORRUPT}
    (hf,) = [item for item in scan.look_directory(str(tmp_path)).checkpoints if item.layout == "transformers"]
    assert verify.deep(hf) == (names.CORRUPT, "model.safetensors is a pipe where a file should be")


def test_links_that_dangle_loop_and_lead_out(tmp_path):
    orbax(tmp_path / "here", 1, 2)
    orbax(tmp_path / "there", 3)
    here = tmp_path / "here"
    for name, target in (
        ("3", "../there/3"),
        ("4", "nowhere"),
        ("5", "5"),
        ("up", ".."),
        ("latest", "/gone/2"),
        ("best", "best"),
    ):
        os.symlink(target, here / name)
    os.symlink("../..", here / "2" / "default" / "round")
    os.symlink("nothing", here / "2" / "default" / "dangling")
    found = scan.look_directory(str(here))
    assert [(item.name, item.state, item.called) for item in found.checkpoints] == [
        ("1", "complete", ()),
        ("2", "complete", ("pointer",)),
    ]


def test_names_that_are_no_text(tmp_path):
    for folder in ("\udcff\n", "a b'\"$"):
        orbax(tmp_path / folder, 1)
        plant(tmp_path / folder, f"{folder}_1.pt", f"{folder}_2.pt")
    found = scan.look_directory(str(tmp_path)).checkpoints
    assert len(found) == 6
    assert {item.state for item in found} == {names.COMPLETE}


def test_files_of_nothing(tmp_path):
    plant(
        tmp_path,
        "epoch_1.pt",
        "epoch_2.pt|empty",
        'checkpoint-1/trainer_state.json|text|"{}"',
        "checkpoint-1/model.safetensors|empty",
    )
    with open(tmp_path / "epoch_3.pt", "wb") as file:
        file.truncate(1 << 20)
    assert states(tmp_path) == {
        "epoch_1.pt": "complete",
        "epoch_2.pt": "partial",
        "epoch_3.pt": "corrupt",
        "checkpoint-1": "partial",
    }


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"log_history": 3}', '{"log_history": [{"step": "x"}, 3]}', "\0" * 9, "[" * 100_000]
)
@pytest.mark.parametrize(
    "layout", ["checkpoint-1/trainer_state.json", "1/metrics/metrics", "result.json", "history.json", "weights/results.csv"]
)
def test_small_files_that_are_not_what_they_should_be(tmp_path, layout, text):
    orbax(tmp_path, 1)
    plant(
        tmp_path,
        "checkpoint-1/model.safetensors|safetensors",
        "checkpoint_000000/model.pt",
        "params.pt",
        "weights/epoch1.pt",
    )
    path = tmp_path / layout
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert states(tmp_path)["1"] == names.COMPLETE


def test_a_step_that_cannot_be_listed_is_unknown(tmp_path, monkeypatch):
    orbax(tmp_path, 1, 2)
    real = os.scandir

    def failing(path):
        if str(path).endswith("/2"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", failing)
    monkeypatch.setattr("ckptrun.checkpoints.reading._PAUSES", ())
    found = {item.name: item for item in scan.look_directory(str(tmp_path)).checkpoints}
    assert (found["1"].state, found["2"].state) == (names.COMPLETE, names.UNKNOWN)
    assert "Permission denied" in found["2"].reason
    monkeypatch.setattr(os, "scandir", lambda _: failing("/2"))
    with pytest.raises(errors.IoFailure):
        scan.look_directory(str(tmp_path))


def test_a_directory_that_is_a_checkpoint_is_that_one(tmp_path):
    orbax(tmp_path, 1, 2)
    (found,) = scan.look_directory(str(tmp_path / "2")).checkpoints
    assert (found.name, found.step, found.metrics) == ("2", 2, {"loss": 0.5})
    assert states(tmp_path / "2" / "default") == {}


def test_a_directory_that_is_only_called_like_one_is_looked_into(tmp_path):
    plant(tmp_path / "run_100", "epoch_1.pt", "epoch_2.pt")
    assert states(tmp_path / "run_100") == {"epoch_1.pt": "complete", "epoch_2.pt": "complete"}


# --- while somebody writes ---------------------------------------------------------------------------------------------
WRITER = """
import os, shutil, sys
sys.path.insert(0, sys.argv[2])
import layouts_trees as trees
root, lines = sys.argv[1], sys.argv[3:]
step = 10
print("ready", flush=True)
while True:
    step += 1
    tmp = os.path.join(root, f"{step}.orbax-checkpoint-tmp")
    trees.plant(tmp, lines)
    os.rename(tmp, os.path.join(root, str(step)))
    shutil.rmtree(os.path.join(root, str(step - 3)), ignore_errors=True)
"""


def test_a_directory_that_is_being_written(tmp_path):
    orbax(tmp_path, 1, 2)
    argv = [sys.executable, "-c", WRITER, tmp_path, os.path.dirname(trees.HERE), *ORBAX, METRICS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        try:
            for look in range(60):
                found = states(tmp_path, sizes=look % 2 == 0)
                assert {found["1"], found["2"]} == {names.COMPLETE}
                assert all(re.fullmatch(r"\d+(\.orbax-checkpoint-tmp)?|default", name) for name in found), found
                assert writer.poll() is None
        finally:
            writer.kill()


# --- what it costs -----------------------------------------------------------------------------------------------------
LOOK = """
import os, sys
from ckptrun.report import gather
gather.directory_listing(sys.argv[1])  # everything is loaded
os.path.exists("/begin")
gather.directory_listing(sys.argv[1], gather.Wish(sizes=False))
os.path.exists("/end")
"""


def calls(root, tmp_path):
    """The system calls of one look without sizes, by name."""
    log = tmp_path / "strace.log"
    subprocess.run(["strace", "-f", "-o", log, sys.executable, "-c", LOOK, root], check=True, capture_output=True)
    said = log.read_text(errors="replace")
    inside = said[said.index("/begin") : said.index("/end")].splitlines()[1:]
    found = {}
    for line in inside:
        if found_call := re.match(r"\d+\s+(\w+)\((.*)", line):
            call, rest = found_call.groups()
            if call == "newfstatat" and "AT_EMPTY_PATH" in rest:
                call = "fstat"  # of what is open already: no question to a server
            found[call] = found.get(call, 0) + 1
    return found


needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
COSTS = {  # what is there → how many directories are listed, and how many files are read
    "orbax": (lambda root, n: orbax(root, *range(n)), lambda n: 1 + n, lambda n: n),
    "transformers": (
        lambda root, n: plant(root, *(f"checkpoint-{step}/{file}" for step in range(n) for file in ("model.safetensors|safetensors", 'trainer_state.json|text|"{}"'))),
        lambda n: 1 + n,
        lambda n: n,
    ),
    "dcp": (lambda root, n: plant(root, *(f"step-{step}/{file}" for step in range(n) for file in (".metadata|bytes", "__0_0.distcp"))), lambda n: 1 + n, lambda _: 0),
    "lightning": (lambda root, n: plant(root, *(f"epoch={step}-step={step}.ckpt" for step in range(n))), lambda _: 1, lambda n: n),
    "tensorflow": (
        lambda root, n: plant(root, *(f"ckpt-{step}.{part}|bytes" for step in range(n) for part in ("index", "data-00000-of-00001")), 'checkpoint|text|"model_checkpoint_path: \\"ckpt-1\\""'),
        lambda _: 1,
        lambda _: 1,
    ),
}  # fmt: skip


@needs_strace
@pytest.mark.parametrize("layout", COSTS)
def test_one_listing_for_each_directory_and_one_small_read_for_each_checkpoint(layout, tmp_path):
    make, listings, reads = COSTS[layout]
    count = 40
    make(tmp_path / "there", count)
    found = calls(tmp_path / "there", tmp_path)
    some = 6  # pointers, the look for a run around
    marks = 2 * len(tmp_path.parts)  # where pins and what was thinned would lie: twice up the path
    assert found.get("openat", 0) <= listings(count) + reads(count) + some
    assert found.get("getdents64", 0) == 2 * listings(count)
    stats = sum(found.get(call, 0) for call in ("stat", "lstat", "newfstatat", "statx", "readlink"))
    assert stats <= some + 4 + marks, found


# --- what only a verify finds --------------------------------------------------------------------------------------------
MISSING = {  # what is there, and what its own lists say is missing
    "a rank's file": (
        ["step-1/.metadata|text|" + '"__0_0.distcp __1_0.distcp"', "step-1/__0_0.distcp"],
        "__1_0.distcp is missing, which step-1/.metadata names",
    ),
    "the data of arrays": (
        ["1/_CHECKPOINT_METADATA|bytes", "1/default/manifest.ocdbt|bytes", "1/default/_METADATA|bytes"],
        "1/default/manifest.ocdbt is there, and the files of 1/default/d that it stands for are not",
    ),
    "what the arrays are": (
        ["1/_CHECKPOINT_METADATA|bytes", "1/default/manifest.ocdbt|bytes", "1/default/d/0123456789abcdef|bytes"],
        "1/default/_METADATA is missing",
    ),
    "an end of a document": (
        [
            *(f"1/{line}".replace("\t", "|") for line in ORBAX if "default/_" not in line),
            "1/default/_METADATA|text|" + '"{"',
        ],
        "1/default/_METADATA is cut short",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_a_list_inside_of_it_names_is_missing(case, tmp_path):
    lines, reason = MISSING[case]
    plant(tmp_path, *lines)
    (item,) = scan.look_directory(str(tmp_path)).checkpoints
    state, said = verify.deep(item)
    assert state == names.PARTIAL
    assert reason.rpartition("/")[2] in said


# --- what a start goes on from -----------------------------------------------------------------------------------------
def newest(home):
    return resume.decide(scan.scan_run(home.checkpoints, home.attempts)).chosen


def test_a_start_goes_on_from_the_newest_that_is_whole(home):
    place = os.path.join(home.attempts, "0001", names.OUTPUT)
    full = ("model.safetensors|safetensors", "optimizer.pt", 'trainer_state.json|text|"{}"')
    plant(
        place,
        *(f"checkpoint-{step}/{file}" for step in (100, 200) for file in full),
        *(f"checkpoint-300/{file}" for file in full[:2]),
    )
    assert newest(home).name == "checkpoint-200"
    plan = resume.decide(scan.scan_run(home.checkpoints, home.attempts))
    assert [entry.why for entry in plan.passed] == ["partial: trainer_state.json, which is written last, is missing"]


def test_a_start_goes_on_from_last_rather_than_from_the_best(home):
    place = os.path.join(home.attempts, "0001", names.OUTPUT)
    plant(place, "epoch=3-step=30.ckpt|zip||100", "last.ckpt|zip||9000")
    assert newest(home).name == "last.ckpt"


def test_every_file_of_a_directory_is_looked_at_before_it_is_gone_on_from(home):
    place = os.path.join(home.attempts, "0001", names.OUTPUT)
    orbax(place, 1)
    plant(place, "1/default/array.npz|cut")
    chosen = newest(home)
    assert chosen.state == names.COMPLETE
    assert verify.deep(chosen)[0] == names.PARTIAL
