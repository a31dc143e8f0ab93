"""Options, environment, file, strategy, defaults: who wins, what is remembered, and how mistakes are told."""

from __future__ import annotations

import contextlib
import os
import signal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from support import write_files

from ckptrun import config, errors, names
from ckptrun.config import keeping, keys
from ckptrun.model import Point, Sweep

# One setting each way: (name in Config, text, value). All keys are here: a test below says so.
EACH = [
    ("run", "digits", "digits"),
    ("strategy", "long", "long"),
    ("if_held", "wait", "wait"),
    ("sweep", "lr: [0.1]", Sweep(text="{lr: [0.1]}", points=[Point(texts={"lr": "0.1"}, values={"lr": 0.1})])),
    ("sweep_task", "3", 3),
    ("every", "20", "20"),
    ("grace", "90s", 90.0),
    ("save_signal", "USR2", int(signal.SIGUSR2)),
    ("signal_means", "save", "save"),
    ("time_limit", "1:30:00", 5400.0),
    ("patterns", "net-{epoch:02d}.bin", ["net-{epoch:02d}.bin"]),
    ("seal", "off", "off"),
    ("stall_timeout", "off", None),
    ("backup_to", "s3://bucket/runs/", "s3://bucket/runs"),
    ("backup_every", "30m", 1800.0),
    ("keep_copies", "0", 0),
    ("on_resume", "--resume '{resume_from}'", ["--resume", "{resume_from}"]),
    ("resume_at", "1200", 1200),
    ("from_ref", "digits@120", "digits@120"),
    ("fresh", "yes", True),
    ("changed", "yes", True),
    ("again", "yes", True),
    ("done_when", "step>=2000", config.DoneWhen(kind="step", number=2000)),
    ("restart_by", "self", "self"),
    ("max_failures", "7", 7),
    ("preempt_exit_code", "85", 85),
    ("child_preempt_code", "75", 75),
    ("keep_last", "3", 3),
    ("keep_first", "-1", -1),
    ("keep_best", "3:val_loss", [keeping.KeepBest(count=3, metric="val_loss")]),
    ("keep_every", "1000", [keeping.KeepEvery(kind="steps", amount=1000, text="1000")]),
    ("keep_within", "2d", 172800.0),
    ("keep_hourly", "24", 24),
    ("keep_daily", "7", 7),
    ("keep_weekly", "4", 4),
    ("keep_monthly", "12", 12),
    ("keep_yearly", "2", 2),
    ("keep_permanent", "yes", True),
    ("without_metric", "remove", "remove"),
    ("max_bytes", "10k", 10240),
    ("until_free", "10k", 10240),
    ("thin", "yes", True),
    ("tracker_ids", "no", False),
    ("catch_requeue", "no", False),
    ("dry_run", "yes", True),
    ("json", "yes", True),
    ("quiet", "1", 1),
    ("verbose", "2", 2),
]
WITH_PATHS = {"root", "chdir", "data", "config"}  # have tests of their own


def in_file(key, text):
    """The lines of a YAML file that say so; the value is double-quoted."""
    group, _, name = key.in_file.rpartition(".")
    value = msgspec.json.encode(text).decode()
    return f"{group}:\n  {name}: {value}\n" if group else f"{name}: {value}\n"


def load(cwd, options=None, environ=None):
    return config.load(options or {}, environ or {}, str(cwd))


def mistakes(cwd, options=None, environ=None, error=errors.ConfigError):
    with pytest.raises(error) as caught:
        load(cwd, options, environ)
    return caught.value.message


def test_every_key_is_tested():
    assert {name for name, _, _ in EACH} | WITH_PATHS == set(keys.KEYS)
    assert set(config.Config.__struct_fields__) == {*keys.KEYS, "sources"}


@pytest.mark.parametrize(("name", "text", "value"), EACH)
def test_an_option(tmp_path, name, text, value):
    if not keys.KEYS[name].option:
        pytest.skip("it has no option")
    loaded = load(tmp_path, {name: text})
    assert getattr(loaded, name) == value
    assert loaded.sources[name] == f"option {keys.KEYS[name].option}"
    assert loaded.given(name)


@pytest.mark.parametrize(("name", "text", "value"), EACH)
def test_a_variable(tmp_path, name, text, value):
    variable = keys.KEYS[name].variable
    assert variable.startswith("CKPTRUN_TRAIN_")
    loaded = load(tmp_path, {}, {variable: text})
    assert getattr(loaded, name) == value
    assert loaded.sources[name] == f"environment {variable}"


@pytest.mark.parametrize(("name", "text", "value"), EACH)
def test_a_line_in_the_file(tmp_path, name, text, value):
    key = keys.KEYS[name]
    write_files(tmp_path, {"ckptrun.yaml": "# mine\n" + in_file(key, text)})
    if key.why_not_in_file:
        told = mistakes(tmp_path)
        assert told.startswith(f"ckptrun.yaml:2:1: {key.in_file} may not stand in a file: ")
        assert key.option in told
        assert key.variable in told
        return
    loaded = load(tmp_path)
    assert getattr(loaded, name) == value
    assert loaded.sources[name] == f"ckptrun.yaml:{3 if '.' in key.in_file else 2}"
    assert loaded.config == "ckptrun.yaml"


def test_option_wins_over_variable_over_file_over_strategy_over_default(tmp_path):
    layers = [
        ({"every": "1"}, "1", "option --every"),
        ({}, "2", "environment CKPTRUN_TRAIN_EVERY"),
        ({}, "3", "ckptrun.yaml:2"),
        ({}, "30m", "strategy long"),
        ({}, "10m", "strategy normal"),
    ]
    environ = {"CKPTRUN_TRAIN_EVERY": "2"}
    for number, (options, value, source) in enumerate(layers):
        write_files(
            tmp_path, {"ckptrun.yaml": ("strategy: long\n" if number < 4 else "\n") + ("every: 3\n" if number < 3 else "")}
        )
        loaded = load(tmp_path, options, environ if number < 2 else {})
        assert (loaded.every, loaded.sources["every"]) == (value, source)
        assert loaded.given("every") == (number < 3)


def test_an_empty_variable_is_no_variable(tmp_path):
    assert load(tmp_path, {}, {"CKPTRUN_TRAIN_GRACE": "", "CKPTRUN_ROOT": ""}).sources["grace"] == "default"


def test_a_start_that_says_nothing(tmp_path):
    loaded = load(tmp_path)
    assert (loaded.strategy, loaded.every, loaded.max_failures) == ("normal", "10m", 3)
    assert loaded.root == str(tmp_path / "runs")
    assert loaded.config is None
    assert loaded.data == []
    assert loaded.save_signal == signal.SIGUSR1
    assert loaded.preempt_exit_code == 75
    assert loaded.tracker_ids
    assert (loaded.grace, loaded.restart_by, loaded.stall_timeout, loaded.time_limit) == (None,) * 4
    assert not any(loaded.given(name) for name in keys.KEYS)


def test_lists_of_two_starts_are_not_one_list(tmp_path):
    load(tmp_path).data.append("x")
    assert load(tmp_path).data == []


@pytest.mark.parametrize(("quiet", "verbose", "verbosity"), [("0", "0", 0), ("1", "0", -1), ("0", "2", 2), ("1", "2", 1)])
def test_quiet_and_verbose_are_one_number(tmp_path, quiet, verbose, verbosity):
    assert load(tmp_path, {"quiet": quiet, "verbose": verbose}).verbosity == verbosity


# --- directories -------------------------------------------------------------------------------------------------------
def test_a_root_in_the_file_starts_from_the_file_and_others_from_the_caller(tmp_path):
    write_files(tmp_path, {"settings/mine.yaml": "root: ../shared\nchdir: src\n", "settings/src/x": "", "work/src/x": ""})
    work = tmp_path / "work"
    there = load(work, {"config": "../settings/mine.yaml"})
    assert there.root == str(tmp_path / "shared")
    assert there.chdir == str(tmp_path / "settings" / "src")
    assert there.sources["root"] == "../settings/mine.yaml:1"
    assert load(work, {"root": "mine", "chdir": "src"}).root == str(work / "mine")
    assert load(work, {"chdir": "src"}).chdir == str(work / "src")


def test_the_root_has_a_variable_for_all_verbs_and_a_stronger_one_of_its_own(tmp_path):
    both = {"CKPTRUN_ROOT": "a", "CKPTRUN_TRAIN_ROOT": "b"}
    assert load(tmp_path, {}, {"CKPTRUN_ROOT": "a"}).root == str(tmp_path / "a")
    assert load(tmp_path, {}, {"CKPTRUN_ROOT": "a"}).sources["root"] == "environment CKPTRUN_ROOT"
    assert load(tmp_path, {}, both).root == str(tmp_path / "b")
    assert load(tmp_path, {"root": "c"}, both).root == str(tmp_path / "c")


def test_mounts_are_a_list_in_the_file_and_a_quoted_line_in_the_variable(tmp_path):
    write_files(tmp_path, {"ckptrun.yaml": "data: [../mnist:mnist, 'a b:c']\n", "one.yaml": "data: x:y\n"})
    assert load(tmp_path).data == ["../mnist:mnist", "a b:c"]
    assert load(tmp_path, {"config": "one.yaml"}).data == ["x:y"]
    assert load(tmp_path, {}, {"CKPTRUN_TRAIN_DATA": "p:q 'r s:t'"}).data == ["p:q", "r s:t"]
    assert load(tmp_path, {"data": ("u:v",)}).data == ["u:v"]  # given again, not added


def test_the_file_is_the_one_that_is_named(tmp_path, weird_path):
    write_files(tmp_path, {"ckptrun.yaml": "grace: 1", "other.yaml": "grace: 2"})
    write_files(weird_path, {"ckptrun.yaml": "grace: 3\nroot: r"})
    assert load(tmp_path).grace == 1
    assert load(tmp_path, {}, {"CKPTRUN_TRAIN_CONFIG": "other.yaml"}).grace == 2
    assert load(tmp_path, {"config": str(weird_path / "ckptrun.yaml")}, {"CKPTRUN_TRAIN_CONFIG": "other.yaml"}).grace == 3
    assert load(weird_path).root == str(weird_path / "r")


def test_a_file_that_is_named_must_be_there(tmp_path):
    write_files(tmp_path, {"train.yaml": ""})
    told = mistakes(tmp_path, {"config": "trian.yaml"}, error=errors.UsageError)
    assert told == "--config: no such file: 'trian.yaml'; did you mean 'train.yaml'?"
    told = mistakes(tmp_path, {}, {"CKPTRUN_TRAIN_CONFIG": "nowhere/x.yaml"})
    assert told == "environment CKPTRUN_TRAIN_CONFIG: no such file: 'nowhere/x.yaml'"


def test_a_file_that_cannot_be_read_is_no_missing_file(tmp_path):
    (tmp_path / "ckptrun.yaml").mkdir()
    assert mistakes(tmp_path) == "ckptrun.yaml cannot be read: Is a directory"
    (tmp_path / "ckptrun.yaml").rmdir()
    (tmp_path / "ckptrun.yaml").symlink_to("gone.yaml")
    assert mistakes(tmp_path) == "ckptrun.yaml cannot be read: No such file or directory"


# --- the root alone, for other verbs -----------------------------------------------------------------------------------
def test_other_verbs_find_the_same_root(tmp_path):
    cwd = str(tmp_path)
    assert config.find_root(None, {}, cwd) == load(tmp_path).root
    write_files(tmp_path, {"ckptrun.yaml": "root: there\nevery: [wrong\n]\nnonsense: 1\nrestart: 5\n", "b.yaml": "root: b"})
    assert config.find_root(None, {}, cwd) == str(tmp_path / "there")  # what is wrong elsewhere is not their business
    assert config.find_root(None, {"CKPTRUN_TRAIN_CONFIG": "b.yaml"}, cwd) == str(tmp_path / "b")
    assert config.find_root(None, {"CKPTRUN_ROOT": "env"}, cwd) == str(tmp_path / "env")
    assert config.find_root("given", {"CKPTRUN_ROOT": "env"}, cwd) == str(tmp_path / "given")


@pytest.mark.parametrize("text", ["root: [", "root: [a]", "root:\n", "- root"])
def test_other_verbs_do_not_guess_a_root(tmp_path, text):
    write_files(tmp_path, {"ckptrun.yaml": text})
    with pytest.raises(errors.ConfigError):
        config.find_root(None, {}, str(tmp_path))


# --- mistakes ----------------------------------------------------------------------------------------------------------
def test_all_mistakes_are_told_at_once_each_with_its_place(tmp_path):
    write_files(
        tmp_path,
        {
            "ckptrun.yaml": "grase: 90s\nstrategy: lang\nrestart:\n  by: schedular\n  max_failure: 3\nevery:\n  - 10m\nfresh: yes\n"
        },
    )
    told = mistakes(tmp_path, {}, {"CKPTRUN_TRAIN_GRACE": "soon", "CKPTRUN_TRAIN_EVRY": "20"})
    assert told.split("\n       ") == [
        "environment CKPTRUN_TRAIN_EVRY: there is no such setting; did you mean 'CKPTRUN_TRAIN_EVERY'?",
        "environment CKPTRUN_TRAIN_GRACE: 'soon' is not a duration; write for instance 90s, 10m or 1h30m",
        "ckptrun.yaml:1:1: unknown setting 'grase'; did you mean 'grace'?",
        "ckptrun.yaml:2:11: strategy: 'lang' is not short, normal or long; did you mean 'long'?",
        "ckptrun.yaml:4:7: restart.by: 'schedular' is not scheduler, self or exit; did you mean 'scheduler'?",
        "ckptrun.yaml:5:3: unknown setting 'restart.max_failure'; did you mean 'restart.max_failures'?",
        "ckptrun.yaml:7:3: every takes one value, not a list; write for instance `every: 10m`",
        "ckptrun.yaml:8:1: fresh may not stand in a file: it is about one start only: give it as --fresh or as CKPTRUN_TRAIN_FRESH",
    ]


def test_a_wrong_option_is_a_usage_error_that_tells_the_rest_too(tmp_path):
    write_files(tmp_path, {"ckptrun.yaml": "grase: 1"})
    told = mistakes(tmp_path, {"max_failures": "many", "grace": "x", "every": "0"}, error=errors.UsageError)
    assert told.split("\n") == [
        "--max-failures: 'many' is not a whole number; write for instance --max-failures 3",
        "--grace: 'x' is not a duration; write for instance 90s, 10m or 1h30m",
        "--every: '0': the cadence must be at least 1; write for instance --every 10m",
        "ckptrun.yaml:1:1: unknown setting 'grase'; did you mean 'grace'?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_failures: 3", "ckptrun.yaml:1:1: unknown setting 'max_failures'; write it as `restart: {max_failures: 3}`"),
        ("restart_by: exit", "ckptrun.yaml:1:1: unknown setting 'restart_by'; write it as `restart: {by: exit}`"),
        ("save-signal: USR2", "ckptrun.yaml:1:1: unknown setting 'save-signal'; write it as `save_signal: USR1`"),
        ("dry-run: yes", ("ckptrun.yaml:1:1: dry-run may not stand in a file: it is about one start only: give it as --dry-run or as "
         "CKPTRUN_TRAIN_DRY_RUN")),
        ("restart: exit", "ckptrun.yaml:1:10: restart takes lines like `restart: {by: exit}`"),
        ("restart:\n  every: 10m", "ckptrun.yaml:2:3: unknown setting 'restart.every'; write it as `every: 10m`"),
        ("grace:", "ckptrun.yaml:1:7: grace has no value; write for instance `grace: 90s`"),
        ("grace: {a: b}", "ckptrun.yaml:1:8: grace takes one value, not a mapping; write for instance `grace: 90s`"),
        ("data: [a:b, [c]]", "ckptrun.yaml:1:13: data takes texts, not a list; write for instance `data: [../mnist:mnist]`"),
        ("data: {a: b}", "ckptrun.yaml:1:7: data takes texts, not a mapping; write for instance `data: [../mnist:mnist]`"),
        ("grace: 1\ngrace: 2", "ckptrun.yaml:2:1: grace stands here again; it was set in line 1"),
        ("tracker_ids: perhaps", "ckptrun.yaml:1:14: tracker_ids: 'perhaps' is neither yes nor no; write for instance `tracker_ids: no`"),
        ("- grace", "ckptrun.yaml:1:1: the file should hold lines like `run: digits`"),
        ("just words", "ckptrun.yaml:1:1: the file should hold lines like `run: digits`"),
        ("run: !!python/object:os.system x", ("ckptrun.yaml:1:6: run cannot be !!python/object:os.system: only plain values are read; write "
         "for instance `run: digits`")),
        ("run: !mine x", "ckptrun.yaml:1:6: run cannot be !mine: only plain values are read; write for instance `run: digits`"),
        ("? [a]\n: b", "ckptrun.yaml:1:3: a setting's name is one word"),
        ("grace: 1\n\tevery: 2", "ckptrun.yaml:2:1: this is not YAML: found character '\\t' that cannot start any token"),
        ("grace: [1", "ckptrun.yaml:1:10: this is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n---\nb: 2", "ckptrun.yaml:2:1: this is not YAML: but found another document"),
        ("run: *nobody", "ckptrun.yaml:1:6: this is not YAML: found undefined alias 'nobody'"),
        ("run: a\nroot: b\x07", "ckptrun.yaml:2:8: character '\\x07' is not allowed in YAML"),
        (b"run: a\nroot: \xff", "ckptrun.yaml:2:7: byte 0xff is not UTF-8"),
        ("run: " + "[" * 5000, "ckptrun.yaml: it is nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file(tmp_path, text, told):
    write_files(tmp_path, {"ckptrun.yaml": text})
    assert mistakes(tmp_path) == told


@pytest.mark.parametrize(
    ("options", "environ", "first", "second"),
    [
        ({"fresh": "yes", "from_ref": "other"}, {}, "--fresh", "--from"),
        ({"fresh": "yes", "resume_at": "3"}, {}, "--fresh", "--resume-at"),
        ({"from_ref": "other"}, {"CKPTRUN_TRAIN_RESUME_AT": "0"}, "--from", "environment CKPTRUN_TRAIN_RESUME_AT"),
    ],
)
def test_two_beginnings_contradict_each_other(tmp_path, options, environ, first, second):
    told = mistakes(tmp_path, options, environ, errors.UsageError)
    assert told == f"{first} and {second} contradict each other: each says where to begin"


# --- what YAML would make of it ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("run: 0123", "run", "0123"),
        ("run: 2024-01-01", "run", "2024-01-01"),
        ("run: no", "run", "no"),
        ("run: 1e3", "run", "1e3"),
        ("time_limit: 1:30:00", "time_limit", 5400.0),
        ("time_limit: 10:00", "time_limit", 600.0),
        ("time_limit: 1-02:00:00", "time_limit", 93600.0),
        ("grace: 1.5", "grace", 1.5),
        ("every: 20", "every", "20"),
        ("stall_timeout: off", "stall_timeout", None),
        ("tracker_ids: off", "tracker_ids", False),
        ("on_resume: --resume {resume_from}", "on_resume", ["--resume", "{resume_from}"]),
        ("on_resume: |\n  --resume\n  --verbose\n", "on_resume", ["--resume", "--verbose"]),
        ("on_resume: ''", "on_resume", []),
        ("done_when: file:out/model.pt", "done_when", config.DoneWhen(kind="file", path="out/model.pt")),
        ("save_signal: 12", "save_signal", 12),
        ("run: &name digits\ndata: [*name]", "data", ["digits"]),
        ("\ufeffgrace: 3", "grace", 3.0),
        ("", "grace", None),
        ("# nothing\n---\n", "grace", None),
        ("restart:\n", "restart_by", None),
        ("restart: {by: self, max_failures: 0}", "max_failures", 0),
    ],
)
def test_a_value_means_what_is_written(tmp_path, text, name, value):
    write_files(tmp_path, {"ckptrun.yaml": text})
    assert getattr(load(tmp_path), name) == value


PIECES = [
    *keys.BY_PATH,
    "restart",
    "by",
    "90s",
    "yes",
    "*a",
    "&a ",
    "!!set ",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "\n",
    "\n  ",
    "- ",
    "'",
    '"',
    "#",
    "|",
    "? ",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.lists(strategies.sampled_from(PIECES) | strategies.text(max_size=3)).map("".join))
def test_any_file_is_a_config_or_sentences(tmp_path, text):
    (tmp_path / "ckptrun.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(errors.CkptrunError):
        load(tmp_path)
    with contextlib.suppress(errors.ConfigError):
        config.find_root(None, {}, str(tmp_path))


# --- explain -----------------------------------------------------------------------------------------------------------
def test_every_setting_of_a_run_can_be_explained(tmp_path):
    write_files(tmp_path, {"ckptrun.yaml": "restart:\n  by: self\n"})
    environ = {"CKPTRUN_TRAIN_SAVE_SIGNAL": "12"}
    told = load(tmp_path, {"grace": "1m30s", "done_when": "step>=9", "dry_run": "yes"}, environ).explain()
    rows = {name: (value, source) for name, value, source in told}
    assert rows["grace"] == ("90s", "option --grace")
    assert rows["done_when"] == ("step>=9", "option --done-when")
    assert rows["save_signal"] == ("SIGUSR2", "environment CKPTRUN_TRAIN_SAVE_SIGNAL")
    assert rows["restart.by"] == ("self", "ckptrun.yaml:2")
    assert rows["restart.max_failures"] == (3, "strategy normal")
    assert rows["time_limit"] == ("the scheduler's, if it has one", "default")
    assert set(rows) == set(keys.BY_PATH) - {"config", "dry_run", "json", "quiet", "verbose"}
    assert msgspec.json.encode(told)


def test_a_backup_s_place_is_absolute_and_its_password_is_not_told(tmp_path):
    write_files(tmp_path, {"sub/mine.yaml": "backup: {to: ../safe}\n"})
    assert load(tmp_path, {"config": "sub/mine.yaml"}).backup_to == str(tmp_path / "safe")
    loaded = load(tmp_path, {"backup_to": "sftp://ana:secret@nas/x?token=secret"})
    assert loaded.backup_to == "sftp://ana:secret@nas/x?token=secret"
    assert {name: value for name, value, _ in loaded.explain()}["backup.to"] == "sftp://***@nas/x?***"


def test_a_signal_without_a_name_is_its_number(tmp_path):
    rows = {name: value for name, value, _ in load(tmp_path, {"save_signal": "37"}).explain()}
    assert rows["save_signal"] == "37"


def test_what_is_explained_may_be_written_in_a_file_and_means_the_same(tmp_path):
    loaded = load(
        tmp_path, {"grace": "1m30s", "done_when": "epoch>=1.5", "stall_timeout": "600", "every": "2 epochs", "chdir": "."}
    )
    for name, value, _ in loaded.explain():
        key = keys.BY_PATH[name]
        if value is not None and value != key.unset and not key.many and key.name != "on_resume":
            assert key.kind(str(value), str(tmp_path)) == getattr(loaded, key.name)


def test_examples_are_valid(tmp_path):
    (tmp_path / "src").mkdir()
    for key in keys.KEYS.values():
        example = key.example.strip("'") if key.name == "done_when" else key.example
        key.kind(example, str(tmp_path))
        if not key.why_not_in_file:
            write_files(tmp_path, {"ckptrun.yaml": key.line})
            assert load(tmp_path).sources[key.name] == "ckptrun.yaml:1"


def test_the_names_agree_with_the_shared_ones():
    assert keys.KEYS["root"].extra_variable == names.ENV_ROOT == "CKPTRUN_ROOT"
    assert config.load({}, {}, os.sep).every == names.DEFAULT_EVERY
