"""What every verb makes of every kind of reference: it takes it, or says in two lines what it takes instead."""

from __future__ import annotations

import io
import json
import os
import shutil
import time

import numpy as np
import pytest
import support
from runmaker import Made, age
from support import write_files

from ckptrun import cli, names

RUN, ATTEMPT, ONE, SEVERAL, DIRECTORY, FILE, NOTHING = "run", "attempt", "one", "several", "directory", "file", "nothing"
OWN, FOREIGN = "digits", "out"
# Reference → what it names, and the step of the checkpoint that is the newest of it.
FORMS = {
    "digits": (RUN, 300),
    "./runs/digits": (RUN, 300),
    "digits/1": (ATTEMPT, 200),
    "./runs/digits/attempts/0001": (ATTEMPT, 200),
    "digits@100": (ONE, 100),
    "digits@latest": (ONE, 300),
    "digits@best": (ONE, 200),
    "digits@best:acc": (ONE, 100),
    "digits@step-00000100": (ONE, 100),
    "digits/step-00000100": (ONE, 100),
    "./runs/digits@100": (ONE, 100),
    "runs/digits@latest": (ONE, 300),
    "./runs/digits/checkpoints/step-00000100": (ONE, 100),
    "./runs/digits/checkpoints/latest": (ONE, 300),
    "digit*": (RUN, 300),
    "sweep-*": (SEVERAL, 300),
    "sweep-*@100": (SEVERAL, 100),
    "sweep-*@best": (SEVERAL, 200),
    "sweep-*/1": (SEVERAL, 200),
    "./out": (DIRECTORY, 30),
    "out": (DIRECTORY, 30),
    "./runs/digits/checkpoints": (DIRECTORY, 300),
    "./out@10": (ONE, 10),
    "out@20": (ONE, 20),
    "./out@latest": (ONE, 30),
    "./out@best": (ONE, 10),
    "./out@best:loss": (ONE, 10),
    "./out@checkpoint-20": (ONE, 20),
    "./out/checkpoint-20": (ONE, 20),
    "": (NOTHING, None),
    "nope": (NOTHING, None),
    "nope@3": (NOTHING, None),
    "nope-*": (NOTHING, None),
    "nope-*@latest": (NOTHING, None),
    "digits/9": (NOTHING, None),
    "digits@999": (NOTHING, None),
    "digits@best:nope": (NOTHING, None),
    "empty@latest": (NOTHING, None),
    "./out@99": (NOTHING, None),
    "./nothing@latest": (NOTHING, None),
    "./not-there": (NOTHING, None),
    "./not-there@3": (NOTHING, None),
}
ANY = {RUN, ATTEMPT, ONE, SEVERAL, DIRECTORY}
SINGLE = ANY - {SEVERAL}
# Verb, and which kinds it takes; {} is the reference.
VERBS = {
    "ls --json {}": ANY,
    "verify --json {}": ANY,
    "seal --json {}": ANY,
    "backup --json --dry-run {}": ANY,
    "prune --json --keep-last 1 {}": {RUN, DIRECTORY, "sweep-*", "./out/checkpoint-20"},
    "pin --json {}": {ONE, "sweep-*@100", "sweep-*@best"},
    "unpin --json {}": {ONE, "sweep-*@100", "sweep-*@best"},
    "show --json {}": {RUN, ATTEMPT, ONE},
    "show --json --tensors {}": SINGLE,
    "diff --json --summary {} {}": SINGLE,
    "mean --json --dry-run --to x.npz out2@10 {}": ANY,
    "mean --json --dry-run --last 2 --to x.npz {}": {RUN, DIRECTORY, "sweep-*"},
    "branch --json --dry-run {} new": {ref for ref, (kind, _) in FORMS.items() if "digit" in ref and kind != NOTHING},
    "status --json {}": {RUN, "sweep-*"},
    "logs {}": {RUN, ATTEMPT},
    "train --dry-run --run t --from {} -- true": SINGLE,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("references")
    for name in (OWN, "sweep-1", "sweep-2"):
        made = Made(folder / "runs", name)
        with made.attempt() as attempt:
            attempt.save(100, {"state.npz": _tensors(1)}, loss=0.2, acc=0.9)
            attempt.save(200, {"state.npz": _tensors(2)}, loss=0.1, acc=0.8)
        with made.attempt(resumed=200, outcome=names.COMPLETED, exit_code=0) as attempt:
            attempt.save(300, {"state.npz": _tensors(3)}, loss=0.3, acc=0.7)
        age(made.paths)
    Made(folder / "runs", "empty")
    for out in (FOREIGN, "out2"):
        for step in (10, 20, 30):
            history = json.dumps({"log_history": [{"loss": at / 100, "step": at} for at in range(10, step + 1, 10)]})
            where = folder / out / f"checkpoint-{step}"
            write_files(where, {"trainer_state.json": history, "model.safetensors": _safetensors(step)})
            for file in where.iterdir():
                os.utime(file, (time.time() - 3600 + step,) * 2)
    os.mkdir(folder / "nothing")
    return folder


def _tensors(number):
    file = io.BytesIO()
    np.savez(file, w=np.arange(4, dtype="f4") + number)
    return file.getvalue()


def _safetensors(number):
    head = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + (np.arange(4, dtype="f4") + number).tobytes()


@pytest.fixture
def type_it(world, monkeypatch, capfd):
    """Run a command line here, in this process; its code, stdout, stderr."""
    monkeypatch.chdir(world)
    for name in [name for name in os.environ if name.startswith("CKPTRUN")]:
        monkeypatch.delenv(name)

    def run(words):
        capfd.readouterr()
        code = cli.main(words)
        return code, *capfd.readouterr()

    return run


def _takes(verb, ref):
    kind, _ = FORMS[ref]
    return kind in VERBS[verb] or ref in VERBS[verb]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_every_form(type_it, verb):
    wrong = []
    for ref in FORMS:
        code, _, said = type_it([word.replace("{}", ref) for word in verb.split(" ")])
        problem = _accepted(code, said) if _takes(verb, ref) else _refused(code, said)
        if problem:
            wrong.append(f"{verb.replace('{}', repr(ref))}: {problem}: exit {code}: {said}")
    assert not wrong, "\n".join(wrong)


def _accepted(code, said):
    return "" if code == names.EXIT_OK and "error:" not in said else "is not taken"


def _refused(code, said):
    """Two lines: what is wrong, and what to do."""
    if code != names.EXIT_USAGE:
        return "is taken"
    lines = said.splitlines()
    return "" if [line.split(":")[0] for line in lines] == ["error", "hint"] else "is refused without a way out"


@pytest.mark.parametrize("ref", [ref for ref, (kind, _) in FORMS.items() if kind in (ATTEMPT, ONE, RUN, DIRECTORY)])
def test_the_checkpoint_that_is_meant(type_it, ref):
    kind, step = FORMS[ref]
    code, out, said = type_it(["show", "--json", "--tensors", ref])
    assert (code, json.loads(out)["path"].split("-")[-1].lstrip("0")) == (0, str(step)), said
    if kind == ONE:
        assert json.loads(type_it(["ls", "--json", ref])[1])["series"][0]["checkpoints"][0]["step"] == step
        assert json.loads(type_it(["show", "--json", ref])[1])["checkpoint"]["step"] == step
        assert json.loads(type_it(["verify", "--json", ref])[1])["checked"] == 1


def test_several_at_once(type_it):
    _, out, _ = type_it(["ls", "--json", "digits@100", "./out", "sweep-*/1"])
    listed = [[each["step"] for each in series["checkpoints"]] for series in json.loads(out)["series"]]
    assert listed == [[100], [10, 20, 30], [100, 200], [100, 200]]
    _, out, _ = type_it(["verify", "--json", "digits@100", "digits", "./out@10", "./out"])
    assert json.loads(out)["checked"] == 6


@pytest.mark.parametrize("verb", [verb for verb in VERBS if "--json" in verb])
def test_json_is_one_document_with_its_format(type_it, verb):
    ref = next(ref for ref in FORMS if _takes(verb, ref))
    _, out, _ = type_it([word.replace("{}", ref) for word in verb.split(" ")])
    (line,) = out.splitlines()
    assert json.loads(line)["format"] == names.FORMAT


def test_pins_for_programs(type_it, world):
    path = str(world / "runs/digits/checkpoints/step-00000100")
    for verb, pinned in (("pin", True), ("unpin", False)):
        _, out, _ = type_it([verb, "--json", "digits@100"])
        assert json.loads(out) == {"format": 1, "checkpoints": [{"path": path, "pinned": pinned}]}


def test_what_an_attempt_wrote(type_it):
    (series,) = json.loads(type_it(["ls", "--json", "digits/1"])[1])["series"]
    assert ([each["step"] for each in series["checkpoints"]], series["latest"], series["best"]) == (
        [100, 200],
        None,
        "step-00000200",
    )


def test_runs_are_taken_one_by_one(type_it):
    for verb in ("prune --keep-last 1 ./runs", "backup ./runs", "show --tensors ./runs"):
        code, _, said = type_it(verb.split())
        assert code == names.EXIT_USAGE
        assert "holds runs, each of which is taken by itself\nhint: name them: " in said


def test_the_backup_of_a_step(type_it, world):
    assert type_it(["backup", "digits@100", "digits@200"])[0] == 0
    assert json.loads(type_it(["restore", "--json", "--dry-run", "digits@100"])[1])["step"] == 100
    assert json.loads(type_it(["restore", "--json", "--dry-run", "digits@latest"])[1])["step"] == 200
    assert json.loads(type_it(["restore", "--json", "--dry-run", "./runs/digits/backup@100"])[1])["step"] == 100
    for ref in ("digits@300", "./not-there", "", "nope"):
        code, _, said = type_it(["restore", "--dry-run", ref])
        assert not _refused(code, said), said


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (
            "ls ./closed",
            74,
            "closed cannot be read: Permission denied\nhint: what cannot be read may be whole, so nothing was done",
        ),
        ("prune --keep-last 1 --yes ./closed", 74, "closed cannot be read: Permission denied"),
        ("backup ./half", 74, "error: cannot read or write "),
        ("diff --files ./half@10 ./half@20", 74, "error: cannot read or write "),
        ("show --tensors ./half@10", 74, "error: cannot read "),
        ("seal --json ./half@20", 74, '"state":"unread","reason":"model.safetensors cannot be read: Permission denied"'),
        ("verify --json ./half@20", 74, '"unread":'),
    ],
)
def test_what_may_not_be_read_is_said_to_be_that(world, tmp_path, args, code, said):
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("no setpriv here, to be less than root with")
    for step in (10, 20):
        shutil.copytree(world / f"out/checkpoint-{step}", tmp_path / f"half/checkpoint-{step}")
        (tmp_path / f"half/checkpoint-{step}/model.safetensors").chmod(0)
    (tmp_path / "closed").mkdir(mode=0)
    argv = [*(WITHOUT_RIGHTS if os.geteuid() == 0 else []), *support.ckptrun_argv(*args.split())]
    done = support.run(argv, cwd=tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
