"""Writing that survives, reading that cannot be fooled, errors that are sentences."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from ckptrun import errors
from ckptrun.runs import durable


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "record"
    durable.replace(str(path), b"one")
    durable.replace(str(path), b"two" * 100_000)
    assert path.read_bytes() == b"two" * 100_000
    assert os.listdir(tmp_path) == ["record"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_the_files_place_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "record").symlink_to("victim")
    durable.replace(str(tmp_path / "record"), b"ours")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "record").is_symlink()


def test_a_full_disk_leaves_what_was_there_and_says_so_with_figures(small_disk):
    disk = small_disk(64)
    durable.replace(str(disk / "record"), b"old")
    with pytest.raises(errors.IoFailure) as caught:
        durable.replace(str(disk / "record"), b"x" * 200_000)
    assert caught.value.exit_code == 74
    assert "no space left on the disk" in caught.value.message
    assert "of 65.5 kB free" in caught.value.message
    assert "inodes" in caught.value.message
    assert (disk / "record").read_bytes() == b"old"
    assert os.listdir(disk) == ["record"]


def test_a_place_that_does_not_exist_is_an_error_with_the_path(tmp_path):
    with pytest.raises(errors.IoFailure, match="No such file or directory"):
        durable.replace(str(tmp_path / "missing" / "record"), b"")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name, number in (("fifo", errno.EINVAL), ("directory", errno.EINVAL), ("link", errno.ELOOP)):
        with pytest.raises(OSError) as caught:
            durable.read(str(tmp_path / name))
        assert caught.value.errno == number
    with pytest.raises(FileNotFoundError):
        durable.read(str(tmp_path / "missing"))


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 11)
    assert durable.read(str(tmp_path / "large"), limit=11) == b"x" * 11
    with pytest.raises(OSError, match="11 B where at most 10 B are expected"):
        durable.read(str(tmp_path / "large"), limit=10)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_errors_in_passing_are_waited_out(number):
    failures, pauses = [number] * 3, []

    def read():
        if failures:
            raise OSError(failures.pop(), "passing")
        return "read"

    assert durable.retry(read, sleep=pauses.append) == "read"
    assert len(pauses) == 3


def test_errors_that_stay_are_raised():
    calls = []

    def read():
        calls.append(1)
        raise OSError(errno.EIO, "it stays")

    with pytest.raises(OSError, match="it stays"):
        durable.retry(read, sleep=lambda _: None)
    assert len(calls) == 4


def test_other_errors_are_not_asked_twice():
    calls = []

    def read():
        calls.append(1)
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        durable.retry(read)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("number", "creating", "kind", "text"),
    [
        (errno.ENOSPC, True, errors.IoFailure, "no space left on the disk: "),
        (errno.EDQUOT, False, errors.IoFailure, "the disk quota is used up: "),
        (errno.EACCES, True, errors.CannotCreate, "cannot create "),
        (errno.EROFS, True, errors.CannotCreate, "Read-only file system"),
        (errno.EEXIST, True, errors.CannotCreate, "something else is in its place"),
        (errno.EACCES, False, errors.IoFailure, "cannot read or write "),
        (errno.EIO, True, errors.IoFailure, "Input/output error"),
    ],
)
def test_errors_become_sentences_with_the_right_code(tmp_path, number, creating, kind, text):
    error = durable.io_error(OSError(number, os.strerror(number)), str(tmp_path / "x" / "y"), creating=creating)
    assert type(error) is kind
    assert text in error.message


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ä 目", "plain ä 目"),
        ("two\nlines\t", "two\\nlines\\t"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("not\udcfftext", "not\\xfftext"),
        ("a\u202eb", "a\\u202eb"),
        ("\x85\U000e0001", "\\x85\\U000e0001"),
    ],
)
def test_names_are_shown_on_one_line_and_cannot_speak_to_the_terminal(given, shown):
    assert durable.printable(given) == shown


def test_half_written_files_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / ".tmp-lease.json-0123").touch()
    (tmp_path / ".tmp-directory").mkdir()
    (tmp_path / "lease.json").touch()
    durable.sweep(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".tmp-directory", "lease.json"]
