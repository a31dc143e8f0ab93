import json
import os

import pytest
from runmaker import Made
from support import run_ckptrun

from ckptrun.model import Setting


@pytest.fixture
def here(tmp_path):
    run = Made(
        tmp_path / "runs", "digits", ["train.py", "--name", "a b"], {"grace": Setting(value="90s", source="ckptrun.yaml:3")}
    )
    with run.attempt(
        steps_gained=20, steps_lost=3, checkpoints=["step-00000010", "step-00000020"], child_signal=9
    ) as attempt:
        attempt.save(10, loss=3.0)
        attempt.save(20, loss=1.0)
        attempt.book.append("checkpoint", name="step-00000020", step=20, seconds=0.25)
        with open(attempt.where.log, "wb") as log:
            log.write(b"hello\n")
    with run.attempt(resumed=20, outcome="") as attempt:
        attempt.book.append("signal", signal="SIGTERM")
    return tmp_path


def show(here, *args):
    done = run_ckptrun("show", *args, cwd=here)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def pairs(text):
    return dict(line.split("\t", 1) for line in text.split("\n\n")[0].splitlines())


def test_a_run(here):
    text = show(here, "digits")
    facts = pairs(text)
    assert facts["command"] == "train.py --name 'a b'"
    assert (facts["state"], facts["attempt"]) == ("ended, nobody knows how", "2")
    assert "grace\tckptrun.yaml:3\t90s\n" in text
    settings, attempts, checkpoints = (part.splitlines() for part in text.split("\n\n")[1:])
    assert (settings[0], attempts[0], checkpoints[0]) == ("settings", "attempts", "checkpoints")
    assert [line.split("\t")[0] for line in attempts[2:]] == ["1", "2"]
    assert [line.split("\t")[1] for line in checkpoints[2:]] == ["10", "20"]


def test_an_attempt(here):
    text = show(here, "digits/1")
    facts = pairs(text)
    assert facts["outcome"] == "preempted"
    assert (facts["resumed from"], facts["resumed why"]) == ("nothing", "no checkpoint yet")
    assert (facts["steps gained"], facts["steps lost"]) == ("20", "3")
    assert facts["saved"] == "step-00000010, step-00000020"
    assert facts["command ended"] == "killed by SIGKILL"
    assert facts["log"].endswith("attempts/0001/log.txt, 6 B")
    told = [line.split("\t")[2] for line in text.split("\n\n")[1].splitlines()[2:]]
    assert told[-2:] == ["saved step-00000020, step 20, in 0.2 s", "preempted: SIGTERM"]


def test_an_attempt_that_nobody_closed(here):
    text = show(here, "digits/2")
    assert pairs(text)["outcome"].startswith("nobody knows")
    assert pairs(text)["resumed from"] == "checkpoints/step-00000020"
    assert "\tckptrun got SIGTERM\n" in text


@pytest.mark.parametrize("ref", ["digits@20", "digits@latest", "digits@best", "runs/digits/checkpoints/latest"])
def test_a_checkpoint(here, ref):
    text = show(here, ref)
    facts = pairs(text)
    assert (facts["checkpoint"], facts["state"], facts["metric loss"]) == ("step-00000020", "complete", "1")
    assert (facts["roles"], facts["resumed by"]) == ("latest, best, resumed-from", "attempt 2")
    assert facts["attempt"] == "1 of run digits"
    assert text.split("\n\n")[1].splitlines()[2].split("\t")[:2] == ["state.bin", "5 B"]


def test_a_checkpoint_whose_manifest_is_damaged(here):
    with open(here / "runs/digits/checkpoints/step-00000010/checkpoint.json", "w") as file:
        file.write("{")
    facts = pairs(show(here, "digits@10"))
    assert facts["state"] == "corrupt"
    assert "checkpoint.json is not a manifest" in facts["reason"]


def test_for_programs(here):
    run = json.loads(show(here, "--json", "digits"))
    assert (run["format"], run["kind"], run["run"], run["command"]) == (1, "run", "digits", ["train.py", "--name", "a b"])
    assert (run["settings"]["grace"], run["status"]["state"]) == ({"value": "90s", "source": "ckptrun.yaml:3"}, "ended")
    assert [attempt["attempt"] for attempt in run["attempts"]] == [1, 2]
    assert [item["step"] for item in run["series"][0]["checkpoints"]] == [10, 20]
    attempt = json.loads(show(here, "--json", "digits/1"))
    assert (attempt["kind"], attempt["attempt"], attempt["outcome"]) == ("attempt", 1, "preempted")
    assert [entry["event"] for entry in attempt["ledger"]][-2:] == ["checkpoint", "attempt_ended"]
    checkpoint = json.loads(show(here, "--json", "digits@20"))
    assert (checkpoint["kind"], checkpoint["run"], checkpoint["resumed_by"]) == ("checkpoint", "digits", [2])
    assert checkpoint["checkpoint"]["name"] == "step-00000020"
    assert checkpoint["manifest"]["files"][0]["path"] == "state.bin"


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("digits@7", "hint: complete: 10, 20"),
        ("digits/7", "hint: its attempts: 1 to 2"),
        ("digit", "hint: did you mean digits?"),
        ("runs", "hint: `ckptrun ls runs` lists what is in it; name one: runs@STEP or runs@latest"),
        ("./none", "error: there is nothing at ./none"),
    ],
)
def test_what_is_not_there(here, ref, says):
    done = run_ckptrun("show", ref, cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_odd_names_do_not_reach_the_terminal(here):
    run = Made(here / "runs", "odd")
    with run.attempt() as attempt:
        attempt.save(1, {"a\x1b[31m\n.bin": b"1", os.fsdecode(b"caf\xe9"): b"2"})
    text = show(here, "odd@1")
    assert "\x1b" not in text
    assert "a\\x1b[31m\\n.bin\t1 B" in text
    assert "caf\\xe9\t1 B" in text
    assert {entry["path"] for entry in json.loads(show(here, "--json", "odd@1"))["manifest"]["files"]} == {
        "a\x1b[31m\n.bin",
        "caf\\xe9",
    }
