"""`ckptrun branch`, as a user types it: what is made, what its first start does, what the parent remembers."""

from __future__ import annotations

import json
import os

import pytest
from runmaker import Made
from support import run_ckptrun, write_files

from ckptrun import errors
from ckptrun.runs import branches, paths

SCRIPT = """
import json, sys
import ckptrun
run = ckptrun.attach()
seen = json.loads((run.resume_from / "state.json").read_text()) if run.resume_from else []
for step in range((run.resume_step or -1) + 1, 6):
    seen.append(sys.argv[1:])
    if run.should_save(step, metrics={"loss": 1.0 + step}, total=6):
        with run.checkpoint(step) as folder:
            (folder / "state.json").write_text(json.dumps(seen))
run.done()
print("went on after", run.resume_step, "seen", len(seen))
"""
PLAIN = """
import os, sys
path = sys.argv[1]
old = open(sys.argv[3]).read() if "--resume" in sys.argv else ""
open(path, "w").write(old + "x" * 100)
print("had", len(old))
"""


@pytest.fixture
def here(tmp_path):
    write_files(tmp_path, {"train.py": SCRIPT, "plain.py": PLAIN})
    ckptrun(tmp_path, "train", "--run", "digits", "--every", "2", "train.py", "--lr", "0.1")
    return tmp_path


def ckptrun(here, *args, code=0):
    done = run_ckptrun(*args, cwd=here)
    assert done.returncode == code, done.stderr
    return done


def facts(done):
    return dict(line.split("\t") for line in done.stdout.splitlines())


def test_a_branch_goes_on_where_its_parent_was(here):
    told = facts(ckptrun(here, "branch", "digits@2", "cool", "--set", "every=1"))
    assert told["branched from"] == "digits@step-00000002, step 2"
    assert told["start it with"] == "ckptrun train --run cool train.py --lr 0.1"
    assert (told["made"], told["set"]) == ("run cool", "every=1")
    line = told["start it with"].split()[1:]
    assert "went on after 2 seen 6" in ckptrun(here, *line).stdout
    steps = sorted(os.listdir(here / "runs/cool/checkpoints"))
    assert steps == ["latest", *(f"step-0000000{step}" for step in (2, 3, 4, 5))]
    assert "every\tbranch --set\t1\n" in ckptrun(here, "show", "cool").stdout
    record = json.loads(ckptrun(here, "show", "--json", "cool").stdout)
    assert (record["parent"], record["overrides"]) == ("digits@step-00000002", {"every": "1"})
    assert record["attempts"][0]["resumed_from"] == "checkpoints/step-00000002"


def test_the_checkpoint_is_in_both_and_remembered_by_the_parent(here):
    ckptrun(here, "branch", "digits@2", "cool")
    old, new = (here / "runs" / name / "checkpoints/step-00000002" for name in ("digits", "cool"))
    assert (old / "state.json").read_bytes() == (new / "state.json").read_bytes()
    manifest = json.loads((new / "checkpoint.json").read_text())
    assert (manifest["run"], manifest["attempt"]) == ("cool", 0)
    assert manifest["parent"] == "../digits/checkpoints/step-00000002"
    assert (new / "checkpoint.json").stat().st_mode == (old / "checkpoint.json").stat().st_mode
    run = paths.run_paths(str(here / "runs"), "digits")
    assert branches.in_use(run) == {str(old): "run cool branched from it"}
    assert "branched off\tcool at step-00000002\n" in ckptrun(here, "show", "digits").stdout
    assert "in use\trun cool branched from it\n" in ckptrun(here, "show", "digits@2").stdout
    os.rename(here / "runs/cool", here / "elsewhere")
    assert branches.in_use(run) == {}


def test_options_of_the_parent_are_kept_and_its_file_is_never_linked(here):
    plain = ("plain.py", "{output_dir}/state.pt")
    ckptrun(here, "train", "--run", "plain", "--on-resume", "--resume {resume_from}", *plain)
    told = json.loads(ckptrun(here, "branch", "--json", "plain", "plain2").stdout)
    assert told["overrides"] == {"on_resume": "--resume '{resume_from}'"}
    (way,) = told["files"]
    assert way in ("copy", "reflink")
    assert os.stat(told["checkpoint"]).st_nlink == 1
    assert "had 100" in ckptrun(here, "train", "--run", "plain2", *plain).stdout
    assert os.path.getsize(here / "runs/plain2/attempts/0001/output/state.pt") == 200
    assert os.path.getsize(here / "runs/plain/attempts/0001/output/state.pt") == 100


def test_values_of_a_sweep_are_filled_in_and_another_one_is_set(here):
    sweep = ("--sweep", "lr: [0.1, 0.01]", "--sweep-task", "1")
    ckptrun(here, "train", "--run", "s", *sweep, "train.py", "--lr", "{lr}")
    told = json.loads(ckptrun(here, "branch", "--json", "s-1", "b", "--set", "lr=1e-3").stdout)
    assert told["start"] == "ckptrun train --run b train.py --lr 1e-3"
    assert json.loads(ckptrun(here, "branch", "--json", "s-1@0", "c", code=2).stdout or "null") is None
    assert json.loads(ckptrun(here, "branch", "--json", "s-1", "c").stdout)["command"] == [
        "{python}",
        "train.py",
        "--lr",
        "0.01",
    ]


def test_another_command(here):
    told = json.loads(ckptrun(here, "branch", "--json", "digits@best", "b", "--", "train.py", "--lr", "7").stdout)
    assert told["command"] == ["{python}", "train.py", "--lr", "7"]
    assert "went on after" in ckptrun(here, "train", "--run", "b", "train.py", "--lr", "7").stdout


def test_an_option_wins_over_what_was_set_and_that_over_the_file(here):
    write_files(here, {"ckptrun.yaml": "grace: 10s\nevery: 3\n"})
    ckptrun(here, "branch", "digits@2", "b", "--set", "grace=20s", "--set", "every=4")
    text = ckptrun(here, "train", "--run", "b", "--every", "5", "--dry-run", "train.py", "--lr", "0.1").stdout
    assert '  grace: "20s"  (branch --set)\n' in text
    assert '  every: "5"  (option --every)\n' in text


def test_a_dry_run_makes_nothing(here):
    assert facts(ckptrun(here, "branch", "digits@2", "b", "--dry-run"))["would make"] == "run b"
    assert sorted(os.listdir(here / "runs")) == ["digits"]
    assert not (here / "runs/digits/branches").exists()


def test_a_mistake_in_what_was_written_down_is_told(here):
    ckptrun(here, "branch", "digits@2", "b", "--set", "grace=20s")
    path = here / "runs/b/run.yaml"
    path.write_text(path.read_text().replace('"grace":"20s"', '"grace":"soon"'))
    done = ckptrun(here, "train", "--run", "b", "train.py", "--lr", "0.1", code=78)
    assert "branch --set grace: 'soon' is not a duration" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["digits@2", "digits"], 2, "run digits is there already"),
        (["digits@2", "a/b"], 2, "is not a run's name"),
        (["digits@3", "b"], 2, "hint: complete: "),
        (["digits@2", "b", "--set", "evry=1"], 2, "did you mean 'every'?"),
        (["lone@7", "b"], 2, "lone@7 belongs to no run"),
        (["digits@2", "b", "--", "trian.py"], 2, "did you mean 'train.py'?"),
    ],
)
def test_what_cannot_be_branched(here, args, code, says):
    write_files(here, {"lone/step-00000007.pt": "x" * 100, "lone/step-00000008.pt": "x" * 100})
    assert says in ckptrun(here, "branch", *args, code=code).stderr
    assert sorted(os.listdir(here / "runs")) == ["digits"]


def test_a_checkpoint_whose_bytes_have_turned_is_not_branched_from(here):
    path = here / "runs/digits/checkpoints/step-00000002/state.json"
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.7"))
    done = ckptrun(here, "branch", "digits@2", "b", code=74)
    assert "step-00000002 is corrupt: state.json has checksum" in done.stderr
    assert sorted(os.listdir(here / "runs")) == ["digits"]


def test_a_record_that_cannot_be_understood_protects_by_an_error(tmp_path):
    run = Made(tmp_path, "a").paths
    write_files(run.branches, {"b.json": "{", "notes.txt": "x"})
    with pytest.raises(errors.IoFailure, match=r"b\.json is damaged"):
        branches.in_use(run)


def test_rewinding_sets_later_ones_aside_and_deletes_nothing(here):
    before = {
        name: (here / "runs/digits/checkpoints" / name / "state.json").read_bytes()
        for name in ("step-00000004", "step-00000005")
    }
    ckptrun(here, "train", "--run", "digits", "--again", "--resume-at", "2", "train.py", "--lr", "0.1")
    aside = here / "runs/digits/superseded/0001-rewind/checkpoints"
    assert {name: (aside / name / "state.json").read_bytes() for name in sorted(os.listdir(aside))} == before


def test_what_was_branched_from_is_not_pruned(here):
    ckptrun(here, "branch", "digits@4", "cool")
    for step in (2, 4, 5):  # nothing that is a minute old is pruned anyway
        path = here / f"runs/digits/checkpoints/step-0000000{step}/checkpoint.json"
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps({**manifest, "created": "2026-01-01T00:00:00.000Z"}))
    told = json.loads(ckptrun(here, "prune", "digits", "--keep-last", "1", "--json").stdout)
    kept = {each["name"]: each["reasons"] for each in told["keep"]}
    assert "run cool branched from it" in kept["step-00000004"]
