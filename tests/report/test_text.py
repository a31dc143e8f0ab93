import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun.report.text import escape, some

PRINTED = [
    ("plain-name_1.pt", "plain-name_1.pt"),
    ("mit Leerzeichen und 'Strichen'", "mit Leerzeichen und 'Strichen'"),
    ("größe 模型 🚀", "größe 模型 🚀"),
    ("red\x1b[31m", "red\\x1b[31m"),
    ("two\nlines\r\tand a tab", "two\\nlines\\r\\tand a tab"),
    ("csi\x9b2J", "csi\\x9b2J"),
    ("turned \u202egpj.exe", "turned \\u202egpj.exe"),
    ("isolated \u2066x\u2069", "isolated \\u2066x\\u2069"),
    ("para\u2029graph", "para\\u2029graph"),
    (os.fsdecode(b"caf\xe9.pt"), "caf\\xe9.pt"),
    ("half\ud800", "half\\ud800"),
    ("", ""),
]


@pytest.mark.parametrize(("given", "shown"), PRINTED)
def test_what_is_printed_is_visible(given, shown):
    assert escape(given) == shown


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = escape(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in shown)
    shown.encode()


def test_lines_may_be_kept_and_nothing_else():
    assert escape("a\nb\x1b", keep_lines=True) == "a\nb\\x1b"


def test_counting():
    assert [some(1, "file"), some(2, "file"), some(0, "try", "tries"), some(10000, "run")] == [
        "1 file",
        "2 files",
        "0 tries",
        "10,000 runs",
    ]
