"""What many ranks write: DeepSpeed, Megatron-LM, torch's distributed checkpoints, OLMo-core, Composer."""

from __future__ import annotations

from ckptrun.layouts.catalogue import NO_COPY, Layout, Pointer

_PARTS = r"\.metadata(?:\.tmp)?|__\d+_\d+\.distcp"  # torch/distributed/checkpoint/filesystem.py: .metadata is written last

# deepspeed/runtime/engine.py:4190 to 4240: any tag is a name, `latest` holds the newest; nothing else says that a save is complete.
DEEPSPEED = Layout(
    name="deepspeed",
    title="DeepSpeed",
    entry=(r"global_step(?P<step>\d+)", r"epoch[-_=]?(?P<epoch>\d+)", rf"{NO_COPY}.*?(?P<step>\d+)", rf"{NO_COPY}.+"),
    directory=True,
    inside=r"mp_rank_\d+(?:_\d+)?_model_states\.pt|(?:bf16_)?zero_pp_rank_\d+_mp_rank_\d+\w*_(?:optim|model)_states\.pt"
    r"|expp_rank_\d+_mp_rank_\d+_optim_states\.pt|layer_\d+-model_\d+-model_states\.pt",
    needs={"a file of model states": r".*model_states\.pt"},
    pointers=(Pointer(name="latest", format="tag", vouches=True), Pointer(name="latest_universal", format="tag")),
)

_TRACKER = Pointer(name=r"latest_checkpointed_iteration\.txt", format="iteration", vouches=True)

# megatron/training/checkpointing.py:230,375,1074 to 1108; the tracker is written after the save.
MEGATRON = Layout(
    name="megatron",
    title="Megatron-LM",
    entry=(r"iter_(?P<step>\d{7})", r"release"),
    directory=True,
    inside=r"mp_rank_\d+(?:_\d+)*|metadata\.json|common\.pt",
    needs={"metadata.json": r"metadata\.json|mp_rank_\d+.*"},
    pointers=(_TRACKER,),
)
# Its formats that are torch's own (torch_dcp, fsdp_dtensor) have neither common.pt nor metadata.json.
MEGATRON_TORCH = Layout(
    name="megatron-torch",
    title="Megatron-LM, torch's format",
    entry=(r"iter_(?P<step>\d{7})",),
    directory=True,
    inside=_PARTS,
    needs={".metadata, which is written last,": r"\.metadata"},
    pointers=(_TRACKER,),
)

# OLMo-core, olmo_core/train/checkpoint.py:84: .metadata.json is written last.
OLMO = Layout(
    name="olmo",
    title="OLMo-core",
    entry=(r"step(?P<step>\d+)",),
    directory=True,
    inside=r"\.metadata\.json|model_and_optim",
    needs={".metadata.json, which is written last,": r"\.metadata\.json"},
    ranks=False,
    check="structure",
    sidecar="olmo",
)

# OLMo before OLMo-core: one file for each kind of state, beside what the ranks wrote.
OLMO_UNSHARDED = Layout(
    name="olmo-unsharded",
    title="OLMo, unsharded",
    entry=(r"step(?P<step>\d+)-unsharded",),
    directory=True,
    inside=r"(?:model|optim|train)\.(?:pt|safetensors)",
    needs={"a file of weights": r"model\.(?:pt|safetensors)"},
    pointers=(Pointer(name=r"latest-unsharded"),),
)

# torchtnt/utils/checkpoint.py: its names, in torch's format or in torchsnapshot's.
_OF_TORCHTNT = (
    r"epoch_(?P<epoch>\d+)_train_step_(?P<step>\d+)(?:_(?:eval|predict)_step_\d+)*(?:_(?P<metric>\w+?)=(?P<value>-?[\d.]+))?"
)
TORCHTNT = Layout(
    name="torchtnt",
    title="torchtnt",
    entry=(_OF_TORCHTNT,),
    directory=True,
    inside=_PARTS,
    needs={".metadata, which is written last,": r"\.metadata"},
    ranks=False,
    check="structure",
)

# torchsnapshot/snapshot.py:63: names are the user's.
TORCHSNAPSHOT = Layout(
    name="torchsnapshot",
    title="torchsnapshot",
    entry=(
        _OF_TORCHTNT,
        r"epoch_(?P<epoch>\d+)(?:_(?P<metric>\w+?)=(?P<value>-?[\d.]+))?",
        r"(?:(?P<prefix>.*?)[-_=])??(?P<step>\d+)",
        rf"{NO_COPY}.+",
    ),
    directory=True,
    inside=r"\.snapshot_metadata",
    needs={".snapshot_metadata, which is written last,": r"\.snapshot_metadata|\.metadata"},
    ranks=False,
    check="structure",
)

# torch.distributed.checkpoint and torchtitan (step-N).
DCP = Layout(
    name="dcp",
    title="torch.distributed.checkpoint, torchtitan",
    entry=(
        r"step-(?P<step>\d+)",
        r"(?:(?P<prefix>.*?)[-_=])??(?P<step>\d+)",
        r"(?:.*[-_])?(?:latest|last|best|final|checkpoint|ckpt|model|state|dcp)",
    ),
    directory=True,
    inside=_PARTS,
    needs={
        ".metadata, which is written last,": r"\.metadata|model\.safetensors\.index\.json",  # torchtitan: last_save_in_hf
        "a .distcp file": r".*\.distcp|.*\.safetensors",
    },
    best=r"(?:.*[-_])?best",
    follows=r"(?:.*[-_])?(?:latest|last)",
    ranks=False,
    check="structure",
)

# composer/checkpoint/checkpoint_saver.py:485,575. The .symlink file is what stands for a link in an object store.
COMPOSER = Layout(
    name="composer",
    title="Composer",
    entry=(
        r"(?:ep(?P<epoch>\d+)-)?ba(?P<step>\d+)-rank(?P<rank>\d+)(?:\.\w+)*",
        r"(?:ep(?P<epoch>\d+)-)?ba(?P<step>\d+)",
    ),
    directory=None,
    unit=("epoch", "step"),
    main=r".*-rank0(?:\.\w+)*|(?:ep\d+-)?ba\d+",
    parts={"the file of rank 0": r".*-rank0(?:\.\w+)*|(?:ep\d+-)?ba\d+"},
    inside=_PARTS,
    pointers=(
        Pointer(name=r"latest-rank\d+(?:\.\w+)*\.symlink", format="path"),
        Pointer(name=r"latest(?:-rank\d+(?:\.\w+)*)?"),
    ),
)

# Whatever else is a directory in that format, once no other framework claims it.
DCP_NAMED = Layout(
    name="dcp-named",
    title="torch.distributed.checkpoint, any name",
    entry=(rf"{NO_COPY}.+",),
    directory=True,
    inside=_PARTS,
    needs={".metadata, which is written last,": r"\.metadata", "a .distcp file": r".*\.distcp"},
    ranks=False,
    check="structure",
)

LAYOUTS = (DEEPSPEED, MEGATRON, MEGATRON_TORCH, OLMO, OLMO_UNSHARDED, TORCHTNT, TORCHSNAPSHOT, COMPOSER, DCP)
ANY_NAME = (DCP_NAMED,)
