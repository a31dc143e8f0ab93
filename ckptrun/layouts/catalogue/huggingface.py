"""Hugging Face: the Trainer, accelerate, the examples of diffusers."""

from __future__ import annotations

from ckptrun.layouts.catalogue import NO_COPY, Layout

_RANDOM = r"random_states_\d+\.pkl"  # accelerator.py:3641: written last, by each rank

_NO_WEIGHTS = r"(?!(?:optimizer|scheduler|scaler|rng_state|training_args|random_states|sampler|latest|zero)\b|(?:optimizer|rng_state)_)"

# The examples of diffusers write accelerate's files into the Trainer's names.
DIFFUSERS = Layout(
    name="diffusers",
    title="diffusers' examples",
    entry=(r"checkpoint-(?P<step>\d+)",),
    directory=True,
    inside=_RANDOM,
    needs={"a file of weights": r".*\.safetensors|.*\.bin|[a-z]\w*"},
)

# transformers/trainer_utils.py:270,342; trainer_jit_checkpoint.py:59. log_history has the metrics of every step that was evaluated.
TRAINER = Layout(
    name="transformers",
    title="Hugging Face Trainer",
    entry=(r"checkpoint-(?P<step>\d+)",),
    directory=True,
    inside=r"trainer_state\.json|training_args\.bin|checkpoint-is-incomplete\.txt|rng_state(?:_\d+)?\.pth",
    unfinished=(r"tmp-checkpoint-(?P<step>\d+)",),
    never=r"checkpoint-is-incomplete\.txt",
    needs={
        "trainer_state.json, which is written last,": r"trainer_state\.json",
        "a file of weights": rf"{_NO_WEIGHTS}(?:.*\.(?:safetensors|bin|h5|msgpack|pt)|.*_\d+|[a-z]\w*_model)|global_step\d+",
    },
    together={
        r"scheduler\.pt": r"optimizer(?:\.pt|\.bin|_\d+)|global_step\d+",
        r"model-\d+-of-\d+\.safetensors": r"model\.safetensors\.index\.json",
    },
    check="structure",
    sidecar="transformers",
)

# The number counts saves, not steps.
ACCELERATE = Layout(
    name="accelerate",
    title="accelerate",
    entry=(r"checkpoint_(?P<step>(?!0\d)\d+)", r"step_(?P<step>\d+)", r"epoch_(?P<epoch>\d+)"),
    directory=True,
    inside=rf"{_RANDOM}|optimizer(?:_\d+)?\.bin|scheduler(?:_\d+)?\.bin|sampler(?:_\d+)?\.bin|custom_checkpoint_\d+\.pkl",
    needs={
        "random_states_….pkl, which is written last,": _RANDOM,
        "a file of weights": r".*\.safetensors|(?:pytorch_)?model.*\.bin|pytorch_model.*|\w+_model_\d+|[a-z]\w*",
    },
    together={r"scheduler(?:_\d+)?\.bin": r"optimizer(?:_\d+)?(?:\.bin)?|pytorch_model.*"},
)
# save_state with a name of the script's own; only what it has written to the end can be told from other directories.
ACCELERATE_NAMED = Layout(
    name="accelerate-named",
    title="accelerate, any name",
    entry=(rf"{NO_COPY}(?P<prefix>.*?[-_])(?P<step>\d+)(?:[-_]state)?", rf"{NO_COPY}.+"),
    directory=True,
    inside=_RANDOM,
    best=r"(?:.*[-_])?best",
)

LAYOUTS = (DIFFUSERS, TRAINER, ACCELERATE, ACCELERATE_NAMED)
