"""run.yaml and attempt.json: read by people, by YAML readers and by the next start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import support
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ckptrun import errors, units
from ckptrun.model import AttemptRecord, Learned, Setting
from ckptrun.runs import documents, paths, records

RECORD = records.RunRecord(
    run="digits",
    created="2026-11-20T18:11:47.000Z",
    command=["train.py", "--name", 'it\'s "weird": #1\n\t- [x]', "{checkpoint_dir}"],
    cwd="/home/ana/äöü 目 \x7f\x85\u2028\ufeff😀",
    parent="other/checkpoints/step-00000120",
    tracker_ids={"WANDB_RUN_ID": "abc"},
    settings={
        "every": Setting(value="10m", source="default"),
        "grace": Setting(value=90.0, source="ckptrun.yaml:3"),
        "data": Setting(value=["a:b", "c:d"], source="option --data"),
        "odd: key": Setting(value=None, source=""),
        "restart.by": Setting(value={"x": [1, {"y": True}]}, source="default"),
    },
)


def test_run_yaml_is_read_as_it_was_written(run):
    records.write_run(run, RECORD)
    assert records.read_run(run) == RECORD


def test_run_yaml_is_yaml_and_begins_with_what_it_is(run):
    records.write_run(run, RECORD)
    text = Path(run.run_yaml).read_text(encoding="utf-8")
    assert text.startswith("# A run of ckptrun: ")
    assert yaml.safe_load(text) == msgspec.to_builtins(RECORD)
    assert '\n  grace: {"value":90.0,"source":"ckptrun.yaml:3"}\n' in text


def test_run_yaml_is_read_without_a_yaml_library(run):
    records.write_run(run, RECORD)
    script = (
        "import sys\nfrom ckptrun.runs import paths, records\n"
        "print(records.read_run(paths.RunPaths(dir=sys.argv[1])).run, 'yaml' in sys.modules)"
    )
    assert support.run([sys.executable, "-c", script, run.dir], cwd="/").stdout == "digits False\n"


def test_a_run_yaml_that_somebody_rewrote_by_hand_is_still_read(run):
    with open(run.run_yaml, "w") as file:
        file.write(yaml.safe_dump(msgspec.to_builtins(RECORD)))
    assert records.read_run(run) == RECORD


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN_FLOATS = st.floats(-1e9, 1e9).map(lambda x: round(x, 3))  # YAML 1.1 readers take 1e16 for a text
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | PLAIN_FLOATS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=5,
)


@given(
    st.builds(
        records.RunRecord,
        run=TEXT,
        command=st.lists(TEXT),
        cwd=TEXT,
        tracker_ids=st.dictionaries(TEXT, TEXT),
        settings=st.dictionaries(TEXT, st.builds(Setting, value=VALUES, source=TEXT)),
    )
)
def test_whatever_a_record_holds_it_comes_back_and_is_yaml(record):
    data = records.encode_run(record)
    assert records.decode_run(data, "run.yaml") == record
    assert yaml.safe_load(data) == msgspec.to_builtins(record)


def test_undecodable_bytes_are_escaped_and_the_rest_is_kept(run):
    records.write_run(run, msgspec.structs.replace(RECORD, command=["a\udcff.py"]))
    assert records.read_run(run).command == ["a\\xff.py"]
    assert documents.readable(["a\udcff.py"]) == ["a\\xff.py"]  # what to compare with


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "does not say which format it is"),
        (b'format: 1\nrun: "x', "is damaged"),
        (b"format: 1\nrun: [1\n", "is damaged"),
        (b"run: x\n", "does not say which format it is"),
        (b"format: 2\nrun: x\nnews: {}\n", "was written by a later version of ckptrun (format 2;"),
        (b"format: 1\nrun: 3\n", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"a: &a [*a]\n", "is damaged"),
        (b"format: !!python/object/apply:os.system ['true']\n", "is damaged"),
        (b"  orphan: 1\n", "does not say which format it is"),
        (b"[" * 5000, "is damaged"),
        (b"2026-01-01: x\n", "does not say which format it is"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_path_and_code_74(run, body, why):
    with open(run.run_yaml, "wb") as file:
        file.write(body)
    with pytest.raises(documents.Unreadable) as caught:
        records.read_run(run)
    assert caught.value.exit_code == 74
    assert caught.value.message.startswith(run.run_yaml)
    assert why in caught.value.message
    assert "\n" not in caught.value.message


def test_what_a_later_version_added_is_passed_over(run):
    records.write_run(run, RECORD)
    with open(run.run_yaml, "a") as file:
        file.write('mood: "fine"\n')
    assert records.read_run(run) == RECORD


def test_attempts_are_read_as_they_were_written(run):
    attempt = paths.new_attempt(run, 1)
    assert records.read_attempt(attempt) is None
    record = AttemptRecord(
        attempt=1,
        attempt_id="x",
        run="digits",
        command=["a", "b"],
        outcome="preempted",
        saves=[1.5],
        learned=Learned(step=0.1),
    )
    records.write_attempt(attempt, record)
    assert records.read_attempt(attempt) == record
    assert Path(attempt.json).read_text().startswith('{\n  "format": 1,\n  "attempt": 1,')


def test_an_attempt_that_cannot_be_read_is_not_one_that_is_missing(run, tmp_path):
    attempt = paths.new_attempt(run, 1)
    os.mkdir(attempt.json)
    with pytest.raises(documents.Unreadable, match="is not a regular file"):
        records.read_attempt(attempt)
    with pytest.raises(errors.IoFailure):
        records.write_attempt(attempt, AttemptRecord(attempt=1, attempt_id="x", run="digits"))


TIMES = [
    (0.0, "1970-01-01T00:00:00.000Z"),
    (1_800_000_000.25, "2027-01-15T08:00:00.250Z"),
    (951_827_696.999, "2000-02-29T12:34:56.999Z"),
    (1_735_689_599.9996, "2025-01-01T00:00:00.000Z"),
    (4_107_542_400.0, "2100-03-01T00:00:00.000Z"),
    (-1.5, "1969-12-31T23:59:58.500Z"),
]


@pytest.mark.parametrize(("unix", "text"), TIMES)
def test_times_as_text_and_back(unix, text):
    assert records.now_text(unix) == text
    assert units.from_rfc3339(text) == pytest.approx(unix, abs=0.0006)


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000),
        ("2027-01-15t08:00:00.5z", 1_800_000_000.5),
        ("2027-01-15 10:30:00+02:30", 1_800_000_000),
        ("2027-01-15T00:00:00-08:00", 1_800_000_000),
    ],
)
def test_other_writings_of_a_time(text, unix):
    assert units.from_rfc3339(text) == unix


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2027-01-15", "2027-13-01T00:00:00Z", "2027-01-15T25:00:00Z", "2027-01-15T08:00:00"]
)
def test_what_is_not_a_time(text):
    with pytest.raises(ValueError, match="is not a time"):
        units.from_rfc3339(text)


@given(st.integers(0, 4_000_000_000))
def test_every_second_comes_back(unix):
    assert units.from_rfc3339(records.now_text(unix)) == unix


def test_records_survive_a_failed_sync(run, strace):
    """A failed fsync is not repeated and believed: the new file is thrown away, the old one stays."""
    records.write_run(run, RECORD)
    script = (
        "import sys\nfrom ckptrun.runs import paths, records\nrun = paths.RunPaths(dir=sys.argv[1])\n"
        "records.write_run(run, records.RunRecord(run='another'))"
    )
    command = [strace, "-qq", "-o", os.devnull, "-e", "inject=fsync:error=EIO:when=1", sys.executable, "-c", script, run.dir]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=support.clean_env())
    assert "IoFailure" in done.stderr
    assert records.read_run(run) == RECORD
    assert not [name for name in os.listdir(run.dir) if name.startswith(".tmp-")]
