"""Reinforcement learning, trees, language pipelines, Go, simulations."""

from __future__ import annotations

from ckptrun.layouts.catalogue import NO_COPY, Layout

# stable_baselines3/common/callbacks.py:289: a replay buffer and statistics belong to the model of their step.
SB3 = Layout(
    name="sb3",
    title="Stable-Baselines3",
    entry=(r"(?P<prefix>.+?)_(?:(?:replay_buffer|vecnormalize)_)?(?P<step>\d+)_steps\.(?:zip|pkl)", r"best_model\.zip"),
    unit=("prefix", "step"),
    main=r".*\.zip",
    proof=r".*\.zip",
    best=r"best_model\.zip",
    sidecar="sb3",
)

# ray/train/_internal/checkpoint_manager.py: what is inside is the script's.
RAY = Layout(
    name="ray",
    title="Ray",
    entry=(r"checkpoint_(?P<step>\d{6})", r"checkpoint_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{6}"),  # Ray Train 2
    directory=True,
    beside=r"result\.json|progress\.csv|checkpoint_manager_snapshot\.json|\.validate_storage_marker",
    inside=r".*",
    unfinished=(r"checkpoint_tmp\w*",),
    sidecar="ray",
)

# RLlib's save() into a directory of the user's.
RLLIB = Layout(
    name="rllib",
    title="RLlib",
    entry=(r"checkpoint_(?P<step>\d{6})", rf"{NO_COPY}.+"),
    directory=True,
    inside=r"rllib_checkpoint\.json|checkpoint-\d+\.tune_metadata",
)

# gomlx ml/train/checkpoints/checkpoint.go:838,1009,1019: the .json is finished after the .bin.
GOMLX = Layout(
    name="gomlx",
    title="GoMLX",
    entry=(r"checkpoint-n(?P<n>\d+)-(?P<time>\d{8}-\d{6})-(?:step-(?P<step>\d+)|initial)\.(?:json|bin)",),
    unit=("n", "time", "step"),
    main=r".*\.json",
    parts={"its .json, which is finished last,": r".*\.json", "its .bin": r".*\.bin"},
    sidecar="gomlx",
)

# xgboost/callback.py:641; pickled boosters lie beside the others only.
XGBOOST = Layout(name="xgboost", title="XGBoost", entry=(r"(?P<prefix>.+)_(?P<step>\d+)\.(?:ubj|deprecated)",))
XGBOOST_PICKLED = Layout(
    name="xgboost-pickled",
    title="XGBoost, pickled",
    entry=(r"(?P<prefix>.+)_(?P<step>\d+)\.(?:pkl|json)",),
    beside=r".+_\d+\.ubj",
    guess=True,
)

# LightGBM src/boosting/gbdt.cpp: snapshot_freq.
LIGHTGBM = Layout(name="lightgbm", title="LightGBM", entry=(r"(?P<prefix>.+)\.snapshot_iter_(?P<step>\d+)",))
CATBOOST = Layout(name="catboost", title="CatBoost", entry=(r"(?P<prefix>.+)\.cbsnapshot",))

SPACY = Layout(
    name="spacy",
    title="spaCy",
    entry=(r"model-(?:best|last)",),
    directory=True,
    inside=r"meta\.json|config\.cfg",
    needs={"meta.json": r"meta\.json", "config.cfg": r"config\.cfg"},
    ranks=False,
    follows=r"model-last",
    best=r"model-best",
    sidecar="spacy",
)

# LAMMPS, `restart 1000 poly.restart`, `restart 1000 restart.*.equil`.
LAMMPS = Layout(
    name="lammps",
    title="LAMMPS",
    entry=(r"(?P<prefix>(?:.*[._-])?restart)\.(?P<step>\d+)(?:\.\w+)?",),
)

LAYOUTS = (GOMLX, SPACY, RAY, RLLIB, LAMMPS, LIGHTGBM, CATBOOST, SB3, XGBOOST, XGBOOST_PICKLED)
