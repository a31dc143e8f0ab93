"""Every --help, whole, against a committed record, for a terminal of 80 columns and a wide one.

To renew the records after a change that was meant: RENEW_HELP=1 pytest tests/cli/test_help.py, then read the difference.
"""

from __future__ import annotations

import os

import pytest
from support import run_ckptrun

from ckptrun import cli

GOLDEN = os.path.join(os.path.dirname(__file__), "golden")
RENEW = "to renew it: RENEW_HELP=1 pytest tests/cli/test_help.py, then read the difference"


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("verb", ["", *cli.VERBS])
def test_help_is_as_it_was_written(tmp_path, verb, columns):
    done = run_ckptrun(*([verb] if verb else []), "--help", cwd=tmp_path, env={"COLUMNS": str(columns)})
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= min(columns, 100)
    path = os.path.join(GOLDEN, f"{verb or 'ckptrun'}-{columns}.txt")
    if os.environ.get("RENEW_HELP"):
        with open(path, "w", encoding="utf-8") as record:
            record.write(done.stdout)
    if not os.path.exists(path):
        pytest.fail(f"there is no record {path}; {RENEW}")
    with open(path, encoding="utf-8") as record:
        assert done.stdout == record.read(), RENEW


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_has_examples_and_exit_codes(tmp_path, verb):
    told = run_ckptrun(verb, "--help", cwd=tmp_path).stdout
    assert f"ckptrun {verb}" in told.split("Examples:")[1]
    assert "\n  0  " in told.split("Exit codes:")[1]
    assert "\n  2  " in told.split("Exit codes:")[1]


def test_no_record_is_left_over():
    expected = {f"{verb}-{columns}.txt" for verb in ("ckptrun", *cli.VERBS) for columns in (80, 200)}
    assert set(os.listdir(GOLDEN)) == expected
