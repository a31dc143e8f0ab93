"""Rows of the frameworks' layouts that no recorded directory has: half-written saves, shards, companions, pointers, sidecars.

A case: the files (a line of layouts_trees each, tabs are |), and of each series what is in it, its latest and its best.
"""

import json
import os

import layouts_trees as trees
import pytest

from ckptrun.report import gather

C, P, X, D = "complete", "partial", "corrupt", "soft-deleted"


def text(content):
    return "|text|" + json.dumps(content if isinstance(content, str) else json.dumps(content))


DCP = [".metadata|bytes|300", "__0_0.distcp", "__1_0.distcp"]


def each(folder, files):
    return [f"{folder}/{file}" for file in files]


HF = ["model.safetensors|safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"]
ZERO = [
    "mp_rank_00_model_states.pt",
    "zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "zero_pp_rank_1_mp_rank_00_optim_states.pt",
]
ORBAX = ["_CHECKPOINT_METADATA" + text({"commit_timestamp_nsecs": 7}), "default/_METADATA|bytes", "default/d/0a|bytes"]

CASES = {
    # JAX
    "orbax: the newest has no marker, which the others have": (
        [*each("1", [*ORBAX, "commit_success.txt|bytes"]), *each("2", [*ORBAX, "commit_success.txt|bytes"]), *each("3", ORBAX)],
        {"orbax": ({"1": (1, C), "2": (2, C), "3": (3, P)}, "2", "")},
    ),
    "orbax: a time before the marker": (
        [*each("1", ORBAX), *each("2", ORBAX), *each("3", [*ORBAX, "commit_success.txt|bytes"])],
        {"orbax": ({"1": (1, C), "2": (2, C), "3": (3, C)}, "3", "")},
    ),
    "orbax: nobody has a marker, and one was never committed": (
        [*each("1", ORBAX), *each("2", ["_CHECKPOINT_METADATA" + text({"commit_timestamp_nsecs": None}), "default/_METADATA|bytes"])],
        {"orbax": ({"1": (1, C), "2": (2, P)}, "1", "")},
    ),
    "orbax: items of any name, none of today's metadata": (
        ["10/state/_METADATA|bytes", "10/state/d/0a|bytes", "20/state/_METADATA|bytes", "metadata/_ROOT_METADATA|bytes"],
        {"orbax": ({"10": (10, C), "20": (20, C)}, "20", "")},
    ),
    "orbax: a run whose own name ends in a number": (
        [*each("run_1/3", ORBAX), "run_1/4/_METADATA|bytes", "run_1/4/d/0a|bytes"],
        {"orbax/run_1": ({"3": (3, C), "4": (4, C)}, "4", "")},
    ),
    "orbax: what was deleted softly": (
        [*each("to_delete/1", ORBAX), *each("2", ORBAX)],
        {"orbax": ({"2": (2, C)}, "2", ""), "orbax/to_delete": ({"1": (1, D)}, "", "")},
    ),
    "orbax: temporary with a time stamp": (
        [*each("5", ORBAX), "6.orbax-checkpoint-tmp-1700000000/default.orbax-checkpoint-tmp/d/0a|bytes"],
        {"orbax": ({"5": (5, C), "6.orbax-checkpoint-tmp-1700000000": (6, P)}, "5", "")},
    ),
    "flax: its distributed arrays belong to it": (
        ["checkpoint_5|bytes", "checkpoint_5_gda/array_0|bytes", "checkpoint_10|bytes", "checkpoint_tmp|bytes"],
        {"flax": ({"checkpoint_5": (5, C), "checkpoint_10": (10, C), "checkpoint_tmp": (None, P)}, "checkpoint_10", "")},
    ),
    "levanter": (
        [*each("step-10", ["metadata.json" + text({"step": 10, "is_temporary": True}), "d/0|bytes", "manifest.ocdbt|bytes"]), "step-20/d/0|bytes"],
        {"levanter": ({"step-10": (10, C), "step-20": (20, P)}, "step-10", "")},
    ),
    "OLMo-core": (
        [*each("step100", [".metadata.json" + text({}), "model_and_optim/.metadata|bytes", "train/rank0.pt"]), "step200/model_and_optim/__0_0.distcp"],
        {"olmo": ({"step100": (100, C), "step200": (200, P)}, "step100", "")},
    ),
    "orbax: names of the user's own, and version 1's mark": (
        [*each("final", ["_CHECKPOINT_METADATA" + text({}), "manifest.ocdbt|bytes", "ocdbt.process_0/d/0a|bytes", "commit_success.txt|bytes"]),
         *each("one", ["orbax.checkpoint|empty", "_CHECKPOINT_METADATA" + text({}), "state/manifest.ocdbt|bytes", "state/ocdbt.process_0/d/0a|bytes"]),
         "two.orbax-checkpoint-tmp/state/d/0a|bytes"],
        {"orbax-named": ({"final": (None, C), "one": (None, C), "two.orbax-checkpoint-tmp": (None, P)}, "one", "")},
    ),
    "orbax: the directory for what is deleted has a name of the user's": (
        [*each("trashed_steps/1", ORBAX), *each("2", ORBAX)],
        {"orbax": ({"2": (2, C)}, "2", ""), "orbax/trashed_steps": ({"1": (1, D)}, "", "")},
    ),
    # many ranks
    "DCP: nothing but its metadata, or empty metadata": (
        [*each("step-1", DCP), *each("step-2", DCP[:1]), *each("step-3", [".metadata|empty", *DCP[1:]])],
        {"dcp": ({"step-1": (1, C), "step-2": (2, P), "step-3": (3, P)}, "step-1", "")},
    ),
    "DCP: any name": (
        [*each("mymodel", DCP), *each("other", DCP[1:]), *each("mymodel-backup", DCP)],
        {"dcp-named": ({"mymodel": (None, C), "other": (None, P)}, "mymodel", "")},
    ),
    "torchtitan: the last one in Hugging Face's format": (
        [*each("step-500", DCP), *each("step-1000", ["model-00001-of-00001.safetensors|safetensors", "model.safetensors.index.json" + text({})])],
        {"dcp": ({"step-500": (500, C), "step-1000": (1000, C)}, "step-1000", "")},
    ),
    "torchtnt, in torch's format": (
        [*each("epoch_0_train_step_50_val_loss=0.5", DCP), *each("epoch_1_train_step_100", DCP[1:])],
        {"torchtnt": ({"epoch_0_train_step_50_val_loss=0.5": (50, C), "epoch_1_train_step_100": (100, P)}, "epoch_0_train_step_50_val_loss=0.5", "epoch_0_train_step_50_val_loss=0.5")},
    ),
    "torchsnapshot: any name": (
        [*each("snap-3", [".snapshot_metadata|bytes", "0/model|bytes"]), *each("final", [".snapshot_metadata|bytes", "0/model|bytes"])],
        {"torchsnapshot": ({"final": (None, C), "snap-3": (3, C)}, "snap-3", "")},
    ),
    "Megatron: torch's format has no metadata.json": (
        [*each("iter_0000100", DCP), *each("iter_0000200", DCP[1:]), "latest_checkpointed_iteration.txt" + text("100")],
        {"megatron-torch": ({"iter_0000100": (100, C), "iter_0000200": (200, P)}, "iter_0000100", "")},
    ),
    "Megatron: zarr": (
        [*each("iter_0000100", ["metadata.json" + text({}), "common.pt", "model.w/.zarray|bytes", "model.w/0.0|bytes"])],
        {"megatron": ({"iter_0000100": (100, C)}, "iter_0000100", "")},
    ),
    "OLMo: unsharded": (
        [*each("step1000-unsharded", ["model.pt", "optim.pt", "train.pt"]), *each("step2000-unsharded", ["optim.pt"]), "latest-unsharded|link|step1000-unsharded"],
        {"olmo-unsharded": ({"step1000-unsharded": (1000, C), "step2000-unsharded": (2000, P)}, "step1000-unsharded", "")},
    ),
    "DCP: the metadata still temporary": (
        [*each("step-1", DCP), *each("step-2", [".metadata.tmp|bytes", *DCP[1:]]), "step-3/"],
        {"dcp": ({"step-1": (1, C), "step-2": (2, P), "step-3": (3, P)}, "step-1", "")},
    ),
    "torchsnapshot": (
        [*each("epoch_0_train_step_50_val_loss=0.5", [".snapshot_metadata|bytes", "0/model|bytes"]),
         *each("epoch_1_train_step_100_val_loss=0.7", [".snapshot_metadata|bytes", "0/model|bytes"]),
         "epoch_2_train_step_150/0/model|bytes"],
        {"torchsnapshot": ({"epoch_0_train_step_50_val_loss=0.5": (50, C), "epoch_1_train_step_100_val_loss=0.7": (100, C), "epoch_2_train_step_150": (150, P)}, "epoch_1_train_step_100_val_loss=0.7", "epoch_0_train_step_50_val_loss=0.5")},
    ),
    "Megatron: a rank is missing, and the tracker names the one before": (
        [f"iter_{step:07d}/mp_rank_0{rank}/model_optim_rng.pt" for step in (100, 200, 300) for rank in (0, 1)]
        + ["iter_0000400/mp_rank_00/model_optim_rng.pt", "latest_checkpointed_iteration.txt" + text("300")],
        {"megatron": ({"iter_0000100": (100, C), "iter_0000200": (200, C), "iter_0000300": (300, C), "iter_0000400": (400, P)}, "iter_0000300", "")},
    ),
    "Megatron: fewer ranks than before, and the tracker names it": (
        [f"iter_{step:07d}/mp_rank_0{rank}/model_optim_rng.pt" for step in (100, 200, 300) for rank in (0, 1)]
        + ["iter_0000400/mp_rank_00/model_optim_rng.pt", "latest_checkpointed_iteration.txt" + text("400\n")],
        {"megatron": ({"iter_0000100": (100, C), "iter_0000200": (200, C), "iter_0000300": (300, C), "iter_0000400": (400, C)}, "iter_0000400", "")},
    ),
    "Megatron: a release": (
        ["release/mp_rank_00/model_optim_rng.pt", "latest_checkpointed_iteration.txt" + text("release")],
        {"megatron": ({"release": (None, C)}, "release", "")},
    ),
    "DeepSpeed: any tag, and a shard of the optimizer is missing": (
        [*each("global_step10", ZERO), *each("global_step20", ZERO), *each("global_step30", ZERO[:2]), *each("global_step40", ZERO),
         *each("before-finetuning", ZERO), *each("global_step10-backup", ZERO), "latest" + text("global_step40"), "zero_to_fp32.py|bytes"],
        {"deepspeed": ({"global_step10": (10, C), "global_step20": (20, C), "global_step30": (30, P), "global_step40": (40, C), "before-finetuning": (None, C)}, "global_step40", "")},
    ),
    "DeepSpeed: killed before the optimizer, `latest` is of before": (
        [*each("global_step10", ZERO), *each("global_step20", ZERO[:1]), "latest" + text("global_step10")],
        {"deepspeed": ({"global_step10": (10, C), "global_step20": (20, P)}, "global_step10", "")},
    ),
    "LitGPT: called as ckptrun's own": (
        ["step-00001000/lit_model.pth", "step-00002000/lit_model.pth|cut", "step-00003000/"],
        {"series": ({"step-00001000": (1000, C), "step-00002000": (2000, P), "step-00003000": (3000, P)}, "step-00001000", "")},
    ),
    "Composer: a rank is missing": (
        [f"ep{ep}-ba{ba}-rank{rank}.pt" for ep, ba in ((1, 10), (2, 20), (3, 30)) for rank in (0, 1)]
        + ["ep4-ba40-rank0.pt", "latest-rank0.pt|link|ep3-ba30-rank0.pt", "latest-rank0.pt.symlink" + text("runs/a/ep3-ba30-rank0.pt")],
        {"composer": ({"ep1-ba10-rank0.pt": (10, C), "ep2-ba20-rank0.pt": (20, C), "ep3-ba30-rank0.pt": (30, C), "ep4-ba40-rank0.pt": (40, P)}, "ep3-ba30-rank0.pt", "")},
    ),
    # Hugging Face
    "transformers: its own mark of an incomplete one, an empty one, a temporary one": (
        [*each("checkpoint-100", [*HF, "trainer_state.json" + text({"global_step": 100})]),
         *each("checkpoint-200", [*HF, "trainer_state.json" + text({}), "checkpoint-is-incomplete.txt|bytes"]),
         "checkpoint-300/", "checkpoint-400/model.safetensors|safetensors", "tmp-checkpoint-500/model.safetensors|safetensors",
         *each("checkpoint-100-merged", HF), "runs/events.out|bytes"],
        {"transformers": ({"checkpoint-100": (100, C), "checkpoint-200": (200, P), "checkpoint-300": (300, P), "checkpoint-400": (400, P), "tmp-checkpoint-500": (500, P)}, "checkpoint-100", "")},
    ),
    "transformers: a shard that its index names is missing": (
        [*each("checkpoint-1", ["model.safetensors.index.json" + text({}), "model-00001-of-00002.safetensors|safetensors", "model-00002-of-00002.safetensors|safetensors", "trainer_state.json" + text({})]),
         *each("checkpoint-2", ["model.safetensors.index.json" + text({}), "model-00001-of-00002.safetensors|safetensors", "trainer_state.json" + text({})])],
        {"transformers": ({"checkpoint-1": (1, C), "checkpoint-2": (2, P)}, "checkpoint-1", "")},
    ),
    "transformers: weights, an optimizer, a list of shards are missing": (
        [*each("checkpoint-1", [*HF, "trainer_state.json" + text({})]), *each("checkpoint-2", [*HF[1:], "trainer_state.json" + text({})]),
         *each("checkpoint-3", [HF[0], *HF[2:], "trainer_state.json" + text({})]),
         *each("checkpoint-4", ["model-00001-of-00001.safetensors|safetensors", "trainer_state.json" + text({})]),
         *each("checkpoint-5", ["pytorch_model_fsdp_0/.metadata|bytes", "optimizer_0/.metadata|bytes", "scheduler.pt", "trainer_state.json" + text({})])],
        {"transformers": ({"checkpoint-1": (1, C), "checkpoint-2": (2, P), "checkpoint-3": (3, P), "checkpoint-4": (4, P), "checkpoint-5": (5, C)}, "checkpoint-5", "")},
    ),
    "transformers: adapters only, the best by a path of before the move": (
        [*each("checkpoint-5", ["adapter_model.safetensors|safetensors", "trainer_state.json" + text({"global_step": 5})]),
         *each("checkpoint-10", ["adapter_model.safetensors|safetensors", "trainer_state.json" + text(
             {"global_step": 10, "best_model_checkpoint": "/scratch/ana/old/checkpoint-5", "log_history": [{"step": 5, "eval_loss": 2.0, "epoch": 0.5}, {"step": 10, "eval_loss": 1.0, "epoch": 1}]})])],
        {"transformers": ({"checkpoint-5": (5, C), "checkpoint-10": (10, C)}, "checkpoint-10", "checkpoint-5")},
    ),
    "diffusers' examples": (
        [*each("checkpoint-500", ["unet/model.safetensors|safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl|pickle"])],
        {"diffusers": ({"checkpoint-500": (500, C)}, "checkpoint-500", "")},
    ),
    "accelerate: killed before the random states, and one that is empty": (
        [*each("checkpoint_9", ["model.safetensors|safetensors", "optimizer.bin", "random_states_0.pkl|pickle"]), *each("checkpoint_10", ["model.safetensors|safetensors", "optimizer.bin"]), "checkpoint_11/"],
        {"accelerate": ({"checkpoint_9": (9, C), "checkpoint_10": (10, P), "checkpoint_11": (11, P)}, "checkpoint_9", "")},
    ),
    "accelerate: names of the script's own": (
        [*each("lora-000002-state", ["model.safetensors|safetensors", "optimizer.bin", "random_states_0.pkl|pickle"]), *each("final", ["model.safetensors|safetensors", "random_states_0.pkl|pickle"])],
        {"accelerate-named": ({"final": (None, C), "lora-000002-state": (2, C)}, "lora-000002-state", "")},
    ),
    # what saves PyTorch's files
    "lightning: a slash in the name of a metric": (
        ["epoch=1-val/loss=1.397.ckpt|zip||1", "epoch=2-val/loss=1.320.ckpt|zip||2", "epoch=3-val/cls/loss=1.4.ckpt|cut||3", "last.ckpt|zip||9"],
        {"lightning": ({"epoch=1-val/loss=1.397.ckpt": (1, C), "epoch=2-val/loss=1.320.ckpt": (2, C), "epoch=3-val/cls/loss=1.4.ckpt": (3, P), "last.ckpt": (None, C)}, "last.ckpt", "epoch=2-val/loss=1.320.ckpt")},
    ),
    "lightning: names without what they measure": (
        ["epoch_001.ckpt|zip||1", "epoch02-val_loss1.11.ckpt|zip||2", "03-0.50.ckpt|zip||3", "last.ckpt|zip||9"],
        {"lightning": ({"epoch_001.ckpt": (1, C), "epoch02-val_loss1.11.ckpt": (2, C), "03-0.50.ckpt": (3, C), "last.ckpt": (None, C)}, "last.ckpt", "epoch02-val_loss1.11.ckpt")},
    ),
    "lightning: what it saves when Slurm requeues it counts saves": (
        ["hpc_ckpt_1.ckpt", "hpc_ckpt_2.ckpt", "epoch=2-step=12.ckpt"],
        {"lightning": ({"epoch=2-step=12.ckpt": (12, C)}, "epoch=2-step=12.ckpt", ""), "lightning+": ({"hpc_ckpt_1.ckpt": (1, C), "hpc_ckpt_2.ckpt": (2, C)}, "hpc_ckpt_2.ckpt", "")},
    ),
    "lightning: averaged weights belong to it": (
        ["m--val_loss=3.1-step=200-consumed_samples=1600.0.ckpt", "m--val_loss=3.1-step=200-consumed_samples=1600.0-EMA.ckpt"],
        {"lightning": ({"m--val_loss=3.1-step=200-consumed_samples=1600.0.ckpt": (200, C)}, "m--val_loss=3.1-step=200-consumed_samples=1600.0.ckpt", "m--val_loss=3.1-step=200-consumed_samples=1600.0.ckpt")},
    ),
    "fairseq: before the tie-breaker": (
        ["checkpoint.best_ppl_3.21.pt", "checkpoint.best_ppl_4.50.pt", "checkpoint_last.pt|zip||9"],
        {"fairseq": ({"checkpoint.best_ppl_3.21.pt": (None, C), "checkpoint.best_ppl_4.50.pt": (None, C), "checkpoint_last.pt": (None, C)}, "checkpoint_last.pt", "checkpoint.best_ppl_3.21.pt")},
    ),
    "metaseq: parts and shards": (
        [f"checkpoint_{step}-model_part-{part}-shard{shard}.pt" for step in (1000, 2000) for part in (0, 1) for shard in (0, 1)],
        {"fairseq": ({"checkpoint_1000-model_part-0-shard0.pt": (1000, C), "checkpoint_2000-model_part-0-shard0.pt": (2000, C)}, "checkpoint_2000-model_part-0-shard0.pt", "")},
    ),
    "PyTorch's imagenet example": (
        ["checkpoint.pth.tar|zip||9", "model_best.pth.tar"],
        {"single": ({"model_best.pth.tar": (None, C), "checkpoint.pth.tar": (None, C)}, "checkpoint.pth.tar", "model_best.pth.tar")},
    ),
    "SpeechBrain: named after the time": (
        [f"save/CKPT+2024-01-0{day}+10-00-00+00/{file}" for day in (1, 2) for file in ("CKPT.yaml" + text(f"WER: {30 - day}.5\nend-of-epoch: true\nepoch: {day}\n"), "model.ckpt", "optimizer.ckpt")],
        {"speechbrain/save": ({"CKPT+2024-01-01+10-00-00+00": (None, C), "CKPT+2024-01-02+10-00-00+00": (None, C)}, "CKPT+2024-01-02+10-00-00+00", "CKPT+2024-01-02+10-00-00+00")},
    ),
    "LeRobot: the training's state is missing": (
        [f"checkpoints/00{step}000/{file}" for step in (1, 2) for file in ("pretrained_model/model.safetensors|safetensors", "training_state/step.json" + text({}))]
        + ["checkpoints/003000/pretrained_model/model.safetensors|safetensors", "checkpoints/last|link|002000"],
        {"lerobot/checkpoints": ({"001000": (1000, C), "002000": (2000, C), "003000": (3000, P)}, "002000", "")},
    ),
    "guided-diffusion: three files are one": (
        [f"{what}00{step}000.pt" for step in (1, 2) for what in ("model", "ema_0.9999_", "opt")] + ["model003000.pt", "ema_0.9999_003000.pt"],
        {"guided-diffusion": ({"model001000.pt": (1000, C), "model002000.pt": (2000, C), "model003000.pt": (3000, P)}, "model002000.pt", "")},
    ),
    "lightning: last is newer than what top-k kept": (
        ["epoch=3-step=30-val_loss=0.30.ckpt|zip||100", "last.ckpt|zip||9000"],
        {"lightning": ({"epoch=3-step=30-val_loss=0.30.ckpt": (30, C), "last.ckpt": (None, C)}, "last.ckpt", "epoch=3-step=30-val_loss=0.30.ckpt")},
    ),
    "lightning: last is of before a change of mind": (
        ["last.ckpt|zip||100", "step=30.ckpt|zip||50", "step=60.ckpt|zip||9000"],
        {"lightning": ({"step=30.ckpt": (30, C), "last.ckpt": (None, C), "step=60.ckpt": (60, C)}, "step=60.ckpt", "")},
    ),
    "lightning: versions, a torn one, a last version": (
        ["epoch=0-step=10.ckpt", "epoch=0-step=10-v1.ckpt|zip||5", "epoch=1-step=20.ckpt|cut||9", "last-v1.ckpt|link|epoch=0-step=10-v1.ckpt"],
        {"lightning": ({"epoch=0-step=10.ckpt": (10, C), "epoch=0-step=10-v1.ckpt": (10, C), "epoch=1-step=20.ckpt": (20, P)}, "epoch=0-step=10-v1.ckpt", "")},
    ),
    "lightning: a sharded one without its metadata": (
        [*each("epoch=0-step=10.ckpt", [*DCP, "meta.pt"]), *each("epoch=1-step=20.ckpt", [*DCP[1:], "meta.pt"])],
        {"lightning": ({"epoch=0-step=10.ckpt": (10, C), "epoch=1-step=20.ckpt": (20, P)}, "epoch=0-step=10.ckpt", "")},
    ),
    "lightning: where it writes by itself": (
        ["lightning_logs/version_0/checkpoints/epoch=0-step=9.ckpt", "lightning_logs/version_1/checkpoints/epoch=0-step=8.ckpt"],
        {"lightning/lightning_logs/version_0/checkpoints": ({"epoch=0-step=9.ckpt": (9, C)}, "epoch=0-step=9.ckpt", ""),
         "lightning/lightning_logs/version_1/checkpoints": ({"epoch=0-step=8.ckpt": (8, C)}, "epoch=0-step=8.ckpt", "")},
    ),
    "NeMo: averaged weights belong to it": (
        [*each("m--val_loss=0.5-step=10-consumed_samples=80", ["weights/common.pt", "context/model.yaml|bytes"]), *each("m--val_loss=0.5-step=10-consumed_samples=80-EMA", ["weights/common.pt"])],
        {"nemo": ({"m--val_loss=0.5-step=10-consumed_samples=80": (10, C)}, "m--val_loss=0.5-step=10-consumed_samples=80", "m--val_loss=0.5-step=10-consumed_samples=80")},
    ),
    "fairseq: shards": (
        ["checkpoint1-shard0.pt", "checkpoint1-shard1.pt", "checkpoint2-shard0.pt", "checkpoint2-shard1.pt"],
        {"fairseq": ({"checkpoint1-shard0.pt": (1, C), "checkpoint2-shard0.pt": (2, C)}, "checkpoint2-shard0.pt", "")},
    ),
    "timm: a summary": (
        ["checkpoint-0.pth.tar", "checkpoint-1.pth.tar", "tmp.pth.tar|cut", "summary.csv" + text("epoch,train_loss,eval_loss,eval_top1\n0,3,2,10\n1,2,1.5,20\n")],
        {"timm": ({"checkpoint-0.pth.tar": (0, C), "checkpoint-1.pth.tar": (1, C), "tmp.pth.tar": (None, P)}, "checkpoint-1.pth.tar", "checkpoint-1.pth.tar")},
    ),
    "mmengine: a path of before the move": (
        ["epoch_1.pth", "epoch_2.pth", "best_coco_bbox_mAP_epoch_1.pth", "last_checkpoint" + text("/home/ana/work_dirs/x/epoch_2.pth")],
        {"mmengine": ({"epoch_1.pth": (1, C), "epoch_2.pth": (2, C), "best_coco_bbox_mAP_epoch_1.pth": (1, C)}, "epoch_2.pth", "best_coco_bbox_mAP_epoch_1.pth")},
    ),
    "detectron2: killed before the first final": (
        ["model_0000099.pth", "model_0000199.pth|cut", "last_checkpoint" + text("model_0000099.pth")],
        {"fvcore": ({"model_0000099.pth": (99, C), "model_0000199.pth": (199, P)}, "model_0000099.pth", "")},
    ),
    "ignite: several metrics": (
        ["best_model_1_f1=0.50.pt", "best_model_2_f1=0.70.pt", "checkpoint_300.pt"],
        {"ignite": ({"best_model_1_f1=0.50.pt": (1, C), "best_model_2_f1=0.70.pt": (2, C)}, "best_model_2_f1=0.70.pt", "best_model_2_f1=0.70.pt"),
         "ignite+": ({"checkpoint_300.pt": (300, C)}, "checkpoint_300.pt", "")},
    ),
    "skorch: four files are one": (
        ["params.pt", "optimizer.pt", "criterion.pt", "history.json" + text([{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "batches": []}]), "train_end_params.pt", "train_end_history.json" + text([])],
        {"skorch": ({"params.pt": (None, C)}, "params.pt", "params.pt"), "skorch+": ({"train_end_params.pt": (None, C)}, "train_end_params.pt", "")},
    ),
    "fastai": (["models/model_0.pth", "models/model_1.pth", "models/model.pth"], {"fastai/models": ({"model.pth": (None, C), "model_0.pth": (0, C), "model_1.pth": (1, C)}, "model_1.pth", "")}),
    "hippynn: the structure is nobody's alone": (
        ["experiment_structure.pt", "checkpoint_epoch_1.pt", "checkpoint_epoch_2.pt", "best_checkpoint.pt"],
        {"hippynn": ({"best_checkpoint.pt": (None, C), "checkpoint_epoch_1.pt": (1, C), "checkpoint_epoch_2.pt": (2, C)}, "checkpoint_epoch_2.pt", "best_checkpoint.pt")},
    ),
    # Keras, TensorFlow
    "Synalinks": (
        ["01-0.90.variables.json" + text({}), "02-0.50.variables.json" + text({}), '03-0.70.program.json|text|"{"'],
        {"keras": ({"01-0.90.variables.json": (1, C), "02-0.50.variables.json": (2, C), "03-0.70.program.json": (3, P)}, "02-0.50.variables.json", "")},
    ),
    "Keras: a backup and the one before": (
        ["latest.weights.h5|hdf5||9", "training_metadata.json" + text({"epoch": 3, "batch": 0}), "latest.weights.h5.bkp|hdf5||5", "training_metadata.json.bkp" + text({"epoch": 2, "batch": 0})],
        {"keras-backup": ({"latest.weights.h5.bkp": (None, C), "latest.weights.h5": (None, C)}, "latest.weights.h5", "")},
    ),
    "Keras: a backup without its metadata": (
        ["latest.weights.h5|hdf5", "latest.weights.h5.bkp|hdf5", "training_metadata.json.bkp" + text({"epoch": 2})],
        {"keras-backup": ({"latest.weights.h5": (None, P), "latest.weights.h5.bkp": (None, C)}, "latest.weights.h5.bkp", "")},
    ),
    "Keras: a number that measures is no epoch": (
        ["cp_0001-loss2.614.weights.h5|hdf5", "cp_0002-loss2.605.weights.h5|hdf5"],
        {"series": ({"cp_0001-loss2.614.weights.h5": (1, C), "cp_0002-loss2.605.weights.h5": (2, C)}, "cp_0002-loss2.605.weights.h5", "cp_0002-loss2.605.weights.h5")},
    ),
    "Keras 2: a directory for each epoch": (
        [*each("w.01-0.50", ["saved_model.pb|bytes", "variables/variables.index|bytes", "variables/variables.data-00000-of-00001|bytes"]), *each("w.02-0.40", ["keras_metadata.pb|bytes"])],
        {"keras-directory": ({"w.01-0.50": (1, C), "w.02-0.40": (2, P)}, "w.01-0.50", "")},
    ),
    "Keras 2: TensorFlow's files, an epoch in their names": (
        [f"cp-000{n}.ckpt.{part}|bytes" for n in (1, 2) for part in ("index", "data-00000-of-00001")] + ["checkpoint" + text('model_checkpoint_path: "cp-0002.ckpt"\n')],
        {"tensorflow": ({"cp-0001.ckpt": (1, C), "cp-0002.ckpt": (2, C)}, "cp-0002.ckpt", "")},
    ),
    "TensorFlow: a shard is missing, an index is missing, a save was cut short": (
        [*(f"model.ckpt-{n}.data-0000{i}-of-00002|bytes" for n in (10, 20) for i in (0, 1)), "model.ckpt-10.index|bytes", "model.ckpt-10.meta|bytes",
         "model.ckpt-30.index|bytes", "model.ckpt-30.data-00000-of-00002|bytes", "model.ckpt-40_temp/part-00000-of-00001.index|bytes",
         "checkpoint" + text('model_checkpoint_path: "/tmp/old/model.ckpt-10"\n')],
        {"tensorflow": ({"model.ckpt-10": (10, C), "model.ckpt-20": (20, P), "model.ckpt-30": (30, P), "model.ckpt-40_temp": (40, P)}, "model.ckpt-10", "")},
    ),
    # others
    "Stable-Baselines3: everything of a step": (
        [*(f"rl_model_{n}_steps.zip" for n in (10, 20)), *(f"rl_model_replay_buffer_{n}_steps.pkl|pickle" for n in (10, 20)), *(f"rl_model_vecnormalize_{n}_steps.pkl|pickle" for n in (10, 20))],
        {"sb3": ({"rl_model_10_steps.zip": (10, C), "rl_model_20_steps.zip": (20, C)}, "rl_model_20_steps.zip", "")},
    ),
    "Ray: metrics beside": (
        ["checkpoint_000000/model.pt", "checkpoint_000001/model.pt", "checkpoint_tmp1a2b/model.pt",
         "result.json" + text('{"loss": 2.0, "checkpoint_dir_name": "checkpoint_000000"}\n{"loss": 3.0}\n{"loss": 1.0, "checkpoint_dir_name": "checkpoint_000001"}\n{"lo')],
        {"ray": ({"checkpoint_000000": (0, C), "checkpoint_000001": (1, C), "checkpoint_tmp1a2b": (None, P)}, "checkpoint_000001", "checkpoint_000001")},
    ),
    "Ray Train 2: named after the time": (
        ["checkpoint_2025-01-01_10-00-00.000001/model.pt", "checkpoint_2025-01-01_10-05-00.000001/model.pt",
         "checkpoint_manager_snapshot.json" + text({"checkpoint_results": [
             {"checkpoint_dir_name": "checkpoint_2025-01-01_10-00-00.000001", "metrics": {"loss": 1.0, "step": 10}},
             {"checkpoint_dir_name": "checkpoint_2025-01-01_10-05-00.000001", "metrics": {"loss": 2.0, "step": 20}}]})],
        {"ray": ({"checkpoint_2025-01-01_10-00-00.000001": (10, C), "checkpoint_2025-01-01_10-05-00.000001": (20, C)}, "checkpoint_2025-01-01_10-05-00.000001", "checkpoint_2025-01-01_10-00-00.000001")},
    ),
    "Ray: a table of metrics": (
        ["checkpoint_000000/model.pt", "checkpoint_000001/model.pt",
         "progress.csv" + text("training_iteration,loss,checkpoint_dir_name\n1,1.0,checkpoint_000000\n2,2.0,checkpoint_000001\n")],
        {"ray": ({"checkpoint_000000": (0, C), "checkpoint_000001": (1, C)}, "checkpoint_000001", "checkpoint_000000")},
    ),
    "RLlib: where the user says": (
        ["checkpoint_000010/rllib_checkpoint.json" + text({}), "checkpoint_000010/algorithm_state.pkl|pickle", "mine/rllib_checkpoint.json" + text({}), "mine/policies/p/policy_state.pkl|pickle"],
        {"rllib": ({"mine": (None, C), "checkpoint_000010": (10, C)}, "checkpoint_000010", "")},
    ),
    "LAMMPS": (
        ["melt.restart.1000|bytes", "melt.restart.2000|bytes"],
        {"lammps": ({"melt.restart.1000": (1000, C), "melt.restart.2000": (2000, C)}, "melt.restart.2000", "")},
    ),
    "GoMLX: the json is finished last, and is empty": (
        [*(f"checkpoint-n000000{n}-20240101-00000{n}-step-0000{n}00.bin|bytes" for n in (1, 2, 3)), "checkpoint-n0000001-20240101-000001-step-0000100.json" + text({}),
         "checkpoint-n0000002-20240101-000002-step-0000200.json" + text({}), "checkpoint-n0000003-20240101-000003-step-0000300.json|empty"],
        {"gomlx": ({"checkpoint-n0000001-20240101-000001-step-0000100.json": (100, C), "checkpoint-n0000002-20240101-000002-step-0000200.json": (200, C), "checkpoint-n0000003-20240101-000003-step-0000300.json": (300, P)}, "checkpoint-n0000002-20240101-000002-step-0000200.json", "")},
    ),
    "LightGBM and CatBoost": (
        ["m.txt.snapshot_iter_10|bytes", "m.txt.snapshot_iter_20|bytes", "experiment.cbsnapshot|bytes"],
        {"lightgbm": ({"m.txt.snapshot_iter_10": (10, C), "m.txt.snapshot_iter_20": (20, C)}, "m.txt.snapshot_iter_20", ""), "catboost": ({"experiment.cbsnapshot": (None, C)}, "experiment.cbsnapshot", "")},
    ),
    "spaCy": (
        [f"model-{which}/{file}" for which in ("best", "last") for file in ("config.cfg|bytes", "ner/model|bytes")]
        + ["model-best/meta.json" + text({"performance": {"ents_f": 0.7, "speed": 10}}), "model-last/meta.json" + text({})],
        {"spacy": ({"model-best": (None, C), "model-last": (None, C)}, "model-last", "model-best")},
    ),
    # unknown scripts
    "one is much smaller than the others": (
        [f"w_{n}.weights|bytes|1000" for n in (1, 2, 3, 4)] + ["w_5.weights|bytes|300"],
        {"series": ({**{f"w_{n}.weights": (n, C) for n in (1, 2, 3, 4)}, "w_5.weights": (5, P)}, "w_4.weights", "")},
    ),
    "sizes that do not agree say nothing": (
        [f"w_{n}.weights|bytes|{size}" for n, size in ((1, 1000), (2, 3000), (3, 9000), (4, 300))],
        {"series": ({f"w_{n}.weights": (n, C) for n in (1, 2, 3, 4)}, "w_4.weights", "")},
    ),
    "directories for which nothing was written yet": (
        ["ckpt-000100/model.pt", "ckpt-000200/model.pt", "ckpt-000300/", "ckpt-000400/config.json" + text({})],
        {"series": ({"ckpt-000100": (100, C), "ckpt-000200": (200, C), "ckpt-000300": (300, P), "ckpt-000400": (400, P)}, "ckpt-000200", "")},
    ),
    "directories that are numbers": (
        ["ckpts/1000/model.pt", "ckpts/2000/model.pt", "runs/1/model.pt", "runs/2/model.pt"],
        {"series/ckpts": ({"1000": (1000, C), "2000": (2000, C)}, "2000", ""), "single/runs/1": ({"model.pt": (None, C)}, "model.pt", ""), "single/runs/2": ({"model.pt": (None, C)}, "model.pt", "")},
    ),
    "two networks in one directory": (
        ["gen_1.pt", "gen_2.pt", "disc_1.pt", "disc_2.pt|cut"],
        {"series": ({"disc_1.pt": (1, C), "disc_2.pt": (2, P)}, "disc_1.pt", ""), "series+": ({"gen_1.pt": (1, C), "gen_2.pt": (2, C)}, "gen_2.pt", "")},
    ),
    "last is newer than the epochs": (
        ["epoch_10.pt|zip||100", "epoch_20.pt|zip||200", "last.pt|zip||900"],
        {"series": ({"epoch_10.pt": (10, C), "epoch_20.pt": (20, C)}, "epoch_20.pt", ""), "single": ({"last.pt": (None, C)}, "last.pt", "")},
    ),
    "runs below each other": (
        ["a/run1/ckpt_1.pt", "a/run1/ckpt_2.pt", "a/b/c/run2/ckpt_7.pt"],
        {"series/a/run1": ({"ckpt_1.pt": (1, C), "ckpt_2.pt": (2, C)}, "ckpt_2.pt", ""), "series/a/b/c/run2": ({"ckpt_7.pt": (7, C)}, "ckpt_7.pt", "")},
    ),
}  # fmt: skip

METRICS = {  # files → of each checkpoint, the metrics that small files beside it tell
    "lightning: metrics.csv counts steps from 0": (
        ["version_0/checkpoints/epoch=0-step=4.ckpt", "version_0/checkpoints/epoch=1-step=8.ckpt",
         "version_0/metrics.csv" + text("epoch,step,train_loss,val_loss\n0,3,0.5,\n0,3,,0.9\n1,7,0.4,\n1,7,,0.8\n")],
        {"epoch=0-step=4.ckpt": {"train_loss": 0.5, "val_loss": 0.9}, "epoch=1-step=8.ckpt": {"train_loss": 0.4, "val_loss": 0.8}},
    ),
    "Stable-Baselines3: the last before each save, and none of before the one before": (
        [*(f"rl_model_{n}_steps.zip" for n in (100, 200, 300)), "progress.csv" + text(
            "time/fps,time/total_timesteps,eval/mean_reward,rollout/ep_rew_mean\n9,90,,1\n9,95,5,\n9,190,,2\n9,310,,4\n")],
        {"rl_model_100_steps.zip": {"eval/mean_reward": 5.0, "rollout/ep_rew_mean": 1.0}, "rl_model_200_steps.zip": {"rollout/ep_rew_mean": 2.0}, "rl_model_300_steps.zip": {}},
    ),
    "ultralytics: epochs from 1": (
        ["weights/epoch0.pt", "weights/last.pt", "results.csv" + text("epoch,time,metrics/mAP50(B)\n1,2,0.1\n2,3,0.2\n")],
        {"epoch0.pt": {"metrics/mAP50(B)": 0.1}, "last.pt": {"metrics/mAP50(B)": 0.2}},
    ),
    "ultralytics: epochs from 0, padded": (
        ["weights/epoch0.pt", "results.csv" + text("      epoch,   metrics/mAP50(B)\n      0,   0.1\n      1,   0.2\n")],
        {"epoch0.pt": {"metrics/mAP50(B)": 0.1}},
    ),
    "Keras: CSVLogger counts epochs from 0": (
        ["01-0.50.keras", "02-0.40.keras", "training.log" + text("epoch,loss,val_loss\n0,0.7,0.5\n1,0.6,0.4\n")],
        {"01-0.50.keras": {"loss": 0.7, "val_loss": 0.5, "metric": 0.5}, "02-0.40.keras": {"loss": 0.6, "val_loss": 0.4, "metric": 0.4}},
    ),
    "GoMLX: points of curves": (
        [f"checkpoint-n0000001-20240101-000001-step-0000100.{kind}" + rest for kind, rest in (("bin", "|bytes"), ("json", text({})))]
        + ["training_plot_points.json" + text("\n".join(json.dumps({"MetricName": name, "Short": "x", "MetricType": "loss", "Step": step, "Value": value})
                                                       for name, step, value in (("Mean Loss", 90, 0.5), ("Mean Loss", 100, 0.4), ("Mean Loss", 110, 0.3))))],
        {"checkpoint-n0000001-20240101-000001-step-0000100.json": {"Mean Loss": 0.4}},
    ),
    "SpeechBrain: CKPT.yaml": (
        ["CKPT+1/CKPT.yaml" + text("# yamllint disable\nWER: 30.5\nend-of-epoch: true\nunixtime: 1700000000.5\n"), "CKPT+1/model.ckpt"],
        {"CKPT+1": {"WER": 30.5}},
    ),
    "a table that is none": (
        ["version_0/checkpoints/epoch=0-step=4.ckpt", "version_0/metrics.csv" + text('epoch,"' + "x" * 200_000)],
        {"epoch=0-step=4.ckpt": {}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", METRICS)
def test_metrics_that_stand_beside(case, tmp_path):
    lines, wanted = METRICS[case]
    assert {item.name: item.metrics for item in planted(tmp_path, lines).checkpoints} == wanted


DECOYS = {
    "years and results": [
        "2024/report.pdf|bytes",
        "2025/data.csv|bytes",
        "results_100.json|bytes",
        "results_200.json|bytes",
    ],
    "a search index": ["vectors.index|bytes", "docs.meta|bytes"],
    "copies": ["checkpoint-100-backup/", "step-50-keep/", "checkpoint-best-of-luck|bytes"],
    "words only": [
        "latest|bytes",
        "checkpoint|bytes",
        "last_checkpoint|bytes",
        "best.txt|bytes",
        "training_metadata.json|bytes",
    ],
    "images of epochs": ["epoch_1/a.png|bytes", "epoch_2/a.png|bytes", "epoch_3/b.png|bytes"],
    "a project": [
        "train.py|bytes",
        "setup.cfg|bytes",
        "model-v2/README.md|bytes",
        "release/notes.md|bytes",
        "default/x.txt|bytes",
        "step_1.sh|bytes",
    ],
    "hidden": [".cache/model.pt", ".git/objects/1/2|bytes"],
    "packages": ["node_modules/a/model_1.pt", "node_modules/a/model_2.pt"],
    "tensorboard": ["events.out.tfevents.1700000000.host.1.0|bytes", "wandb/run-20240101_000000-abc/files/model.pt"],
    "data, numbered": ["processed/graph_0.pt", "processed/graph_1.pt", "latents/000001.pt", "latents/000002.pt"],
    "data, cut into many": [f"set/{i:06d}.npz" for i in range(9)] + [f"set/scan_{i}.h5|hdf5" for i in range(1, 10)],
    "data, for webdataset and others": [
        "train_00001.tar|bytes",
        "train_00002.tar|bytes",
        "shard-000001.tar|bytes",
        "shard-000002.tar|bytes",
        "part-0001.parquet|bytes",
        "part-0002.parquet|bytes",
        "fineweb_train_000001.bin|bytes",
        "fineweb_train_000002.bin|bytes",
        "img_0001.png|bytes",
        "data_001.csv|bytes",
        "data_002.csv|bytes",
    ],
    "what is written beside checkpoints": [
        "trainer_state.json" + text({}),
        "tuner.pkl|pickle",
        "params.pkl|pickle",
        "experiment_state-2024-01-01_00-00-00.json" + text({}),
        "basic-variant-state-2024.json" + text({}),
        "checkpoint_manager_snapshot.json" + text({}),
    ],
    "an exported model": [
        "export/saved_model.pb|bytes",
        "export/variables/variables.index|bytes",
        "export/variables/variables.data-00000-of-00001|bytes",
    ],
    "pickles that are data": ["train_batch_1.pkl|pickle", "train_batch_2.pkl|pickle", "x_100_steps.csv|bytes"],
}


def seen(listing, root):
    found = {}
    for series in listing.series:
        key = os.path.normpath(os.path.join(series.layout, os.path.relpath(series.directory, root)))
        while key in found:
            key += "+"
        found[key] = ({item.name: (item.step, item.state) for item in series.checkpoints}, series.latest, series.best)
    return found


def planted(tmp_path, lines):
    trees.plant(tmp_path, [line.replace("|", "\t", 3) for line in lines])
    return gather.directory_listing(str(tmp_path))


@pytest.mark.parametrize("case", CASES)
def test_case(case, tmp_path):
    lines, wanted = CASES[case]
    listing = planted(tmp_path, lines)
    assert seen(listing, tmp_path) == wanted
    assert all(item.reason for item in listing.checkpoints if item.state != C)
    for item in listing.checkpoints:
        assert all(
            os.path.lexists(tmp_path / os.path.join(item.directory, name))
            for name in (*item.entries, *item.files, *item.shared)
        )


@pytest.mark.parametrize("case", DECOYS)
def test_what_is_no_checkpoint(case, tmp_path):
    assert planted(tmp_path, DECOYS[case]).checkpoints == []
