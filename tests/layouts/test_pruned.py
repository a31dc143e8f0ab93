"""Directories that libraries wrote, pruned: exactly what is kept is there, complete; pointers lead to it, shared files are there."""

import json
import os
import time

import layouts_trees as trees
import pytest
from support import run_ckptrun

from ckptrun.checkpoints import hints
from ckptrun.layouts import catalogue, pointers
from ckptrun.model import Checkpoint
from ckptrun.report import gather
from ckptrun.session import pointing

RECORDED = trees.recorded()
GOMLX = "checkpoint-n000000{0}-20240101-00000{0}-step-0000{0}00"
MADE = {
    "lightning, a metric with a slash": [f"epoch={n}-val/loss=0.{9 - n}.ckpt" for n in (1, 2, 3)] + ["last.ckpt\tzip\t\t9000"],
    "hippynn": ["experiment_structure.pt", "checkpoint_epoch_1.pt", "checkpoint_epoch_2.pt", "best_checkpoint.pt"],
    "gomlx": [line for n in (1, 2, 3) for line in (f"{GOMLX.format(n)}.bin\tbytes\t40", f'{GOMLX.format(n)}.json\ttext\t"{{}}"')],
    "nemo": [f"step={n}-epoch={n}{which}/weights/{file}" for n in (1, 2, 3) for which in ("", "-EMA") for file in (".metadata\tbytes\t9", "__0_0.distcp")],
}  # fmt: skip
# what is pruned → the entries that are left, besides small files
LEFT = {
    "tf_checkpointmanager_keep3": ["checkpoint", "ckpt-700.data-00000-of-00001", "ckpt-700.index"],
    "sb3_ppo_vecnormalize": ["best_model.zip", "evaluations.npz", "ppo_256_steps.zip", "ppo_vecnormalize_256_steps.pkl"],
    "timm_saver": ["checkpoint-3.pth.tar", "last.pth.tar", "model_best.pth.tar", "recovery-5-200.pth.tar"],
    "lightning_all_link": ["epoch=3-step=40.ckpt", "last.ckpt"],
    "lightning_top2_last": ["epoch=03-val_loss=0.30.ckpt", "epoch=05-val_loss=0.40.ckpt", "last.ckpt"],
    "deepspeed_zero1": ["global_step30", "latest", "zero_to_fp32.py", "zero_to_torch.py"],
    "megatron_torch_dist": ["iter_0000300", "latest_checkpointed_iteration.txt"],
    "composer_batches": ["ba12-rank0.pt", "latest-rank0.pt"],
    "fvcore_detectron2_periodic": ["last_checkpoint", "model_0000049.pth", "model_final.pth"],
    "hf_steps_all": ["checkpoint-16"],
    "orbax_best2_metrics": ["5", "8"],
    "hippynn": ["best_checkpoint.pt", "checkpoint_epoch_2.pt", "experiment_structure.pt"],
    "gomlx": [f"{GOMLX.format(3)}.bin", f"{GOMLX.format(3)}.json"],
    "nemo": ["step=3-epoch=3", "step=3-epoch=3-EMA"],
    "lightning, a metric with a slash": ["epoch=3-val", "last.ckpt"],
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_kept_is_there_and_nothing_else(case, tmp_path):
    home = tmp_path / "out"
    home.mkdir()
    trees.plant(home, RECORDED.get(case) or MADE[case])
    done = run_ckptrun("prune", "./out", "--keep-last", "1", "--yes", "--wait", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    listing = gather.directory_listing(str(home))
    assert sorted(item.name for item in listing.checkpoints) == sorted(each["name"] for each in told["keep"])
    assert {item.state for item in listing.checkpoints} == {"complete"}
    places = {item.directory for item in listing.checkpoints}
    assert sorted(name for place in places for name in os.listdir(place)) == LEFT[case]
    assert [each for place in places for each in dangling(place, listing.checkpoints)] == []


def dangling(directory, items):
    """Pointers, and names in their lists, that lead to nothing."""
    for layout in {item.layout for item in items}:
        for entry, pointer in hints.beside(directory, layout):
            if not any(hints.leads_to(directory, entry, pointer) in (item.name, *item.entries) for item in items):
                yield entry.name
    for entry in os.scandir(directory):
        if entry.is_symlink() and not os.path.exists(entry.path):
            yield entry.name


# --- pointers ----------------------------------------------------------------------------------------------------------
def tensorflow(home):
    """The checkpoints of a CheckpointManager, and the text of its pointer."""
    trees.plant(home, RECORDED["tf_checkpointmanager_keep3"])
    found = [item for item in gather.directory_listing(str(home)).checkpoints if item.layout == "tensorflow"]
    return found, os.path.join(found[0].directory, "checkpoint")


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_tensorflow_s_list_loses_what_goes_and_keeps_the_rest(tmp_path):
    found, path = tensorflow(tmp_path)
    os.chmod(path, 0o664)
    before = text(path)
    assert before.count("ckpt-500") == before.count("ckpt-600") == 1
    assert pointing.mend(found[:1], before=time.time()) == {}
    assert "ckpt-500" not in text(path)
    assert text(path).count("ckpt-600") == 1
    assert text(path).count("all_model_checkpoint_timestamps") == before.count("all_model_checkpoint_timestamps") - 1
    assert pointers.read("tf", text(path)) == "ckpt-700"
    assert os.stat(path).st_mode & 0o777 == 0o664
    assert not [name for name in os.listdir(os.path.dirname(path)) if name.startswith(".")]


def test_a_pointer_that_was_just_written_is_its_framework_s(tmp_path):
    found, path = tensorflow(tmp_path)
    os.utime(path)
    before = text(path)
    assert pointing.mend(found[:2], before=pointing.at_rest(time.time())) == {}
    assert text(path) == before


POINTED = {
    "tensorflow": ("checkpoint", 'model_checkpoint_path: "/old/place/b"\n'),
    "deepspeed": ("latest", "b"),
    "megatron": ("latest_checkpointed_iteration.txt", "7\n"),
    "mmengine": ("last_checkpoint", "/old/place/b"),
    "fvcore": ("last_checkpoint", "b"),
    "lightning": ("last.ckpt", None),
    "composer": ("latest-rank0.pt.symlink", "/old/place/b"),
}


@pytest.mark.parametrize("layout", POINTED)
def test_what_a_pointer_leads_to_since_it_was_judged_stays(layout, tmp_path):
    pointer, body = POINTED[layout]
    name = "iter_0000007" if layout == "megatron" else "b"
    assert catalogue.layout(layout)
    if body is None:
        os.symlink("b", tmp_path / pointer)
    else:
        (tmp_path / pointer).write_text(body)
    items = [
        Checkpoint(name=each, path=f"{tmp_path}/{each}", directory=str(tmp_path), layout=layout, entries=(each,))
        for each in ("a", name)
    ]
    spared = pointing.mend(items, before=time.time())
    assert list(spared) == [f"{tmp_path}/{name}"]
    assert f"{pointer} leads to it" in spared[f"{tmp_path}/{name}"]
    assert body is None or (tmp_path / pointer).read_text() == body


def test_what_cannot_be_taken_out_of_a_list_stays(tmp_path, monkeypatch):
    found, path = tensorflow(tmp_path)
    before = text(path)

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    spared = pointing.mend(found[:1], before=time.time())
    monkeypatch.undo()
    assert list(spared) == [found[0].path]
    assert "no space left" in spared[found[0].path]
    assert text(path) == before
    assert not [name for name in os.listdir(os.path.dirname(path)) if name.startswith(".")]


def test_a_pointer_that_is_written_at_the_same_moment_is_not_overwritten(tmp_path, monkeypatch):
    found, path = tensorflow(tmp_path)
    new = text(path).replace("700", "800")
    sync = os.fsync

    def meanwhile(fd):
        sync(fd)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(new)
        os.rename(f"{path}.new", path)

    monkeypatch.setattr(os, "fsync", meanwhile)
    spared = pointing.mend(found[:1], before=time.time())
    assert "somebody has written it meanwhile" in spared[found[0].path]
    assert text(path) == new


def test_what_a_pointer_that_cannot_be_read_may_lead_to_stays(tmp_path):
    found, path = tensorflow(tmp_path)
    os.unlink(path)
    assert pointing.mend(found[:2], before=time.time()) == {}
    os.mkfifo(path)
    spared = pointing.mend(found[:2], before=time.time())
    assert list(spared) == [item.path for item in found[:2]]
    assert all("stays: checkpoint cannot be read" in why for why in spared.values())
