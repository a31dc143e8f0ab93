"""Text on paper against committed records: wide and narrow terminals, and a pipe."""

import io
import os

import pytest

from ckptrun.report.paper import Paper

GOLDEN = os.path.join(os.path.dirname(__file__), "golden")
RENEW = "to renew it: RENEW_REPORT=1 pytest tests/report, then read the difference"
WIDTHS = (60, 80, 200, 0)  # 0: a pipe


@pytest.fixture(params=WIDTHS, ids=lambda width: str(width or "piped"))
def page(request):
    """A paper of each width; `page.check(name)` holds what was written on it against the record."""
    width = request.param
    stream = io.StringIO()
    drawn = Paper(stream, terminal=bool(width), width=width or 80)
    drawn.check = lambda name: _check(f"{name}-{width or 'piped'}.txt", stream.getvalue(), width)
    return drawn


def _check(name, text, width):
    path = os.path.join(GOLDEN, name)
    assert "\x1b" not in text
    if os.environ.get("RENEW_REPORT"):
        with open(path, "w", encoding="utf-8") as record:
            record.write(text)
    if not os.path.exists(path):
        pytest.fail(f"there is no record {path}; {RENEW}")
    with open(path, encoding="utf-8") as record:
        assert text == record.read(), RENEW
    assert not width or max(map(len, text.splitlines())) <= width
