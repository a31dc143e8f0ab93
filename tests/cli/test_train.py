"""From a command line of `ckptrun train` to the settings and the command; mistakes through the real program."""

from __future__ import annotations

import os
import sys

import msgspec
import pytest
import support
from support import run_ckptrun, write_files

from ckptrun import config
from ckptrun.cli import train
from ckptrun.config import keys


def parsed(*args):
    """The options that were given, the words, and whether they came after `--`."""
    with train.command.make_context("train", list(args)) as ctx:
        return train.given(ctx), ctx.params["words"], ctx.meta["ckptrun.literal"]


def test_every_option_of_the_table_is_a_setting_and_the_other_way_round():
    listed = [row[0] for rows in train._OPTIONS.values() for row in rows]
    assert sorted(listed) == sorted(config.BY_OPTION)
    assert {param.name for param in train.command.params} == {*(key.name for key in keys.BY_OPTION.values()), "words"}


def test_the_options_have_the_promised_names():
    promised = """--run --root --config --strategy --data --on-resume --grace --save-signal --time-limit --every --max-failures
        --stall-timeout --pattern --seal --resume-at --restart-by --done-when --preempt-exit-code --from --fresh --changed --again --signal-means
        --child-preempt-code --chdir --dry-run --quiet --verbose --json --if-held --sweep --sweep-task
        --keep-last --keep-first --keep-best --keep-every --keep-within --keep-hourly --keep-daily --keep-weekly --keep-monthly
        --keep-yearly --keep-permanent --without-metric --max-bytes --until-free --thin
        --keep-copies --backup-to --backup-every"""
    assert set(promised.split()) == set(config.BY_OPTION)


@pytest.mark.parametrize("key", [key for key in keys.KEYS.values() if key.option], ids=lambda key: key.name)
def test_an_option_arrives_as_it_was_typed(key):
    if key.name in ("quiet", "verbose"):
        given, _, _ = parsed(key.option, key.option, "x.py")
        assert given == {key.name: "2"}
    elif key.kind is config.keys.kinds.flag:
        given, _, _ = parsed(key.option, "x.py")
        assert given == {key.name: "yes"}
    else:
        given, _, _ = parsed(key.option, key.example, "x.py")
        assert given == {key.name: (key.example,) if key.many else key.example}


def test_short_options_can_be_joined():
    assert parsed("-qq", "-v", "x.py")[0] == {"quiet": "2", "verbose": "1"}


def test_a_mount_can_be_given_many_times():
    assert parsed("--data", "a:b", "--data", "c d:e", "x.py")[0] == {"data": ("a:b", "c d:e")}


@pytest.mark.parametrize(
    ("args", "words", "literal"),
    [
        (["x.py", "--run", "theirs", "-v"], ("x.py", "--run", "theirs", "-v"), False),
        (["--run", "ours", "x.py", "--", "-v"], ("x.py", "--", "-v"), False),
        (["--", "x.py"], ("x.py",), True),
        (["-v", "--", "bash", "-c", "--"], ("bash", "-c", "--"), True),
        (["--", "--"], ("--",), True),
        (["--", "--odd", "name"], ("--odd", "name"), True),
        (["bash", "--"], ("bash", "--"), False),
        (["x.py", ""], ("x.py", ""), False),
    ],
)
def test_options_end_where_the_command_begins(args, words, literal):
    assert parsed(*args)[1:] == (words, literal)


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        ([], 2, "error: missing argument 'SCRIPT [ARGS]...'.\nhint: `ckptrun train --help` explains it\n"),
        (["--grac", "3", "x.py"], 2, "error: no such option '--grac'. Did you mean '--grace'?\n"),
        (["--grace"], 2, "error: option '--grace' requires an argument.\n"),
        (["--fresh=maybe", "x.py"], 2, "error: option '--fresh' does not take a value.\n"),
        (["x.py"], 2, "error: no such script: 'x.py' in {cwd}\nhint: did you mean 'y.py'?\n"),
        (
            ["--strategy", "lang", "--every", "x", "y.py"],
            2,
            (
                "error: --strategy: 'lang' is not short, normal or long; did you mean 'long'?\n"
                "       --every: 'x' is not a cadence; write 20 (steps), 10m or 2epochs\n"
                "hint: `ckptrun train --help` describes every setting\n"
            ),
        ),
        (
            ["--fresh", "--from", "a", "y.py"],
            2,
            "error: --fresh and --from contradict each other: each says where to begin\n",
        ),
        (["--chdir", "nope", "y.py"], 2, "error: --chdir: '{cwd}/nope' is not there; write for instance --chdir src\n"),
        (["--chdir", "sub", "y.py"], 2, "error: no such script: 'y.py' in {cwd}/sub\n"),
        (["--config", "wrong.yaml", "y.py"], 78, "error: wrong.yaml:1:1: unknown setting 'evry'; did you mean 'every'?\n"),
        (["--config", "\x1b[31mred", "y.py"], 2, r"error: --config: no such file: '\x1b[31mred'"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_made(tmp_path, args, code, told):
    write_files(tmp_path, {"y.py": "raise SystemExit('must not run')", "sub/z": "", "wrong.yaml": "evry: 1"})
    done = run_ckptrun("train", *args, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith(told.replace("{cwd}", str(tmp_path)))
    assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sub", "wrong.yaml", "y.py"]


def test_a_wrong_variable_is_named(tmp_path):
    write_files(tmp_path, {"y.py": ""})
    done = run_ckptrun("train", "y.py", cwd=tmp_path, env={"CKPTRUN_TRAIN_GRACE": "soon"})
    assert done.returncode == 78
    assert done.stderr.startswith("error: environment CKPTRUN_TRAIN_GRACE: 'soon' is not a duration")


def test_a_surrounding_run_s_variables_are_no_settings(tmp_path):
    write_files(tmp_path, {"y.py": "", "ckptrun.yaml": "evry: 1"})
    around = {"CKPTRUN_RUN": "/", "CKPTRUN_EVERY": "nonsense", "CKPTRUN_GRACE_SECONDS": "x"}
    done = run_ckptrun("train", "y.py", cwd=tmp_path, env=around)
    assert done.stderr.startswith("error: ckptrun.yaml:1:1: unknown setting 'evry'")


def test_this_is_the_installed_program():
    assert support.ckptrun_argv()[0].endswith("/ckptrun")


# --- whole starts ------------------------------------------------------------------------------------------------------
WHERE = "import os, sys; print(os.getcwd(), sys.argv[1:], sys.executable)"


def test_a_start_remembers_where_every_setting_came_from(tmp_path):
    write_files(tmp_path, {"x.py": WHERE, "ckptrun.yaml": "root: kept\nrestart:\n  max_failures: 7\n"})
    done = run_ckptrun(
        "train", "--run", "one", "--grace", "90s", "x.py", "a b", cwd=tmp_path, env={"CKPTRUN_TRAIN_EVERY": "20"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path} ['a b'] ")
    written = (tmp_path / "kept" / "one" / "run.yaml").read_text()
    for source in ("option --run", "option --grace", "environment CKPTRUN_TRAIN_EVERY", "ckptrun.yaml:1", "ckptrun.yaml:3"):
        assert f'"{source}"' in written


def test_a_script_in_another_directory(tmp_path):
    write_files(tmp_path, {"sub/x.py": WHERE})
    done = run_ckptrun("train", "--chdir", "sub", "x.py", cwd=tmp_path)
    assert done.stdout.startswith(f"{tmp_path}/sub [] ")
    assert [path.name for path in tmp_path.iterdir() if path.name != "sub"] == ["runs"]  # where we are, not where it runs


def test_a_command_after_two_dashes_is_taken_as_it_is(tmp_path):
    done = run_ckptrun("train", "-q", "--", "sh", "-c", 'printf "%s|" "$0" "$@"; exit 7', "--run", "-v", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (7, "--run|-v|")


def test_a_dry_run_makes_nothing(tmp_path):
    write_files(tmp_path, {"x.py": "raise SystemExit('must not run')"})
    done = run_ckptrun("train", "--dry-run", "--every", "2epochs", "x.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "option --every" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["x.py"]


def test_under_json_stdout_is_one_document(tmp_path):
    write_files(tmp_path, {"x.py": "print('the script')"})
    done = run_ckptrun("train", "--json", "x.py", cwd=tmp_path)
    document = msgspec.json.decode(done.stdout)
    assert (document["outcome"], document["exit_code"]) == ("completed", 0)
    assert "the script" in done.stderr


@pytest.mark.parametrize(
    "started", [["ckptrun"], [sys.executable, "-m", "ckptrun"], [sys.executable + "3", "-m", "ckptrun"]]
)
def test_the_same_words_are_the_same_run_however_they_are_started(tmp_path, started):
    write_files(tmp_path, {"x.py": ""})
    first = support.ckptrun_argv() if started == ["ckptrun"] else started
    if not os.path.exists(first[0]):
        pytest.skip(f"no {first[0]}")
    assert run_ckptrun("train", "x.py", cwd=tmp_path).returncode == 0
    again = support.run([*first, "train", "x.py"], cwd=tmp_path)
    assert "is complete" in again.stderr
