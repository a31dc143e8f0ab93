"""The batch script of `ckptrun submit`, whole, and the options that make it. No Slurm is needed here.

To renew the scripts after a change that was meant: RENEW_SCRIPTS=1 pytest tests/platforms/test_submit.py.
"""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from ckptrun import errors, names
from ckptrun.platforms.slurm import options, script, submit
from ckptrun.platforms.slurm.options import Option

GOLDEN = os.path.join(os.path.dirname(__file__), "golden")
TRAIN = {
    "--run": True,
    "--every": True,
    "--grace": True,
    "--fresh": False,
    "-q": False,
    "-v": False,
    "--gpu": False,
    "--chdir": True,
}
NASTY = ["it's", 'a "b"', "$HOME `id` \\", "line\nbreak", "", "äß目", "-x", "*", "\udcff"]


def split(line: str) -> options.Split:
    return options.split(shlex.split(line), TRAIN, optional_number=("--gpu",))


def test_options_of_both_in_any_order() -> None:
    found = split("--time=5 --every 20 -p spot -N2 --fresh --exclusive --mem 4G -q train.py --time 7")
    assert found.own == [["--every", "20"], ["--fresh"], ["-q"]]
    assert [option.word for option in found.sbatch] == [
        "--time=5",
        "--partition=spot",
        "--nodes=2",
        "--exclusive",
        "--mem=4G",
    ]
    assert (found.rest, found.literal) == (["train.py", "--time", "7"], False)


@pytest.mark.parametrize(
    ("line", "own", "sbatch"),
    [
        ("--chdir src t.py", [["--chdir", "src"]], []),  # train's, not sbatch's
        ("--chdir=src t.py", [["--chdir=src"]], []),
        ("-vv t.py", [["-vv"]], []),
        ("--gpu t.py", [["--gpu"]], []),
        ("--gpu 4 t.py", [["--gpu", "4"]], []),
        ("-D src t.py", [], ["--chdir=src"]),
        ("--requeue t.py", [], ["--requeue"]),
        ("--no-kill=off t.py", [], ["--no-kill=off"]),
        ("-J 'a b' t.py", [], ["--job-name=a b"]),
        ("--new-option-of-a-plugin 7 t.py", [], ["--new-option-of-a-plugin=7"]),
        ("--comment= t.py", [], ["--comment="]),
    ],
)
def test_whose_an_option_is(line: str, own: list[list[str]], sbatch: list[str]) -> None:
    found = split(line)
    assert (found.own, [option.word for option in found.sbatch], found.rest) == (own, sbatch, ["t.py"])


def test_what_comes_after_two_dashes_is_a_command() -> None:
    found = split("-N1 -- torchrun -- t.py")
    assert (found.rest, found.literal) == (["torchrun", "--", "t.py"], True)


@pytest.mark.parametrize("line", ["--time", "--run", "--wrap 'sleep 1' t.py", "--parsable t.py", "-p"])
def test_what_cannot_be_meant(line: str) -> None:
    with pytest.raises(errors.UsageError):
        split(line)


def job(arguments: list[str], sbatch: list[Option] | None = None, launcher: str = "") -> script.Job:
    return script.Job(
        ckptrun=["/opt/venv/bin/ckptrun"],
        arguments=arguments,
        sbatch=sbatch or [],
        launcher=launcher,
        name="digits",
        output="/scratch/runs/digits/jobs/%j.out",
    )


RENDERED = {
    "script": job(
        ["--run", "digits", "train.py", "--lr", "0.1"],
        [Option(name="--partition", value="spot"), Option(name="--exclusive")],
    ),
    "launcher": job(["--run", "digits", "--", "srun", "python", "train.py"], [Option(name="--nodes", value="2")], "srun"),
    "nodes": job(["--run", "digits", "--", "torchrun", "train.py"], [Option(name="--nodes", value="3")]),
    "tasks": job(
        ["--run", "digits", "train.py"],
        [Option(name="--ntasks-per-node", value="4"), Option(name="--cpus-per-task", value="2")],
    ),
    "nasty": job(
        ["--", *NASTY[:-1]],
        [
            Option(name="--comment", value='it\'s a "b" #1 \\'),
            Option(name="--time", value="1"),
            Option(name="--time", value="2"),
        ],
    ),
    "early warning": job(["t.py"], [Option(name="--signal", value="USR1@60"), Option(name="--time", value="1")]),
    "own choices": job(
        ["t.py"],
        [Option(name=name, value="x") for name in ("--output", "--job-name", "--open-mode")] + [Option(name="--no-requeue")],
    ),
}


@pytest.mark.parametrize("case", RENDERED)
def test_the_script_is_as_it_was_written(case: str) -> None:
    text = script.render(RENDERED[case])
    path = os.path.join(GOLDEN, f"{case.replace(' ', '-')}.sh")
    if os.environ.get("RENEW_SCRIPTS"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    with open(path, encoding="utf-8") as file:
        assert text == file.read()


def test_no_script_is_left_over() -> None:
    assert set(os.listdir(GOLDEN)) == {f"{case.replace(' ', '-')}.sh" for case in RENDERED}


def test_a_shell_reads_every_argument_as_it_was() -> None:
    made = job(["--", *NASTY])
    show = ["python3", "-c", "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"]
    text = script.render(script.Job(ckptrun=show, arguments=made.arguments, launcher="srun", name="n", output="o"))
    ran = subprocess.run(["bash"], input=os.fsencode(text), capture_output=True, check=True)
    assert ran.stdout.split(b"\0") == [b"train", b"--", *map(os.fsencode, NASTY)]


def test_a_line_break_is_refused_where_a_script_cannot_hold_it() -> None:
    with pytest.raises(errors.UsageError, match="line break"):
        script.render(job(["t.py"], [Option(name="--comment", value="a\n#SBATCH --uid=0")]))


@pytest.mark.parametrize(
    ("command", "launcher"), [(["srun", "x"], "srun"), (["/usr/bin/mpirun"], "mpirun"), (["python", "srun"], ""), ([], "")]
)
def test_commands_that_start_tasks_themselves(command: list[str], launcher: str) -> None:
    assert script.launcher(command) == launcher


def test_no_secrets_and_nothing_of_a_surrounding_job_go_along() -> None:
    around = {
        "PATH": "/bin",
        "WANDB_API_KEY": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HF_TOKEN": "x",
        "MY_PASSWORD": "x",
        "CUDA_HOME": "/cuda",
        "MONKEY": "banana",
        "SLURM_JOB_ID": "7",
        "SLURM_CONF": "/etc/slurm.conf",
        names.ENV_RUN: "outer",
    }
    clean, secrets = submit.environment(around, submit.exported([Option(name="--export", value="ALL,HF_TOKEN")]))
    assert set(clean) == {"PATH", "CUDA_HOME", "MONKEY", "SLURM_CONF", "HF_TOKEN"}
    assert secrets == ["AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "WANDB_API_KEY"]
