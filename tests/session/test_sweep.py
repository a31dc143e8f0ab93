"""The tasks of a sweep as runs: which is which, what each is given, and values that are others than before."""

import json

import pytest
from support import run_ckptrun, write_files

from ckptrun import config, errors
from ckptrun.model import JobIdentity
from ckptrun.session import task

SHOW = "import os, sys\nprint(*sys.argv[1:], os.environ.get('CKPTRUN_SWEEP'), os.environ['CKPTRUN_RUN'], sep='|')\n"
YAML = "sweep:\n  lr: [0.1, 1e-2]\n  note: ['a \"b\" {run}', $HOME]\n"


@pytest.fixture
def here(tmp_path):
    write_files(tmp_path, {"show.py": SHOW, "ckptrun.yaml": YAML})
    return tmp_path


def train(here, *words, **more):
    return run_ckptrun("train", *words, cwd=here, **more)


def test_each_task_gets_its_values_and_a_run_of_its_own(here):
    told = [
        train(here, "--sweep-task", str(n), "show.py", "--lr={lr}", "{note}", "{array_task}", "{x}").stdout for n in range(4)
    ]
    first, *_, last = (line.strip().split("|") for line in told)
    assert first[:4] == ["--lr=0.1", 'a "b" {run}', "0", "{x}"]
    assert last[:4] == ["--lr=1e-2", "$HOME", "3", "{x}"]
    assert json.loads(last[4]) == {"lr": 0.01, "note": "$HOME"}
    runs = sorted(path.name for path in (here / "runs").iterdir())
    assert [name.rpartition("-")[2] for name in runs] == ["0", "1", "2", "3"]
    assert len({name.rpartition("-")[0] for name in runs}) == 1
    shown = json.loads(run_ckptrun("show", runs[3], "--json", cwd=here).stdout)
    assert shown["sweep"] == shown["attempts"][0]["sweep"] == {"lr": 0.01, "note": "$HOME"}


@pytest.mark.parametrize(("given", "name"), [("big", "big-1"), ("big-{array_task}-x", "big-1-x")])
def test_a_name_stands_for_all_tasks(here, given, name):
    assert train(here, "--run", given, "--sweep-task", "1", "show.py").stdout.endswith(f"|{name}\n")


def test_the_number_comes_from_the_array(here):
    array = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "4", "SLURM_ARRAY_TASK_ID": "2"}
    assert train(here, "--run", "r", "show.py", "{lr}", env=array).stdout.startswith("1e-2|")


def test_other_values_are_refused_with_the_difference(here):
    words = ("--run", "r", "--sweep-task", "2", "show.py", "{lr}")
    assert train(here, *words).returncode == 0
    write_files(here, {"ckptrun.yaml": YAML.replace("1e-2", "0.3")})
    done = train(here, *words)
    assert done.returncode == 2
    assert "error: run r-2 was started with other values: lr was 0.01, now it is 0.3\n" in done.stderr
    assert train(here, "--changed", *words).stdout.startswith("0.3|")
    write_files(here, {"ckptrun.yaml": YAML.replace("1e-2", "3e-1")})  # the same value, written in another way
    assert "is complete" in train(here, *words).stderr


def test_a_sweep_on_the_line_wins_and_its_absence_is_no_sweep(here):
    assert train(here, "--sweep", "lr: [7]", "--sweep-task", "0", "show.py", "{lr}").stdout.startswith("7|")
    write_files(here, {"ckptrun.yaml": "grace: 20s\n"})
    assert "|None|" in train(here, "show.py", "{lr}").stdout


def test_a_dry_run_shows_what_a_task_gets(here):
    done = train(here, "--dry-run", "--json", "--sweep-task", "0", "show.py", "{lr}")
    plan = json.loads(done.stdout)
    assert plan["command"][-1] == "0.1"
    assert plan["environment"]["CKPTRUN_SWEEP"] == '{"lr":0.1,"note":"a \\"b\\" {run}"}'


@pytest.mark.parametrize(
    ("options", "array", "said"),
    [
        ({"sweep": "a: [1, 2]"}, "", "there is a sweep of 2 (option --sweep), and nothing says which"),
        ({"sweep": "a: [1, 2]"}, "2", "task 2 is beyond the sweep of 2"),
        ({"sweep": "a: [1, 2]", "sweep_task": "9"}, "", "task 9 is beyond the sweep of 2"),
        ({"sweep_task": "0"}, "", "--sweep-task 0: there is no sweep"),
    ],
)
def test_no_task_of_the_sweep(tmp_path, options, array, said):
    settings = config.load(options, {}, str(tmp_path))
    with pytest.raises(errors.UsageError) as caught:
        task.of(settings, JobIdentity(array_task=array))
    assert caught.value.message.startswith(said)


@pytest.mark.parametrize(
    ("options", "array", "number", "values"),
    [
        ({}, "", "", None),
        ({}, "7", "7", None),
        ({"sweep": "a: [1, 2]"}, "1", "1", {"a": 2}),
        ({"sweep": "a: [1, 2]", "sweep_task": "0"}, "1", "0", {"a": 1}),
    ],
)
def test_which_task_it_is(tmp_path, options, array, number, values):
    found = task.of(config.load(options, {}, str(tmp_path)), JobIdentity(array_task=array))
    assert (found.number, found.point.values if found.point else None) == (number, values)
