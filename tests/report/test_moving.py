"""How far bytes have moved, said in lines where nobody looks at a terminal."""

from __future__ import annotations

import io

from ckptrun.report import moving, paper


def test_a_line_now_and_then_and_none_for_what_is_quick():
    said, now = [], [0.0]
    page = paper.paper(io.StringIO(), {})
    with moving.moving("step-7", 1000, page, said.append, monotonic=lambda: now[0], every=10) as tell:
        tell(100)
        now[0] = 10.0
        tell(100)
        tell(100)
        now[0] = 20.0
        tell(100)
    assert said == ["step-7: 200 B of 1.0 kB, 20 B/s, 40 s left", "step-7: 400 B of 1.0 kB, 20 B/s, 30 s left"]


def test_nothing_is_known_of_the_rest_before_anything_moved():
    assert moving.line("x", 0, 10, 0.0) == "x: 0 B of 10 B, 0 B/s"
