import io

import pytest

from ckptrun.report import working
from ckptrun.report.paper import Paper


def pages():
    return Paper(io.StringIO(), terminal=True, width=60), Paper(io.StringIO(), terminal=False)


def test_short_work_shows_nothing():
    for page in pages():
        assert list(working.over(range(5), "looking", page)) == [0, 1, 2, 3, 4]
        with working.busy("looking", page):
            pass
        assert page.stream.getvalue() == ""


def test_long_work_shows_how_far_it_is_where_somebody_looks():
    terminal, pipe = pages()
    times = iter([0.0, 0.5, 2.0])
    assert list(working.over("abc", "looking at runs", terminal, monotonic=lambda: next(times, 3.0))) == ["a", "b", "c"]
    assert "looking at runs" in terminal.stream.getvalue()
    assert "2/3" in terminal.stream.getvalue()
    assert list(working.over("abc", "looking at runs", pipe, patience=0)) == ["a", "b", "c"]
    assert pipe.stream.getvalue() == ""


def test_work_of_unknown_length_shows_that_it_goes_on():
    import threading

    terminal, pipe = pages()
    shown = threading.Event()
    write = terminal.stream.write
    terminal.stream.write = lambda text: (write(text), shown.set())[0]
    with working.busy("looking", terminal, patience=0):
        assert shown.wait(30)
    assert "looking …" in terminal.stream.getvalue()
    with working.busy("looking", pipe, patience=0):
        pass
    assert pipe.stream.getvalue() == ""


def test_it_is_cleared_away_after_an_error():
    terminal, _ = pages()
    with pytest.raises(ValueError, match="no"), working.busy("looking", terminal, patience=0):
        raise ValueError("no")
    each = working.over(range(3), "looking", terminal, patience=0)
    next(each)
    each.close()
    assert "\x1b[2K" in terminal.stream.getvalue()  # the line is erased
