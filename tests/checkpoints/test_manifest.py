"""checkpoint.json as something that anybody may have written."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptrun import names
from ckptrun.checkpoints import manifest
from ckptrun.checkpoints.reading import Broken, Patience
from ckptrun.model import FileEntry, Manifest

GOOD = b'{"format": 1, "created": "2026-11-20T18:11:47.250Z", "files": [{"path": "a", "size": 1}]}'
DEEP = b"[" * 100_000


def naming(path):
    return b'{"format":1,"created":"","files":[{"path":"%s","size":1}]}' % path


def quick():
    return Patience(sleep=lambda _: None)


@pytest.mark.parametrize(
    ("data", "state", "sentence"),
    [
        (b"", names.CORRUPT, "is empty"),
        (GOOD[:-1], names.CORRUPT, "truncated"),
        (GOOD[:40], names.CORRUPT, "truncated"),
        (b"not json", names.CORRUPT, "is not a manifest"),
        (b"\0" * 200, names.CORRUPT, "is not a manifest"),
        (b"\xff\xfe", names.CORRUPT, "is not a manifest"),
        (b"[]", names.CORRUPT, "is not a manifest"),
        (b"null", names.CORRUPT, "is not a manifest"),
        (b'{"format": 1}', names.CORRUPT, "missing required field"),
        (b'{"format": "1", "created": "", "files": []}', names.CORRUPT, "is not a manifest"),
        (b'{"format": 2}', names.UNKNOWN, "format 2, written by a later ckptrun; this one knows 1"),
        (b'{"format": 2, "created": "", "files": []}', names.UNKNOWN, "later ckptrun"),
        (b'{"format": 0, "created": "", "files": []}', names.CORRUPT, "never existed"),
        (DEEP, names.CORRUPT, "is not a manifest"),
        (b'{"format":1,"created":"","files":[],"more":' + DEEP, names.CORRUPT, "is not a manifest"),
        (b'{"format":1,"created":"","files":[],"metrics":{"loss":NaN}}', names.CORRUPT, "is not a manifest"),
        (naming(b"/etc/passwd"), names.CORRUPT, "no checkpoint can hold"),
        (naming(b"../a"), names.CORRUPT, "no checkpoint can hold"),
        (naming(b"a/../../b"), names.CORRUPT, "no checkpoint can hold"),
        (naming(b".."), names.CORRUPT, "no checkpoint can hold"),
        (naming(b"."), names.CORRUPT, "no checkpoint can hold"),
        (naming(b""), names.CORRUPT, "no checkpoint can hold"),
        (naming(b"a//b"), names.CORRUPT, "no checkpoint can hold"),
        (naming(b"a\\u0000b"), names.CORRUPT, "no checkpoint can hold"),
        (naming(b"\\\\x2e\\\\x2e/a"), names.CORRUPT, "no checkpoint can hold"),  # '..', escaped
        (naming(b"checkpoint.json"), names.CORRUPT, "no checkpoint can hold"),
        (GOOD.replace(b"1}]", b"-1}]"), names.CORRUPT, "-1 bytes"),
        (GOOD.replace(b"}]", b'},{"path":"a","size":2}]'), names.CORRUPT, "twice"),
    ],
)
def test_what_is_no_manifest(data, state, sentence):
    with pytest.raises(Broken, match=sentence) as caught:
        manifest.parse(data)
    assert caught.value.state == state
    assert caught.value.reason.startswith(names.MANIFEST)


def test_what_a_later_version_of_this_format_adds_is_read_over():
    assert manifest.parse(GOOD[:-1] + b', "colour": {"x": [1]}}').files[0].path == "a"


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "socket", "nothing", "huge"])
def test_what_may_lie_in_its_place(tmp_path, kind):
    path = os.fspath(tmp_path / names.MANIFEST)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "link":
        (tmp_path / "real").write_bytes(GOOD)
        os.symlink("real", path)
    elif kind == "socket":
        cwd = os.getcwd()
        os.chdir(tmp_path)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(names.MANIFEST)
        os.chdir(cwd)
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(manifest.LARGEST + 1)
    with pytest.raises(Broken) as caught:
        manifest.read(os.fspath(tmp_path), quick())
    assert caught.value.state == (names.PARTIAL if kind == "nothing" else names.CORRUPT)


@pytest.mark.parametrize("code", ["EIO", "ESTALE", "EACCES"])
def test_a_read_error_is_tried_again_and_then_unknown(tmp_path, monkeypatch, code):
    (tmp_path / names.MANIFEST).write_bytes(GOOD)
    failures, slept = [3], []
    real = os.open

    def failing(*args, **more):
        if failures[0]:
            failures[0] -= 1
            raise OSError(getattr(__import__("errno"), code), code)
        return real(*args, **more)

    monkeypatch.setattr(os, "open", failing)
    assert manifest.read(os.fspath(tmp_path), Patience(sleep=slept.append)).files
    assert len(slept) == 3
    failures[0] = 99
    with pytest.raises(Broken, match=code) as caught:
        manifest.read(os.fspath(tmp_path), Patience(sleep=slept.append))
    assert caught.value.state == names.UNKNOWN


def test_patience_ends_for_all_of_a_scan(tmp_path):
    slept = []
    patience = Patience(sleep=slept.append)

    def failing():
        raise OSError(5, "Input/output error")

    for _ in range(10):
        with pytest.raises(Broken):
            patience.read(failing, "x")
    assert len(slept) == 3


PATHS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20) | st.binary(
    min_size=1, max_size=20
).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape"))


@given(st.lists(PATHS.filter(lambda name: name not in (".", "..", names.MANIFEST)), unique=True, max_size=5))
def test_any_name_that_a_file_can_have_comes_back(paths):
    written = Manifest(format=1, created="", files=[FileEntry(path=path, size=1) for path in paths])
    assert manifest.parse(manifest.encode(written)) == written


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_break(data):
    with pytest.raises(Broken):
        manifest.parse(data)


@given(st.data())
def test_one_changed_byte_breaks_it_or_leaves_it_sound(data):
    raw = bytearray(GOOD)
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = manifest.parse(bytes(raw))
    except Broken:
        return
    assert all(".." not in entry.path.split("/") and not entry.path.startswith("/") for entry in found.files)
