"""The README's tables against the code: a variable, a code or a key that exists is in them, and what is in them exists."""

from __future__ import annotations

import os
import re

import support

from ckptrun import config, names
from ckptrun.cli import VERBS
from ckptrun.layouts import catalogue


def section(heading):
    with open(os.path.join(support.REPO, "README.md"), encoding="utf-8") as file:
        text = file.read()
    return re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def rows(heading):
    """The first cells of the section's tables, without the heads."""
    cells = [line.split("|")[1].strip() for line in section(heading).splitlines() if line.startswith("|")]
    return [cell for number, cell in enumerate(cells) if not cell.startswith("---") and not _is_head(cells, number)]


def _is_head(cells, number):
    return number + 1 < len(cells) and cells[number + 1].startswith("---")


def test_every_variable_that_a_script_is_given():
    assert set(re.findall(r"`(CKPTRUN\w*)`", " ".join(rows("The environment")))) == set(names.CHILD_ENV)


def test_every_exit_code():
    told = {int(code) for cell in rows("Outcomes and exit codes") for code in re.findall(r"\d+", cell) if code != "128"}
    assert told == {names.EXIT_OK, *names.OWN_CODES}


def test_every_outcome():
    text = section("Outcomes and exit codes")
    assert [outcome for outcome in names.OUTCOMES if outcome not in text] == []


def test_every_key_of_the_file():
    told = {name.strip("`") for cell in rows("Settings") for name in cell.split(", ")}
    assert told == {key.in_file for key in config.KEYS.values() if not key.not_in_file}


def test_every_verb_is_spoken_of():
    with open(os.path.join(support.REPO, "README.md"), encoding="utf-8") as file:
        text = file.read()
    assert [verb for verb in VERBS if f"ckptrun {verb}" not in text] == []


def test_every_layout():
    assert sorted(rows("Layouts")) == sorted(layout.title for layout in (catalogue.OWN, *catalogue.frameworks()))


def test_every_room_is_on_the_map():
    text = section("Map of the code")
    there = {
        entry for entry in os.listdir(os.path.join(support.REPO, "ckptrun")) if not entry.startswith(("__", "py.typed"))
    }
    assert sorted(room for room in there if not re.search(rf"^ .*\b{re.escape(room)}", text, re.MULTILINE)) == []
