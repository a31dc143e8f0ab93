"""What saves PyTorch's files: Lightning, NeMo, fairseq, timm, ultralytics, OpenMMLab, detectron2, ignite, skorch, fastai, hippynn."""

from __future__ import annotations

from ckptrun.layouts.catalogue import Layout, Pointer

_LAST = r"last(?:-v\d+)?\.ckpt"

# auto_insert_metric_name=False, as in epoch{epoch:02d}-val_loss{val_loss:.2f}
_UNNAMED = r"(?:.*?[-_.])??epoch[-_]?(?P<epoch>\d+)(?:[-_]+step[-_]?(?P<step>\d+))?(?:[-_]+(?P<metric>[a-z]\w*?)[-_]?(?P<value>-?\d+\.\d+))?"

# lightning/pytorch/callbacks/model_checkpoint.py:556,610,867,1007; a directory where the strategy shards.
LIGHTNING = Layout(
    name="lightning",
    title="Lightning",
    entry=(
        r"(?P<prefix>).*=.*(?<!-EMA)\.ckpt",
        rf"(?P<prefix>){_LAST}",
        r"(?P<prefix>hpc)_ckpt_(?P<step>\d+)\.ckpt",  # numbered by saves
        rf"(?P<prefix>){_UNNAMED}(?:-v\d+)?\.ckpt",
        r"(?P<prefix>)(?P<epoch>\d+)-(?P<value>-?\d+\.\d+)(?:-v\d+)?\.ckpt",
    ),
    directory=None,
    nest=r"(?P<prefix>).*=.*",  # a metric with a slash makes a directory: epoch=1-val/loss=0.5.ckpt
    nested=r".*=.*\.ckpt",
    pairs=True,
    inside=r"\.metadata(?:\.tmp)?|.*\.distcp|meta\.pt|checkpoint|zero_to_fp32\.py|latest",
    veto="{stem}-unfinished",
    companions=("{stem}-EMA.ckpt",),
    check="files",
    sidecar="lightning",
    follows=_LAST,
    pointers=(Pointer(name=_LAST),),
)

# nemo/utils/callbacks/nemo_model_checkpoint.py:73,447: an empty file beside says that it is not finished.
NEMO = Layout(
    name="nemo",
    title="NeMo",
    entry=(r".*=.*(?<!\.ckpt)(?<!-EMA)",),
    directory=True,
    pairs=True,
    inside=r"weights|context|common\.pt|\.metadata|metadata\.json",
    veto="{name}-unfinished",
    companions=("{name}-EMA",),
    follows=r".*-last",
    pointers=(Pointer(name=r".*-last"),),
)

# fairseq/checkpoint_utils.py:35 to 190,585. The last digit of a best one breaks ties and belongs to no number.
_SHARD = r"(?:-model_part-\d+)?(?:-shard\d+|-rank-\d+)?"
_SHARDED = r"(?:-model_part-\d+(?:-shard\d+)?|-shard\d+)"
FAIRSEQ = Layout(
    name="fairseq",
    title="fairseq",
    entry=(
        rf"checkpoint(?P<epoch>\d+){_SHARD}\.pt",
        rf"checkpoint_(?P<epoch>\d+)_(?P<step>\d+){_SHARD}\.pt",
        rf"checkpoint\.best_(?P<metric>\w+)_(?P<value>-?\d+\.\d{{3}})(?P<tie>\d){_SHARD}\.pt",
        rf"checkpoint\.best_(?P<metric>\w+)_(?P<value>-?\d+\.\d{{1,2}}){_SHARD}\.pt",  # before the tie-breaker
        rf"checkpoint_(?P<step>\d+){_SHARDED}\.pt",  # metaseq
        rf"checkpoint_(?P<which>best|last|crash){_SHARD}\.pt",
    ),
    unit=("epoch", "step", "metric", "value", "tie", "which"),
    main=r"(?!.*-shard0*[1-9]|.*-model_part-0*[1-9]).*\.pt",
    beside=rf"checkpoint_\d+{_SHARDED}\.pt|checkpoint\d+(?:-.*)?\.pt|checkpoint_\d+_\d+(?:-.*)?\.pt|checkpoint\.best_.+\.pt",
    unfinished=(
        rf"checkpoint_(?P<epoch>\d+)_(?P<step>\d+){_SHARD}\.pt\.tmp",
        rf"checkpoint(?P<epoch>\d+){_SHARD}\.pt\.tmp",
        r"checkpoint.*\.pt\.tmp",
    ),
    follows=r"checkpoint_last.*\.pt",
    best=r"checkpoint_best.*\.pt",
)

# timm/utils/checkpoint_saver.py:77,112,183: last and model_best are hard links.
TIMM = Layout(
    name="timm",
    title="timm",
    entry=(
        r"checkpoint-(?P<epoch>\d+)\.pth\.tar",
        r"recovery-(?P<epoch>\d+)-\d+\.pth\.tar",
        r"(?:last|model_best)\.pth\.tar",
    ),
    beside=r"checkpoint-\d+\.pth\.tar|recovery-\d+-\d+\.pth\.tar|last\.pth\.tar",
    unfinished=(r"tmp\.pth\.tar",),
    follows=r"last\.pth\.tar",
    best=r"model_best\.pth\.tar",
    sidecar="timm",
)

# ultralytics/engine/trainer.py save_model.
ULTRALYTICS = Layout(
    name="ultralytics",
    title="ultralytics",
    entry=(r"epoch(?P<epoch>\d+)\.pt", r"(?:last|best)\.pt"),
    within=r"weights",
    follows=r"last\.pt",
    best=r"best\.pt",
    sidecar="ultralytics",
)

# mmengine/hooks/checkpoint_hook.py:459: last_checkpoint holds an absolute path; `-<sha8>.pth` was published.
MMENGINE = Layout(
    name="mmengine",
    title="OpenMMLab (mmengine)",
    entry=(
        r"iter_(?P<step>\d+)(?:-[0-9a-f]{8})?\.pth",
        r"epoch_(?P<epoch>\d+)(?:-[0-9a-f]{8})?\.pth",
        r"best_.+_iter_(?P<step>\d+)\.pth",
        r"best_.+_epoch_(?P<epoch>\d+)\.pth",
    ),
    directory=None,
    inside=r".*",
    best=r"best_.+\.pth",
    pointers=(Pointer(name=r"last_checkpoint", format="path"), Pointer(name=r"latest\.pth")),
)

# fvcore/common/checkpoint.py:228: last_checkpoint holds a name, in the same file as mmengine's path.
FVCORE = Layout(
    name="fvcore",
    title="detectron2 (fvcore)",
    entry=(r"(?P<prefix>.+)_(?P<step>\d{7})\.pth", r"(?P<prefix>.+)_(?:final|best)\.pth"),
    beside=r".+_\d{7}\.pth|last_checkpoint",
    follows=r".+_final\.pth",
    best=r".+_best\.pth",
    pointers=(Pointer(name=r"last_checkpoint", format="basename"),),
)

# ignite/handlers/checkpoint.py:920.
_OF_IGNITE = r"(?:\w+_)?(?:checkpoint|best_model)"
IGNITE = Layout(
    name="ignite",
    title="ignite",
    entry=(
        r"(?P<prefix>\w+?)_(?P<step>\d+)_(?P<metric>[A-Za-z]\w*)=(?P<value>-?\d+(?:\.\d+)?)\.pt",
        rf"(?P<prefix>{_OF_IGNITE})_(?P<step>\d+)\.pt",
        rf"(?P<prefix>{_OF_IGNITE})_(?P<metric>[A-Za-z]\w*)=(?P<value>-?\d+(?:\.\d+)?)\.pt",
        rf"(?P<prefix>{_OF_IGNITE})_(?P<value>-?\d+\.\d+)\.pt",
    ),
    guess=True,
)

# skorch/callbacks/training.py: four files, rewritten in place.
SKORCH = Layout(
    name="skorch",
    title="skorch",
    entry=(
        r"(?P<prefix>(?:.*_)?)(?:params|optimizer|criterion)\.(?:pt|safetensors)",
        r"(?P<prefix>(?:.*_)?)history\.json",
    ),
    unit=("prefix",),
    main=r".*params\.(?:pt|safetensors)",
    beside=r"(?:.*_)?history\.json",
    proof=r".*params\.(?:pt|safetensors)",
    sidecar="skorch",
)

# fastai/callback/tracker.py: SaveModelCallback writes into models/.
FASTAI = Layout(
    name="fastai",
    title="fastai",
    entry=(r"(?P<prefix>model|best|stage[-_]?\w*?)_(?P<epoch>\d+)\.pth", r"(?P<prefix>model|best|stage[-_]?\w*?)\.pth"),
    within=r"models",
    guess=True,
)

# hippynn/experiment/routines.py:515 to 537: the structure file is needed by all of them.
HIPPYNN = Layout(
    name="hippynn",
    title="hippynn",
    entry=(
        r"(?P<prefix>checkpoint|model|better_model|better_checkpoint)_epoch_(?P<epoch>\d+)\.pt",
        r"(?:best|last)_(?P<prefix>checkpoint|model)\.pt",
    ),
    beside=r"experiment_structure\.pt",
    shared=r"experiment_structure\.pt",
    follows=r"last_(?:checkpoint|model)\.pt",
    best=r"best_(?:checkpoint|model)\.pt",
)

# speechbrain/utils/checkpoints.py: named after the time; CKPT.yaml says how good it is.
SPEECHBRAIN = Layout(
    name="speechbrain",
    title="SpeechBrain",
    entry=(r"CKPT\+.+",),
    directory=True,
    inside=r"CKPT\.yaml",
    sidecar="speechbrain",
)

# lerobot: the policy, and beside it what the training needs.
LEROBOT = Layout(
    name="lerobot",
    title="LeRobot",
    entry=(r"(?P<step>\d{6,})",),
    directory=True,
    inside=r"pretrained_model|training_state",
    needs={"pretrained_model": "pretrained_model", "training_state": "training_state"},
    ranks=False,
    pointers=(Pointer(name=r"last"),),
)

# openai/guided-diffusion and what was made of it, train_util.py: weights, their averages, the optimizer.
GUIDED_DIFFUSION = Layout(
    name="guided-diffusion",
    title="guided-diffusion",
    entry=(r"(?:model|opt|ema_[\d.]+_)(?P<step>\d{6})\.pt",),
    unit=("step",),
    main=r"model\d+\.pt",
    beside=r"opt\d{6}\.pt",
    proof=r"model\d+\.pt|ema_.*",
    parts={"the model": r"model\d+\.pt", "the optimizer, which is written last,": r"opt\d+\.pt"},
)

LAYOUTS = (
    SPEECHBRAIN,
    LEROBOT,
    GUIDED_DIFFUSION,
    HIPPYNN,
    LIGHTNING,
    NEMO,
    ULTRALYTICS,
    TIMM,
    FAIRSEQ,
    FVCORE,
    MMENGINE,
    SKORCH,
    FASTAI,
    IGNITE,
)
