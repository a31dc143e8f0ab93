"""What Lightning keeps of the directory of its checkpoints, after a restore to another one."""

import os
import pickle
import subprocess
import sys

import pytest
import support
import torch
from hypothesis import given
from hypothesis import strategies as st

from ckptrun.backup import moving

SCRIPT = os.path.join(os.path.dirname(__file__), "lightning_script.py")


def state(directory, **more):
    """ModelCheckpoint's, as Lightning 2.6 writes it."""
    best = f"{directory}/epoch=1.ckpt"
    return {
        "monitor": "loss",
        "best_model_score": 0.5,
        "best_model_path": best,
        "dirpath": directory,
        "best_k_models": {best: 0.5, f"{directory}/epoch=2.ckpt": 0.6},
        "kth_best_model_path": f"{directory}/epoch=2.ckpt",
        "last_model_path": "",
        **more,
    }


@pytest.mark.timeout(240)
def test_training_goes_on_from_a_restored_checkpoint_and_knows_its_best(tmp_path):
    def ckptrun(*args):
        return support.run_ckptrun(*args, cwd=tmp_path)

    old, new = tmp_path / "old", tmp_path / "new"
    lightning(old, "2")
    assert ckptrun("backup", "--all", "--to", tmp_path / "safe", old).returncode == 0
    for name in ("epoch=0.ckpt", "epoch=1.ckpt", "last.ckpt"):
        restored = ckptrun("restore", tmp_path / "safe", "--at", name, "--to", f"{new}/", "--json")
        assert restored.returncode == 0, restored.stderr
        assert ckptrun("restore", tmp_path / "safe", "--at", name, "--to", f"{new}/", "--json").returncode == 0
        data = (new / name).read_bytes()
        assert data.startswith((old / name).read_bytes()), "what was backed up is there, byte for byte"
    assert ckptrun("verify", "--deep", new).returncode == 0
    said = lightning(new, "4", new / "last.ckpt")
    assert "dirpath has changed" not in said.stderr
    assert sorted(os.listdir(new)) == ["epoch=2.ckpt", "epoch=3.ckpt", "last.ckpt"], (
        "the best ones of before are not forgotten"
    )
    assert sorted(os.listdir(old)) == ["epoch=0.ckpt", "epoch=1.ckpt", "last.ckpt"]


def lightning(*args):
    ran = subprocess.run([sys.executable, SCRIPT, *map(str, args)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.mark.parametrize("protocol", [2, 3])
def test_strings_below_the_directory_are_replaced_and_nothing_else(protocol):
    shared = "/old/ckpts"
    whole = {
        "callbacks": {"a": state(shared), "b": state(shared), "c": state("/old/more")},
        "hyper_parameters": {"dirpath": "/data", "note": "/old/ckptsX and /old"},
        "numbers": list(range(1000)),
    }
    found = pickle.loads(moving.moved(pickle.dumps(whole, protocol=protocol), "/new/\xe4\udcff", "/old/ckpts"))
    new = "/new/\xe4\udcff"
    assert found["callbacks"]["a"] == found["callbacks"]["b"] == state(new)
    assert found["callbacks"]["c"] == state("/old/more"), "another callback's, which has not moved"
    assert found["hyper_parameters"] == whole["hyper_parameters"]
    assert found["numbers"] == whole["numbers"]


@given(
    st.text(min_size=1),
    st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)),
)
def test_what_holds_no_such_directory_stays_byte_for_byte(directory, value):
    data = pickle.dumps(value, protocol=2)
    assert moving.moved(data, directory, "/old") == data


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("runs/a/ckpts", "/x/runs/a/ckpts"),
        ("/y/best", "/y/best"),
        ("/elsewhere", ""),
        ("ckpts", "/x/runs/a/ckpts"),
        ("pts", ""),
    ],
)
def test_the_directory_that_was_left_is_the_one_that_ends_alike(before, left):
    both = [state("/x/runs/a/ckpts"), state("/y/best")]
    found = pickle.loads(moving.moved(pickle.dumps(both, protocol=2), "/new", before))
    assert found == [state("/new") if each["dirpath"] == left else each for each in both]


def test_twice_is_once(tmp_path):
    path = str(tmp_path / "a.ckpt")
    torch.save({"callbacks": {"k": state("/old")}, "state_dict": {"w": torch.arange(100.0)}}, path)
    before = os.path.getsize(path)
    assert moving.move(path, "/new", "")
    after = os.path.getsize(path)
    assert after > before
    assert not moving.move(path, "/new", "")
    assert moving.is_moved(path, "/new", "", before)
    assert os.path.getsize(path) == after
    loaded = torch.load(path, weights_only=True, mmap=True)
    assert loaded["callbacks"]["k"] == state("/new")
    assert torch.equal(loaded["state_dict"]["w"], torch.arange(100.0))


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x80\x02}.", pickle.dumps(state("/old"), protocol=2)])
def test_what_is_no_archive_is_left_as_it_is(tmp_path, data):
    path = tmp_path / "a.ckpt"
    path.write_bytes(data)
    assert not moving.move(str(path), "/new", "")
    assert path.read_bytes() == data


def test_a_pickle_that_counts_its_bytes_is_refused():
    with pytest.raises(ValueError, match="protocol 4"):
        moving.moved(pickle.dumps(state("/old"), protocol=4), "/new", "")


def test_only_files_that_hold_lightning_s_state_are_looked_into():
    assert moving.applies("lightning", "epoch=1.ckpt")
    assert moving.applies("lightning", "epoch=1.ckpt/meta.pt")
    assert not moving.applies("lightning", "epoch=1.ckpt/__0_0.distcp")
    assert not moving.applies("series", "a.ckpt")


def test_an_append_that_was_cut_short_is_never_taken_for_done(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"callbacks": {"k": state("/old")}}, path)
    before = path.read_bytes()
    assert moving.move(str(path), "/new", "")
    tail = path.read_bytes()[len(before) :]
    for cut in range(len(tail)):
        path.write_bytes(before + tail[:cut])
        assert not moving.is_moved(str(path), "/new", "", len(before)), cut
    path.write_bytes(before + tail)
    assert moving.is_moved(str(path), "/new", "", len(before))
