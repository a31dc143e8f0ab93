import os
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wait_until

from ckptrun import names
from ckptrun.report import logs
from ckptrun.runs.paths import AttemptPaths
from ckptrun.supervise.logfile import LogFile


@pytest.fixture
def attempt(tmp_path):
    return AttemptPaths(dir=str(tmp_path), number=1)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(names, "LOG_HEAD_BYTES", 10)


def fail(text):
    raise AssertionError(text)


def writer(attempt, tail=8):
    return LogFile(attempt.dir, fail, head_bytes=10, tail_bytes=tail)


def tick(attempt):
    """Wait for the file system's clock, which may be coarse: the ring is told apart by it."""
    path = os.path.join(attempt.dir, "tick")

    def now():
        with open(path, "w") as file:
            return os.fstat(file.fileno()).st_mtime_ns

    before = now()
    wait_until(lambda: now() != before)


def whole(attempt, lines=None):
    out = []
    with closing(logs.Log(attempt)) as log:
        log.copy(out.append, lines)
    return b"".join(out)


def test_no_log_is_empty(attempt):
    assert (whole(attempt), logs.size(attempt)) == (b"", 0)


def test_a_running_log_is_read_through_its_files(attempt):
    log = writer(attempt)
    log.write(b"0123456789abcdefghij")
    assert sorted(os.listdir(attempt.dir)) == ["log.tail-0", "log.tail-1", "log.txt"]
    assert whole(attempt) == b"0123456789abcdefghij"
    assert logs.size(attempt) == 20
    log.close()
    assert whole(attempt) == b"0123456789\n[ckptrun: 2 bytes (2 B) left out here]\ncdefghij"


def test_bytes_are_not_touched(attempt):
    noise = bytes(range(256)) + b"\r 10%\r 20%\x1b[0m no newline at the end"
    log = LogFile(attempt.dir, fail)
    log.write(noise)
    log.close()
    assert whole(attempt) == noise


LINES = [
    (b"a\nb\nc\n", 2, b"b\nc\n"),
    (b"a\nb\nc", 2, b"b\nc"),
    (b"a\nb\nc\n", 9, b"a\nb\nc\n"),
    (b"a\nb\nc\n", 0, b""),
    (b"\n\n\n", 1, b"\n"),
    (b"", 3, b""),
    (b"one two three four\nfive six\nseven\n", 2, b"five six\nseven\n"),
    (b"one line over all three files", 1, b"one line over all three files"),
]


@pytest.mark.parametrize(("text", "lines", "last"), LINES)
def test_the_last_lines(attempt, text, lines, last):
    writer(attempt, tail=16).write(text)
    assert whole(attempt, lines) == last


@given(text=st.lists(st.sampled_from([b"\n", b"x", b"yyyy"]), max_size=30).map(b"".join), lines=st.integers(0, 12))
def test_the_last_lines_are_the_last_lines(tmp_path_factory, text, lines):
    attempt = AttemptPaths(dir=str(tmp_path_factory.mktemp("attempt")), number=1)
    log = writer(attempt, tail=200)
    log.write(text)
    kept = text.splitlines(keepends=True)
    assert whole(attempt, lines) == b"".join(kept[len(kept) - lines :] if lines < len(kept) else kept)
    log.close()


@pytest.mark.parametrize("sizes", [(3, 4, 5, 6), (10, 8, 8, 8, 8), (1,) * 40, (18, 3, 9, 2, 7)])
def test_following_loses_nothing_through_the_ring_and_the_join(attempt, sizes):
    text = bytes(i % 256 for i in range(sum(sizes)))
    out, at = [], 0
    log = writer(attempt)
    with closing(logs.Log(attempt)) as reader:
        reader.copy(out.append)
        for size in sizes:
            tick(attempt)
            log.write(text[at : at + size])
            at += size
            assert reader.copy_new(out.append)
            assert not reader.copy_new(out.append)
        log.close()
        assert not reader.copy_new(out.append)
        assert (b"".join(out), reader.gaps) == (text, 0)


def test_the_rest_is_read_after_the_join(attempt):
    out = []
    log = writer(attempt)
    log.write(b"0123456789ab")
    with closing(logs.Log(attempt)) as reader:
        reader.copy(out.append)
        log.write(b"cd")
        log.close()
        assert reader.copy_new(out.append)
    assert b"".join(out) == b"0123456789abcd"


def test_what_was_overwritten_before_it_was_read_is_counted(attempt):
    out = []
    log = writer(attempt)
    log.write(b"0123456789abcdefgh")
    with closing(logs.Log(attempt)) as reader:
        reader.copy(out.append)
        log.write(b"x" * 8)
        tick(attempt)
        log.write(b"y" * 3)  # once round: log.tail-0 begins anew
        assert reader.copy_new(out.append)
        assert reader.gaps == 1
    assert b"".join(out) == b"0123456789abcdefghxxxxxxxxyyy"


def test_following_from_before_the_first_byte(attempt):
    out = []
    with closing(logs.Log(attempt)) as reader:
        reader.copy(out.append)
        assert not reader.copy_new(out.append)
        log = writer(attempt)
        log.write(b"here")
        assert reader.copy_new(out.append)
        log.close()
    assert b"".join(out) == b"here"


def test_a_link_in_its_place_is_not_followed(attempt, tmp_path):
    from ckptrun import errors

    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", attempt.log)
    with pytest.raises(errors.IoFailure):
        whole(attempt)
