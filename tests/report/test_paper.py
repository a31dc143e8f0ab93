import io
import os
import pty

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ckptrun.report.cells import Column
from ckptrun.report.paper import Paper, paper

COLUMNS = (
    Column("run"),
    Column("state"),
    Column("attempts", right=True, spare=1),
    Column("epoch", right=True),
    Column("size", right=True, spare=2),
    Column("outcome", words=True),
)
ROWS = [
    ("digits-3f9a1c", ("running", "green"), "3", "", "12 MB", ""),
    (
        "a-much-longer-name-of-a-run",
        "ended",
        "12",
        "",
        "1.2 GB",
        "preempted: SIGTERM, answered by a checkpoint; the command ended with 143",
    ),
    ("模型\x1b[31m", ("ended", "red"), "1", "", "", "failed"),
]


def drawn(width, columns=COLUMNS, rows=ROWS, **options):
    stream = io.StringIO()
    Paper(stream, terminal=True, width=width, **options).table(columns, rows)
    return stream.getvalue()


def piped(draw):
    stream = io.StringIO()
    draw(Paper(stream, terminal=False))
    return stream.getvalue()


WIDE = r"""
run                          state    attempts    size  outcome
digits-3f9a1c                running         3   12 MB
a-much-longer-name-of-a-run  ended          12  1.2 GB  preempted: SIGTERM, answered by a checkpoint; the command ended with 143
模型\x1b[31m                 ended           1          failed
"""
MIDDLE = r"""
run                          state    attempts    size  outcome
digits-3f9a1c                running         3   12 MB
a-much-longer-name-of-a-run  ended          12  1.2 GB  preempted: SIGTERM,
                                                        answered by a checkpoint;
                                                        the command ended with 143
模型\x1b[31m                 ended           1          failed
"""
NARROW = r"""
run                          state    attempts    size
digits-3f9a1c                running         3   12 MB
a-much-longer-name-of-a-run  ended          12  1.2 GB
    preempted: SIGTERM, answered by a checkpoint; the
    command ended with 143
模型\x1b[31m                 ended           1
    failed
"""
TINY = r"""
run                    state
digits-3f9a1c          running
a-much-longer-name-of  ended
-a-run
    preempted: SIGTERM,
    answered by a checkpoint;
    the command ended with 143
模型\x1b[31m           ended
    failed
left out at this width:
attempts, size
"""


@pytest.mark.parametrize(("width", "expected"), [(200, WIDE), (82, MIDDLE), (60, NARROW), (30, TINY)])
def test_a_table_on_a_terminal(width, expected):
    assert drawn(width) == expected.lstrip("\n")


def test_a_table_in_a_pipe_is_whole_and_tab_separated():
    lines = piped(lambda page: page.table(COLUMNS, ROWS)).splitlines()
    assert [line.split("\t") for line in lines] == [
        ["run", "state", "attempts", "epoch", "size", "outcome"],
        ["digits-3f9a1c", "running", "3", "", "12 MB", ""],
        ["a-much-longer-name-of-a-run", "ended", "12", "", "1.2 GB", ROWS[1][5]],
        ["模型\\x1b[31m", "ended", "1", "", "", "failed"],
    ]


def test_colour_only_where_it_is_wanted():
    assert "\x1b[32mrunning" in drawn(80, colour=True)
    assert "\x1b" not in drawn(80, colour=False)


CELL = st.text(max_size=40)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5), width=st.integers(40, 120))
def test_no_line_is_wider_than_the_terminal_and_no_letter_is_lost(rows, width):
    columns = (Column("a"), Column("b", right=True), Column("c", words=True))
    text = drawn(width, columns, rows)
    assert max((cell_len(line) for line in text.splitlines()), default=0) <= width
    for row in rows:
        for cell in row:
            assert set("".join(c for c in cell if c.isascii() and c.isalnum())) <= set(text)


def test_pairs_leave_out_what_is_empty():
    pairs = [("command", "python train.py"), ("epoch", ""), ("state", ("complete", "green"))]
    assert piped(lambda page: page.pairs(pairs)) == "command\tpython train.py\nstate\tcomplete\n"
    stream = io.StringIO()
    Paper(stream, terminal=True, width=60).pairs(pairs)
    assert stream.getvalue() == "command  python train.py\nstate    complete\n"


def test_words_wrap_under_their_beginning():
    stream = io.StringIO()
    Paper(stream, terminal=True, width=24).line("several words that do not fit", indent=2)
    assert stream.getvalue() == "  several words that do\n  not fit\n"


@pytest.mark.parametrize(
    ("environ", "colour", "width"),
    [
        ({"TERM": "xterm"}, True, 80),
        ({"TERM": "xterm", "COLUMNS": "60"}, True, 60),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, 80),
        ({"TERM": "dumb"}, False, 80),
        ({}, True, 80),
    ],
)
def test_what_a_terminal_is_given(environ, colour, width):
    ours, theirs = pty.openpty()
    try:
        with os.fdopen(theirs, "w") as stream:
            page = paper(stream, environ)
            assert (page.terminal, page.colour, page.width) == (True, colour, width)
    finally:
        os.close(ours)


def test_a_pipe_is_plain_whatever_the_environment_says(tmp_path):
    with open(tmp_path / "out", "w", encoding="latin-1") as stream:
        page = paper(stream, {"TERM": "xterm", "FORCE_COLOR": "1", "COLUMNS": "20"})
        page.table((Column("name"),), [("größe 模型",)])
        assert not page.terminal
    assert (tmp_path / "out").read_bytes() == b"name\ngr\xf6\xdfe \\u6a21\\u578b\n"
