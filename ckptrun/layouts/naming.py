"""What the file names of unknown scripts promise: tables, tried on the names that plain scripts and decoys have in tests/layouts."""
# ruff: noqa: SIM905  # tables of words are easier to read and to extend without quotes

from __future__ import annotations

import re

# A file with one of these is a checkpoint unless its name says otherwise.
CHECKPOINT_EXTENSIONS = frozenset(
    ".pt .pth .ckpt .checkpoint .chk .cpt .safetensors .keras .h5 .hdf5 .pth.tar .pt.tar .pdparams .msgpack .ubj .cbm"
    " .weights .params .state .snapshot .restart .resume".split()
)
# These hold anything: they need two members that count, or a name that does not say otherwise.
GENERAL_EXTENSIONS = frozenset(".npz .pkl .pickle .joblib".split())
# These hold mostly other things: they need a word that sounds like a state.
OTHER_EXTENSIONS = frozenset(".json .bin .npy .zip .dat .model .tar".split())

STATE_WORDS = frozenset(
    "last latest current ckpt ckpts checkpoint checkpoints state states resume restart snapshot autosave".split()
)
MODEL_WORDS = frozenset("model models net network weights weight params policy agent".split())
RESULT_WORDS = frozenset("best final finished trained export exported release".split())
OLDER_WORDS = frozenset("prev previous old older backup bak bkp".split())  # what the newest has replaced
# A name with one of these and none of the words above is something else.
OTHER_WORDS = frozenset(
    "pred preds prediction predictions sample samples data dataset datasets image images img imgs log logs loss losses result results"
    " metric metrics embed embedding embeddings feature features train training val valid validation test eval plot plots fig figure"
    " figures audio video output outputs history vocab vocabulary tokenizer tokens config cfg conf args hparams hyperparameters settings"
    " label labels target targets input inputs batch batches cache index mask masks split splits report summary score scores stats"
    " statistics curve curves grid ema requirements package manifest meta metadata info readme notes evaluation evaluations".split()
)
# A name with one of these is a part of a state, whatever else it says.
PIECE_WORDS = frozenset(
    "optimizer optimizers optim scheduler sched rng random scaler normalizer vecnormalize buffer".split()
)
STEP_WORDS = frozenset(
    "step steps globalstep iter iters iteration iterations it itr batch update updates ckpt checkpoint save saved snapshot n".split()
)
EPOCH_WORDS = frozenset("epoch epochs ep e round rounds generation gen cycle".split())
# A number after one of these counts parts or copies, not time.
PART_WORDS = frozenset(
    "of rank ranks shard shards part parts chunk chunks fold folds worker gpu cpu node host device seed run trial exp experiment version"
    " v ver layer layers expert tp pp dp mp size dim width depth bit bits top fp bf copy".split()
)

UNITS = frozenset("step steps iter iters iteration iterations epoch epochs".split())  # what a number before it counts
# Directories of such names hold data: only a name that says so is a state there. In the others a number alone is enough.
DATA_PLACES = frozenset(
    "data dataset datasets processed raw latents features feats embeddings embeds cache caches samples images preds predictions tensors"
    " shards annotations labels".split()
)
STATE_PLACES = frozenset("checkpoint checkpoints ckpt ckpts snapshots states saves saved weights models".split())

# What frameworks write beside their checkpoints, and is none: the Trainer's record of a training, the state of a search of Ray.
_NO_STATE = re.compile(
    r"trainer_state\.json|checkpoint_manager_snapshot\.json|(?:tuner|trainer|params)\.pkl|(?:searcher|basic-variant|search_gen)[-_]state.*"
    r"|experiment_state-.*\.json|training_plot_points\.json|orbax\.checkpoint",
    re.DOTALL,
)
# What torch's and Orbax's formats hold under names without an extension.
_NEVER_EMPTY = re.compile(
    r"(?:^|/)(?:\.metadata|\.snapshot_metadata|_METADATA|_CHECKPOINT_METADATA|manifest\.ocdbt|d/[0-9a-f]{16,})$"
)
_TEMPORARY = re.compile(
    r"(?P<final>.+?)(?:[._-](?:tmp|temp|part|partial|incomplete|writing|new)[\w-]{0,12}|~|\.sw[a-p])", re.DOTALL
)
_WORDS = re.compile(r"[a-z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def extension(name: str) -> str:
    """The known extension of `name`, with its dot, or ""."""
    lower = name.lower()
    for double in (".pth.tar", ".pt.tar"):
        if lower.endswith(double):
            return double
    dot = lower.rfind(".")
    found = lower[dot:] if dot > 0 else ""
    known = found in CHECKPOINT_EXTENSIONS or found in GENERAL_EXTENSIONS or found in OTHER_EXTENSIONS
    return found if known else ""


def final_name(name: str) -> str:
    """What a temporary name will become (`a.pt` for `a.pt.tmp`), "" if it is none; hidden names are all temporary and tell nothing."""
    found = _TEMPORARY.fullmatch(name)
    return found["final"] if found else ""


def words(stem: str) -> list[str]:
    """The words in a name: `trainState_10-last` → train, state, last."""
    return _WORDS.findall(_CAMEL.sub(" ", stem).lower())


def might_be(name: str) -> bool:
    """Could a file of this name be a checkpoint of an unknown script? Cheap: most files of an output are sorted out here."""
    if name.startswith(".") or _NO_STATE.fullmatch(name):
        return False
    return bool(extension(name) or extension(final_name(name)))


def says_state(name: str) -> bool:
    """Is there a word in the name that a state has, or that counts a training's time?"""
    return not (STATE_WORDS | MODEL_WORDS | UNITS).isdisjoint(words(name))


def holds_state(name: str) -> bool:
    """Does a directory with a file of this name look like a checkpoint?"""
    if _NO_STATE.fullmatch(name):
        return False
    return extension(name) in CHECKPOINT_EXTENSIONS | GENERAL_EXTENSIONS | {".bin"} or name.endswith(".distcp")


def is_never_empty(path: str) -> bool:
    """Is a file of this path inside of a checkpoint one that is no mere mark: does it hold a state, or say what is in one?"""
    name = path.rpartition("/")[2]
    return holds_state(name) or bool(_NEVER_EMPTY.search(path))


def is_something_else(name: str) -> bool:
    """Does a name say that it is no state, such as `results_100.json`, or a piece of one?"""
    said = set(words(name))
    if said & PIECE_WORDS:
        return True
    return bool(said & OTHER_WORDS) and not said & (STATE_WORDS | MODEL_WORDS | RESULT_WORDS)


def sounds(name: str) -> int:
    """How much a name sounds like a state to continue from: 2 last, ckpt, state; 1 model or nothing; 0 best, final, previous; -1 something else."""
    kind = extension(name)
    said = set(words(name[: len(name) - len(kind)]))
    if said & PIECE_WORDS:
        return -1
    state, model, result = said & STATE_WORDS, said & MODEL_WORDS, said & RESULT_WORDS
    if said & OTHER_WORDS and not state and not model and not result:
        return -1
    if kind in OTHER_EXTENSIONS and not state:
        return -1
    if result or said & OLDER_WORDS:
        return 0
    return 2 if state else 1
