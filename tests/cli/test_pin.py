import json
import os

import pytest
import support
from runmaker import Made
from support import run_ckptrun


@pytest.fixture
def here(tmp_path):
    run = Made(tmp_path / "runs", "digits")
    with run.attempt() as attempt:
        for step in (10, 20):
            attempt.save(step, loss=step)
    support.write_files(tmp_path, {f"out/epoch_{n}.pt": b"\x80\x02}q\x00." for n in (1, 2)})
    return tmp_path


def ckptrun(here, *args, code=0):
    done = run_ckptrun(*args, cwd=here)
    assert done.returncode == code, done.stderr
    return done


def roles(here, what):
    series = json.loads(ckptrun(here, "ls", what, "--json").stdout)["series"][0]
    return {item["name"]: item["pinned"] and "pinned" in item["roles"] for item in series["checkpoints"]}


def test_a_pin_is_seen_and_taken_away(here):
    assert "pinned " in ckptrun(here, "pin", "digits@10", "--reason", "in the paper").stderr
    assert roles(here, "digits") == {"step-00000010": True, "step-00000020": False}
    assert "in the paper" in ckptrun(here, "show", "digits@10").stdout
    shown = json.loads(ckptrun(here, "show", "digits@10", "--json").stdout)
    assert (shown["pin"]["reason"], shown["pin"]["path"]) == ("in the paper", "checkpoints/step-00000010")
    os.rename(here / "runs" / "digits", here / "runs" / "moved")
    assert roles(here, "moved")["step-00000010"]
    assert "not pinned any more" in ckptrun(here, "unpin", "./runs/moved/checkpoints/step-00000010").stderr
    assert "was not pinned" in ckptrun(here, "unpin", "moved@10").stderr
    assert not any(roles(here, "moved").values())


def test_of_any_directory_by_step_or_path(here):
    ckptrun(here, "pin", "./out@1", "out/epoch_2.pt")
    assert roles(here, "./out") == {"epoch_1.pt": True, "epoch_2.pt": True}
    assert sorted(os.listdir(here / "out")) == ["epoch_1.pt", "epoch_2.pt"]
    ckptrun(here, "unpin", str(here / "out" / "epoch_1.pt"))
    assert roles(here, "out") == {"epoch_1.pt": False, "epoch_2.pt": True}


@pytest.mark.parametrize(
    ("ref", "says", "hint"),
    [
        ("digits", "digits is not a checkpoint", "digits@STEP"),
        ("digits@11", "has no checkpoint 11", "complete: 10, 20"),
        ("./out@7", "has no checkpoint 7", "complete: 1, 2"),
        ("nothing@7", "there is no run nothing", "runs in"),
    ],
)
def test_what_is_no_checkpoint_is_refused_and_nothing_is_pinned(here, ref, says, hint):
    done = ckptrun(here, "pin", "digits@10", ref, code=2)
    assert says in done.stderr
    assert hint in done.stderr
    assert not any(roles(here, "digits").values())
