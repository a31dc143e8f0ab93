import json
import os
import pty
import subprocess
import zipfile

import pytest
from runmaker import Made
from support import ckptrun_argv, clean_env, run_ckptrun


@pytest.fixture
def here(tmp_path):
    """Two runs and, beside them, a directory of checkpoints that belongs to none."""
    run = Made(tmp_path / "runs", "digits")
    with run.attempt() as attempt:
        attempt.save(10, loss=3.0, acc=0.5)
        broken = attempt.save(20, loss=0.5, acc=0.4)
        attempt.save(30, loss=1.0, acc=0.25)
    os.unlink(os.path.join(broken, "state.bin"))
    Made(tmp_path / "runs", "new")
    loose = Made(tmp_path / "other", "x")
    with loose.attempt() as attempt:
        attempt.save(1)
    os.rename(loose.paths.checkpoints, tmp_path / "loose")
    os.mkdir(tmp_path / "empty")
    return tmp_path


def ls(here, *args, **more):
    done = run_ckptrun("ls", *args, cwd=here, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def table(text):
    head, *rows = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_all_runs(here):
    digits, new = table(ls(here))
    shown = {key: digits[key] for key in ("run", "state", "attempts", "saved", "size", "outcome", "remark")}
    assert shown == {
        "run": "digits",
        "state": "ended",
        "attempts": "1",
        "saved": "30",
        "size": "10 B",
        "outcome": "preempted",
        "remark": "",
    }
    assert (new["run"], new["state"], new["attempts"], new["saved"]) == ("new", "new", "0", "")
    assert digits["path"] == str(here / "runs" / "digits")


def test_all_runs_for_programs(here):
    document = json.loads(ls(here, "--json"))
    assert document["format"] == 1
    assert [(run["run"], run["state"], run["outcome"], run["checkpoint"]) for run in document["runs"]] == [
        ("digits", "ended", "preempted", "step-00000030"),
        ("new", "new", None, None),
    ]


def test_no_runs_is_no_error(tmp_path):
    assert table(ls(tmp_path)) == []
    assert json.loads(ls(tmp_path, "--json")) == {"format": 1, "runs": [], "queue_trouble": None}


def test_a_run(here):
    rows = table(ls(here, "digits"))
    assert [(row["step"], row["loss"], row["state"], row["roles"]) for row in rows] == [
        ("10", "3", "complete", ""),
        ("20", "", "partial", ""),
        ("30", "1", "complete", "latest, best"),
    ]
    assert rows[1]["reason"] == "state.bin is missing"
    assert [row["attempt"] for row in rows] == ["1", "", "1"]


@pytest.mark.parametrize(
    "args", [["--metric", "acc"], ["--metric", "acc", "--mode", "max"], ["--metric", "loss", "--mode", "max"]]
)
def test_another_best(here, args):
    rows = table(ls(here, *args, "digits"))
    assert [row["step"] for row in rows if "best" in row["roles"]] == ["10"]


@pytest.mark.parametrize("args", [["./loose"], ["loose"], ["loose/"]])
def test_a_directory(here, args):
    [row] = table(ls(here, *args))
    assert (row["name"], row["state"], row["roles"]) == ("step-00000001", "complete", "latest")
    assert row["path"] == str(here / "loose" / "step-00000001")


def test_a_run_comes_before_a_directory_and_a_path_is_a_path(here):
    os.mkdir(here / "digits")
    assert len(table(ls(here, "digits"))) == 3
    assert table(ls(here, "./digits")) == []
    assert len(table(ls(here, "runs/digits"))) == 3


def test_the_document_is_the_design_s(here):
    document = json.loads(ls(here, "--json", "digits", "./loose", "./empty"))
    assert set(document) == {"format", "series"}
    digits, loose = document["series"]
    assert list(digits) == ["directory", "layout", "run", "pointer", "latest", "best", "checkpoints"]
    assert (digits["run"], digits["latest"], digits["best"], digits["pointer"]) == ("digits", *["step-00000030"] * 3)
    assert (loose["run"], loose["latest"], loose["best"]) == (None, "step-00000001", None)
    keys = [
        "name",
        "path",
        "files",
        "step",
        "epoch",
        "metrics",
        "time",
        "size",
        "state",
        "reason",
        "roles",
        "pinned",
        "attempt",
    ]
    assert [list(item) for item in digits["checkpoints"]] == [keys] * 3
    assert digits["checkpoints"][2]["files"] == ["step-00000030/checkpoint.json", "step-00000030/state.bin"]
    assert digits["checkpoints"][2]["size"] == 5


def test_several_at_once_are_one_table_in_a_pipe(here):
    rows = table(ls(here, "digits", "loose"))
    assert [row["name"] for row in rows] == ["step-00000010", "step-00000020", "step-00000030", "step-00000001"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["digit"], "error: there is no run digit in"),
        (["./nowhere"], "error: there is nothing at ./nowhere"),
        (["s3://bucket/it"], "error: s3://bucket/it is not on this machine"),
        (["digits/9"], "error: run digits has no attempt 9"),
        (["./runs/digits/run.yaml"], "error: ./runs/digits/run.yaml is a file, and not one that a checkpoint is known by"),
        (["--metric", "f1", "digits"], "error: no complete checkpoint has a metric 'f1'\nhint: there are: acc, loss"),
        (["--mode", "up", "digits"], "error: invalid value for '--mode'"),
    ],
)
def test_what_is_not_there(here, args, says):
    done = run_ckptrun("ls", *args, cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_directory_that_cannot_be_read_is_not_an_empty_one(here):
    os.rename(here / "runs/digits/checkpoints", here / "gone")
    os.symlink("checkpoints", here / "runs/digits/checkpoints")  # a loop: not even root can list it
    done = run_ckptrun("ls", "digits", cwd=here)
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr.startswith("error: ")
    assert str(here / "runs/digits/checkpoints") in done.stderr
    digits, _ = table(ls(here))  # the list of all runs says so, and goes on
    assert (digits["saved"], str(here / "runs/digits/checkpoints") in digits["remark"]) == ("", True)


def test_a_root_with_an_odd_name(weird_path):
    run = Made(weird_path / "runs", "digits")
    with run.attempt() as attempt:
        attempt.save(1)
    [row] = table(ls(weird_path))
    assert row["path"].endswith("\\n\\t$HOME; äß 目 */runs/digits")
    [row] = table(ls(weird_path, "digits"))
    assert row["state"] == "complete"
    [series] = json.loads(ls(weird_path, "--json", "digits"))["series"]
    assert series["directory"] == run.paths.checkpoints


def test_the_root_comes_from_the_option_the_environment_or_the_file(here):
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    assert len(table(ls(elsewhere, "--root", "../runs"))) == 2
    assert len(table(ls(elsewhere, env={"CKPTRUN_ROOT": "../runs"}))) == 2
    (elsewhere / "ckptrun.yaml").write_text("root: ../runs\n")
    assert len(table(ls(elsewhere))) == 2


def on_terminal(here, *args, **env):
    """What a terminal of 60 columns is given."""
    ours, theirs = pty.openpty()
    settings = {"TERM": "xterm", "COLUMNS": "60", **env}
    with subprocess.Popen(ckptrun_argv("ls", *args), cwd=here, env=clean_env(settings), stdout=theirs, stderr=theirs) as it:
        os.close(theirs)
        text = b""
        try:
            while more := os.read(ours, 1 << 16):
                text += more
        except OSError:  # EIO: the other side is closed
            pass
        os.close(ours)
        assert it.wait() == 0
    return text.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_unless_they_are_not_wanted(here):
    assert "\x1b[32mcomplete\x1b[0m" in on_terminal(here, "digits")
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_terminal(here, "digits", **env)


def test_what_a_terminal_is_told_beside_the_tables(here):
    both = on_terminal(here, "digits", "loose", NO_COLOR="1")
    assert both.startswith("\ndigits\nstep  loss")
    assert str(here / "loose") in both.replace("\n", "")
    assert "3 checkpoints, 10 B; best: lowest loss\n" in both
    assert on_terminal(here, "./empty", COLUMNS="200") == f"no checkpoints in {here / 'empty'}\n"
    told = on_terminal(here, "--root", str(here / "none"), NO_COLOR="1")
    assert "no runs in" in told
    assert "`ckptrun train SCRIPT`" in told.replace("\n", " ")


def test_nobody_reads_to_the_end(here):
    with subprocess.Popen(
        ckptrun_argv("ls", "digits"), cwd=here, env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as it:
        it.stdout.close()
        assert it.stderr.read() == b""
        assert it.wait() == 141


# --- directories that others wrote -------------------------------------------------------------------------------------
@pytest.fixture
def odd(tmp_path):
    """Names that only their author can read: fold, epoch, loss and accuracy."""
    for epoch, loss in ((1, 0.9), (2, 0.3), (10, 0.5)):
        with zipfile.ZipFile(tmp_path / f"k3.e{epoch:02d}.{loss:.2f}~{1 - loss:.2f}.mynet", "w") as file:
            file.writestr("w", "heavy")
    return tmp_path


PATTERN = "k3.e{epoch:02d}.{val_loss:.2f}~{acc:.2f}.mynet"


def test_a_pattern_says_what_the_numbers_are(odd):
    assert table(ls(odd, ".")) == []
    rows = table(ls(odd, "--pattern", PATTERN, "."))
    assert [(row["epoch"], row["val_loss"], row["acc"], row["roles"]) for row in rows] == [
        ("1", "0.9", "0.1", ""),
        ("2", "0.3", "0.7", "best"),
        ("10", "0.5", "0.5", "latest"),
    ]
    (series,) = json.loads(ls(odd, "--pattern", PATTERN, "--json", "."))["series"]
    assert (series["layout"], series["latest"]) == (f"pattern:{PATTERN}", "k3.e10.0.50~0.50.mynet")


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("model.pt", "it has no field such as"),
        ("{epoch}-{epoch}.pt", "a field stands in it twice"),
        ("{step}-{iter}.pt", "a field stands in it twice"),
        ("a/{epoch}.pt", "it is a name in a directory"),
        ("{epoch:02d.pt", "it has no field"),
        ("{epoch}{", "a bracket is open"),
    ],
)
def test_a_pattern_that_is_none(odd, pattern, says):
    done = run_ckptrun("ls", "--pattern", pattern, ".", cwd=odd)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: --pattern {pattern}: {says}")


def test_without_sizes_they_are_null(odd):
    document = json.loads(ls(odd, "--no-size", "--pattern", PATTERN, "--json", "."))
    assert [(item["size"], item["time"], item["state"]) for item in document["series"][0]["checkpoints"]] == [
        (None, None, "complete")
    ] * 3


def test_on_a_terminal_each_series_stands_apart(odd):
    for name in ("gen_1.pt", "gen_2.pt", "disc_1.pt", "disc_2.pt", "sub/epoch=1-step=20.ckpt"):
        os.makedirs(os.path.dirname(odd / name), exist_ok=True)
        with zipfile.ZipFile(odd / name, "w") as file:
            file.writestr("w", "heavy")
    shown = on_terminal(odd, ".", NO_COLOR="1", COLUMNS="100")
    assert [line for line in shown.splitlines() if line in ("numbered names", "sub: lightning")] == [
        "numbered names",
        "numbered names",
        "sub: lightning",
    ]
    assert len(table(ls(odd, "."))) == 5
