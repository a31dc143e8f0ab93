"""What file names of unknown scripts are taken for. Cases are directories as lists of names; a name ending in / is a directory."""

import pytest

from ckptrun.layouts import match, naming
from ckptrun.layouts.claim import Entry

CASES = {
    # names → {claimed name: step}, None = unknown step
    "numbered by epoch": (["model_epoch_1.pt", "model_epoch_2.pt", "model_epoch_10.pt"], {"model_epoch_1.pt": 1, "model_epoch_2.pt": 2, "model_epoch_10.pt": 10}),
    "padded": (["model_0000029.pth", "model_0000039.pth"], {"model_0000029.pth": 29, "model_0000039.pth": 39}),
    "a number alone": (["1.pt", "2.pt"], {"1.pt": 1, "2.pt": 2}),
    "numpy": (["weights_1.npz", "weights_2.npz"], {"weights_1.npz": 1, "weights_2.npz": 2}),
    "step and epoch: the step": (["epoch=0-step=10.ckpt", "epoch=1-step=20.ckpt"], {"epoch=0-step=10.ckpt": 10, "epoch=1-step=20.ckpt": 20}),
    "metrics in the name": (["epoch=03-val_loss=0.30.ckpt", "epoch=05-val_loss=0.40.ckpt"], {"epoch=03-val_loss=0.30.ckpt": 3, "epoch=05-val_loss=0.40.ckpt": 5}),
    "a unit after the number": (["net_100_steps.pt", "net_200_steps.pt"], {"net_100_steps.pt": 100, "net_200_steps.pt": 200}),
    "a fixed number beside": (["resnet50_epoch_1.pt", "resnet50_epoch_2.pt"], {"resnet50_epoch_1.pt": 1, "resnet50_epoch_2.pt": 2}),
    "rank in every name": (["ba3-rank0.pt", "ba6-rank0.pt"], {"ba3-rank0.pt": 3, "ba6-rank0.pt": 6}),
    "one with a word": (["step_100.pt"], {"step_100.pt": 100}),
    "one checkpoint": (["checkpoint-7.pth.tar"], {"checkpoint-7.pth.tar": 7}),
    "one without a word": (["model_3.pt"], {"model_3.pt": None}),
    "one of a general kind": (["step_100.npz"], {"step_100.npz": None}),
    "a half-written one": (["ckpt_1.pt", "ckpt_2.pt", "ckpt_3.pt.tmp"], {"ckpt_1.pt": 1, "ckpt_2.pt": 2, "ckpt_3.pt.tmp": 3}),
    "two series": (["gen_1.pt", "gen_2.pt", "disc_1.pt", "disc_2.pt"], {"gen_1.pt": 1, "gen_2.pt": 2, "disc_1.pt": 1, "disc_2.pt": 2}),
    "directories": (["step_1000/", "step_2000/"], {"step_1000": 1000, "step_2000": 2000}),
    "directories, step and epoch": (["step=10-epoch=0/", "step=20-epoch=1/"], {"step=10-epoch=0": 10, "step=20-epoch=1": 20}),
    "one directory": (["checkpoint-500/"], {"checkpoint-500": 500}),
    "ours": (["step-00000020/", "step-00000020.a0003/", "step-00000020.a0003.2/", "latest/"], {"step-00000020": 20, "step-00000020.a0003": 20, "step-00000020.a0003.2": 20}),
    "ours, being written": ([".tmp-step-00000020-a0001-0a1b2c3d/"], {".tmp-step-00000020-a0001-0a1b2c3d": 20}),
    "a number that belongs to a model's name": (["yolov8n.pt"], {"yolov8n.pt": None}),
    "a day and a time in a name are no step": (["ckpt_2025-01-01_10-00-00/", "run_2025-01-02_1.pt", "run_2025-01-03_2.pt"], {"run_2025-01-02_1.pt": 1, "run_2025-01-03_2.pt": 2}),
    "an epoch after its number": (["1epoch.pth", "2epoch.pth"], {"1epoch.pth": 1, "2epoch.pth": 2}),
    "in place": (["ckpt.pt"], {"ckpt.pt": None}),
    "in place, json": (["state.json", "config.json", "metrics.json"], {"state.json": None}),
    "in place, with things around": (["model.npz", "log.txt", "train.csv", "predictions.npz", "args.pkl", "tokenizer.json", "plot.png"], {"model.npz": None}),
    "dates are no steps": (["run_20261119_101500.pt", "run_20261120_093000.pt"], {"run_20261119_101500.pt": None, "run_20261120_093000.pt": None}),
    "bests are no series": (["best_1.pt", "best_2.pt"], {"best_1.pt": None, "best_2.pt": None}),
    # nothing
    "shards": (["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"], {}),
    "ranks": (["rank0.pt", "rank1.pt", "rank_2.pt"], {}),
    "data": (["data_2024.npz", "train_0.npz", "train_1.npz", "val_0.npz", "samples_1.npz", "samples_2.npz"], {}),
    "predictions": (["preds_1.npy", "preds_2.npy", "preds_1.npz", "preds_2.npz", "preds.pt"], {}),
    "pieces": (["optimizer.pt", "scheduler.pt", "rng_state.pth", "random_states_0.pkl", "optimizer_state.pt"], {}),
    "documents": (["config.json", "vocab.json", "results_1.json", "results_2.json", "package.json"], {}),
    "pictures": (["epoch_1.png", "epoch_2.png", "loss_100.png"], {}),
    "copies": (["checkpoint-100-backup/", "step-50-keep/", "checkpoint-best-of-luck/"], {}),
    "decoys": (["events.out.tfevents.1.h", "checkpoint-best-of-luck", "tokenizer.json", "checkpoint-plan.md", "loss_100.png", "step-12-notes.txt", "model_v2.py", "last", "data_2024.npz", "epoch=final_report.pdf"], {}),
    "hidden": ([".ckpt.pt", ".ckpt.pt.swp", ".tmpAbCdEf"], {}),
    "directories of results": (["version_0/", "run_1/", "fold_1/", "images_3/"], {}),
}  # fmt: skip


def entries(listed):
    return [Entry(name=name.rstrip("/"), directory=name.endswith("/"), time=float(i)) for i, name in enumerate(listed)]


@pytest.mark.parametrize("case", CASES)
def test_case(case):
    listed, wanted = CASES[case]
    for order in (listed, listed[::-1]):
        assert {claim.name: claim.step for claim in match.claims(entries(order))} == wanted


def test_links_are_claimed_where_they_lead():
    linked = [Entry(name="last.pt", link=True), Entry(name="step-00000001", directory=True, link=True)]
    assert match.claims(linked) == []


@pytest.mark.parametrize(
    ("listed", "likeliest"),
    [
        (["best.pt", "last.pt"], "last.pt"),
        (["model_final.pt", "ckpt.pt"], "ckpt.pt"),
        (["checkpoint_best.pt", "checkpoint_last.pt"], "checkpoint_last.pt"),
        (["final.npz", "state.npz", "weights.npz"], "state.npz"),
        (["resume.pt", "model.pt"], "resume.pt"),
        (["best.pt", "net.pt"], "net.pt"),
        (["a.pt", "b.pt"], "b.pt"),  # the newest
        (["state.cpt", "state_prev.cpt"], "state.cpt"),
        (["trainState.pt", "model.pt"], "trainState.pt"),
    ],
)
def test_which_of_several_files_is_the_state(listed, likeliest):
    claims = match.claims(entries(listed))
    assert claims[-1].name == likeliest
    assert claims[-1].why.startswith(f"{likeliest}: the likeliest of {len(listed)} files here")


def test_metrics_and_epochs_in_names():
    (first, _) = match.claims(entries(["epoch=03-step=40-val_loss=0.30.ckpt", "epoch=05-step=60-val_loss=0.40.ckpt"]))
    assert (first.step, first.epoch, first.metrics) == (40, 3, {"val_loss": 0.3})


@pytest.mark.parametrize(
    ("name", "final"),
    [
        ("a.pt.tmp", "a.pt"),
        ("a.pt.tmp123", "a.pt"),
        ("a.pt.part", "a.pt"),
        ("a.pt.partial", "a.pt"),
        ("a.pt.incomplete", "a.pt"),
        ("a.pt~", "a.pt"),
        ("a.pt.swp", "a.pt"),
        ("a.pt-tmp", "a.pt"),
        ("a.pt", ""),
        ("template.pt", ""),
        ("attempt.pt", ""),
    ],
)
def test_temporary_names(name, final):
    assert naming.final_name(name) == final


def test_many_files_without_a_number_are_no_states_but_a_few():
    assert len(match.claims(entries([f"{chr(97 + i)}.pt" for i in range(26)]))) == 8
