"""Files that say themselves whether they are whole: written by their own libraries, then cut and flipped everywhere."""

import base64
import io
import json
import os
import pickle
import struct
import zipfile

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptrun import names
from ckptrun.checkpoints import kinds
from ckptrun.checkpoints.kinds import crc32c
from ckptrun.checkpoints.reading import Broken, Patience

numpy = pytest.importorskip("numpy")


def state(path, *, deep=True):
    try:
        kinds.check(os.fspath(path), deep=deep, patience=Patience(sleep=lambda _: None))
    except Broken as broken:
        return broken.state if os.path.basename(path) in broken.reason else f"unnamed: {broken.reason}"
    return names.COMPLETE


# --- how each is written -----------------------------------------------------------------------------------------------------
def npz(path):
    numpy.savez(path, a=numpy.arange(5000), b=numpy.zeros((3, 4)))


def npz_packed(path):
    numpy.savez_compressed(path, a=numpy.arange(5000) % 7, zeros=numpy.zeros(200_000))


def npy(path):
    numpy.save(path, numpy.arange(3000, dtype="<f4").reshape(30, 100))


def npy_text(path):
    numpy.save(path, numpy.array(["ab", "cde"] * 50))


def npy_scalar(path):
    numpy.save(path, numpy.float64(3))


def npy_objects(path):
    numpy.save(path, numpy.array([{"a": 1}, None] * 100, dtype=object), allow_pickle=True)


def npy_records(path):
    numpy.save(path, numpy.zeros(100, dtype=[("x", "<i4"), ("y", "<f8")]))


def torch_file(path):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.arange(5000), "step": 3}, path)


def torch_old(path):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.arange(5000)}, path, _use_new_zipfile_serialization=False)


def pickled(path):
    with open(path, "wb") as file:
        pickle.dump({"w": list(range(3000)), "rng": b"\0" * 500}, file)


def joblib_file(path):
    joblib = pytest.importorskip("joblib")
    joblib.dump({"w": numpy.arange(5000), "n": 3}, path)


def document(path):
    with open(path, "w") as file:
        json.dump({"weights": list(range(500)), "loss": 0.5}, file)


def document_nan(path):
    with open(path, "w") as file:
        json.dump({"loss": float("nan"), "best": float("inf")}, file)


def safetensors(path):
    header = {
        "__metadata__": {"format": "pt"},
        "w": {"dtype": "F32", "shape": [10, 20], "data_offsets": [0, 800]},
        "b": {"dtype": "BF16", "shape": [7], "data_offsets": [800, 814]},
        "s": {"dtype": "I64", "shape": [], "data_offsets": [814, 822]},
    }
    raw = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw + os.urandom(822))


def hdf5(path, version=0):
    """A superblock as the specification has it, in front of some bytes: h5py is no dependency of the tests."""
    size = 4000
    if version == 0:
        head = (
            b"\x89HDF\r\n\x1a\n"
            + bytes([0, 0, 0, 0, 0, 8, 8, 0])
            + struct.pack("<HHI", 4, 16, 0)
            + struct.pack("<QQQQ", 0, 2**64 - 1, size, 2**64 - 1)
        )
    else:
        head = b"\x89HDF\r\n\x1a\n" + bytes([version, 8, 8, 0]) + struct.pack("<QQQQ", 0, 2**64 - 1, size, 48)
    with open(path, "wb") as file:
        file.write(head.ljust(size, b"\7"))


def hdf5_new(path):
    hdf5(path, 3)


def archives(path):
    """Several torch archives one behind the other, as in .distcp."""
    torch = pytest.importorskip("torch")
    with open(path, "wb") as file:
        for i in range(3):
            part = io.BytesIO()
            torch.save(torch.arange(500) + i, part)
            file.write(part.getvalue())


def anything(path):
    with open(path, "wb") as file:
        file.write(os.urandom(3000))


CUT_IS_SEEN = [
    (npz, "m.npz"),
    (npz_packed, "m.npz"),
    (npy, "m.npy"),
    (npy_text, "m.npy"),
    (npy_scalar, "m.npy"),
    (npy_objects, "m.npy"),
    (torch_file, "m.pt"),
    (torch_file, "m.ckpt"),
    (pickled, "m.pkl"),
    (pickled, "m.bin"),
    (joblib_file, "m.joblib"),
    (document, "m.json"),
    (document_nan, "m.json"),
    (safetensors, "m.safetensors"),
    (hdf5, "m.h5"),
    (hdf5_new, "m.keras.h5"),
    (archives, "m.distcp"),
]
WHOLE = [*CUT_IS_SEEN, (npy_records, "m.npy"), (torch_old, "m.pt"), (anything, "m.bin"), (anything, "m.weights")]
FLIP_IS_SEEN = [(npz, "m.npz"), (npz_packed, "m.npz"), (torch_file, "m.pt"), (archives, "m.distcp")]


def label(value):
    return getattr(value, "__name__", value)


@pytest.mark.parametrize(("write", "name"), WHOLE, ids=label)
@pytest.mark.parametrize("deep", [False, True])
def test_as_it_was_written(tmp_path, write, name, deep):
    write(tmp_path / name)
    assert state(tmp_path / name, deep=deep) == names.COMPLETE


@pytest.mark.parametrize(("write", "name"), CUT_IS_SEEN, ids=label)
def test_cut_anywhere(tmp_path, write, name):
    """Every length up to 300 bytes, every length near the end, and some between: what a kill in the middle of a save leaves."""
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    lengths = {*range(min(300, len(whole))), *range(max(len(whole) - 300, 0), len(whole)), *range(0, len(whole), 997)}
    missed = []
    for length in sorted(lengths, reverse=True):
        os.truncate(path, length)
        if state(path, deep=False) == names.COMPLETE:
            missed.append(length)
    # A pickle may have a full stop where it is cut; nothing can be told then. Everything else is seen.
    allowed = (
        sum(whole[length - 1 : length] == b"." for length in lengths) if whole[:1] == b"\x80" or b"|O" in whole[:80] else 0
    )
    assert len(missed) <= allowed


@pytest.mark.parametrize(("write", "name"), FLIP_IS_SEEN, ids=label)
def test_a_flipped_byte_in_the_data(tmp_path, write, name):
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    start = whole.rfind(b"PK\x03\x04")
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda item: item.compress_size)
        inside = archive.start_dir - 1  # the last byte of the last member, or its padding
    assert start >= 0
    seen = 0
    places = range(member.header_offset + 200, min(member.header_offset + 200 + member.compress_size // 2, inside), 97)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        seen += state(path) == names.CORRUPT
    assert seen == len(places) > 0


@pytest.mark.parametrize("length", [0x80, 0x280, 0x8080])
def test_safetensors_that_begin_as_pickles_do(tmp_path, length):
    """The length of the header comes first, whose lowest byte may be any multiple of eight."""
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.ljust(length)
    (tmp_path / "m.safetensors").write_bytes(length.to_bytes(8, "little") + header + b"\1")
    assert state(tmp_path / "m.safetensors") == names.COMPLETE


@pytest.mark.parametrize("name", ["m.npz", "m.npy", "m.safetensors", "m.h5", "m.json", "m.keras", "m.zip"])
@pytest.mark.parametrize("body", [b"\0" * 5000, b"garbage" * 500, b"<html>not found</html>"])
def test_a_name_that_promises_more_than_the_file_holds(tmp_path, name, body):
    (tmp_path / name).write_bytes(body)
    assert state(tmp_path / name) in (names.CORRUPT, names.PARTIAL)


def test_zeros_are_what_a_power_cut_leaves(tmp_path):
    (tmp_path / "m.bin").write_bytes(b"\0" * 50_000)
    assert state(tmp_path / "m.bin") == names.CORRUPT
    (tmp_path / "m.bin").write_bytes(b"\0" * 25_000 + b"1" + b"\0" * 25_000)
    assert state(tmp_path / "m.bin") == names.COMPLETE


@pytest.mark.parametrize("kind", ["empty", "directory", "fifo", "nothing", "dangling"])
def test_what_may_lie_in_its_place(tmp_path, kind):
    path = tmp_path / "m.pt"
    if kind == "empty":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    wanted = {"empty": names.PARTIAL, "nothing": names.PARTIAL, "dangling": names.PARTIAL}.get(kind, names.CORRUPT)
    assert state(path) == wanted


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (os.fspath(tmp_path / "exploded"),))

    for name in ("m.pkl", "m.pt", "m.joblib", "m.npy"):
        with open(tmp_path / name, "wb") as file:
            if name == "m.npy":
                numpy.save(file, numpy.array([Bomb()], dtype=object), allow_pickle=True)
            else:
                pickle.dump(Bomb(), file)
        assert state(tmp_path / name) == names.COMPLETE
    assert not (tmp_path / "exploded").exists()


# --- hostile ---------------------------------------------------------------------------------------------------------------
def test_an_archive_that_declares_more_than_it_can_hold(tmp_path):
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 200_000)
    raw = bytearray(path.read_bytes())
    place = raw.rfind(b"PK\x01\x02")
    raw[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(raw)
    assert state(path) == names.CORRUPT


def test_members_that_overlap(tmp_path):
    """The trick behind zip bombs: many entries, one body."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1" * 1000)
        archive.writestr("b", b"2" * 1000)
    raw = bytearray(path.read_bytes())
    second = raw.rfind(b"PK\x01\x02")
    raw[second + 42 : second + 46] = (0).to_bytes(4, "little")
    path.write_bytes(raw)
    assert state(path, deep=False) == names.CORRUPT


def test_an_archive_with_something_in_front(tmp_path):
    path = tmp_path / "m.zip"
    npz(tmp_path / "m.npz")
    path.write_bytes(b"#!/bin/sh\n" + (tmp_path / "m.npz").read_bytes())
    assert state(path) == names.COMPLETE


def test_an_archive_with_a_comment(tmp_path):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        archive.comment = b"PK\x05\x06 in a comment" * 20
    assert state(path) == names.COMPLETE


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_checked_by_structure(tmp_path, compression):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a", b"1" * 5000)
    assert state(path) == names.COMPLETE
    os.truncate(path, 40)
    assert state(path) == names.PARTIAL


def test_an_archive_larger_than_four_gigabytes(tmp_path):
    """A sparse one: zip64 sizes and offsets."""
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with archive.open(zipfile.ZipInfo("a"), "w", force_zip64=True) as member:
            member.write(b"1" * 1000)
        archive.writestr("b", b"2")
    assert state(path) == names.COMPLETE


@pytest.mark.parametrize(
    "header",
    [
        {
            "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "v": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        },
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}},
        {"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "x": 3},
        {"w": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 2**62]}},
        [],
    ],
)
def test_safetensors_that_lie(tmp_path, header):
    raw = json.dumps(header).encode()
    (tmp_path / "m.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + b"\1" * 12)
    assert state(tmp_path / "m.safetensors") in (names.CORRUPT, names.PARTIAL)


@pytest.mark.parametrize("length", [0, 2**63, 2**64 - 1, 200_000_000, 5])
def test_safetensors_with_a_header_of_any_length(tmp_path, length):
    (tmp_path / "m.safetensors").write_bytes(length.to_bytes(8, "little") + b"{" * 500)
    assert state(tmp_path / "m.safetensors") in (names.CORRUPT, names.PARTIAL)


def test_json_that_is_nested_without_end(tmp_path):
    (tmp_path / "m.json").write_bytes(b"[" * 100_000)
    assert state(tmp_path / "m.json") == names.CORRUPT


@pytest.mark.parametrize("length", [0x80, 0x280, 0x480])
def test_safetensors_whose_length_begins_as_a_pickle_does(tmp_path, length):
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode().ljust(length)
    (tmp_path / "m.safetensors").write_bytes(length.to_bytes(8, "little") + header + b"\1" * 4)
    assert state(tmp_path / "m.safetensors") == names.COMPLETE


def test_bytes_that_begin_with_0x80_are_no_pickle_for_that(tmp_path):
    (tmp_path / "m.data-00000-of-00001").write_bytes(b"\x80\x3f" * 300)
    assert state(tmp_path / "m.data-00000-of-00001") == names.COMPLETE


# Written by TensorFlow 2.21: x = [1.0, 2.0, 3.0] and y = ["ab", "c"].
TF_INDEX = (
    "AAAGCAEaAggBAAEPeAgBEgQSAggDKAw1c1uJcQABEXkIBxIEEgIIAiAMKAk11TDYXwAAAAABAAAAAMywsYIAAAAAAQAAAADA8qGwAAECegA5AAAAAAEAAAAAlLHQjD4ISw4"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABX+4CLJHVH2w=="
)
TF_DATA = "AACAPwAAAEAAAEBAAgEDcXxnYWJj"


def tensorflow(tmp_path, *, index=None, data=None):
    (tmp_path / "m.index").write_bytes(base64.b64decode(TF_INDEX) if index is None else index)
    if data != b"":
        (tmp_path / "m.data-00000-of-00001").write_bytes(base64.b64decode(TF_DATA) if data is None else data)


def said(path, *, deep):
    try:
        kinds.check(os.fspath(path), deep=deep)
    except Broken as broken:
        return broken.state, broken.reason
    return names.COMPLETE, ""


def test_tensorflow(tmp_path):
    tensorflow(tmp_path)
    assert state(tmp_path / "m.index") == state(tmp_path / "m.index", deep=False) == names.COMPLETE


@pytest.mark.parametrize("at", range(12))
def test_a_tensor_of_tensorflow_is_flipped(tmp_path, at):
    data = bytearray(base64.b64decode(TF_DATA))
    data[at] ^= 4
    tensorflow(tmp_path, data=bytes(data))
    assert said(tmp_path / "m.index", deep=False)[0] == names.COMPLETE
    found, reason = said(tmp_path / "m.index", deep=True)
    assert found == names.CORRUPT
    assert reason.startswith("m.data-00000-of-00001 is damaged: x has checksum ")


def test_tensorflow_cut_short_or_gone(tmp_path):
    tensorflow(tmp_path, data=base64.b64decode(TF_DATA)[:-1])
    assert said(tmp_path / "m.index", deep=False) == (
        names.PARTIAL, "m.data-00000-of-00001 is cut short: its tensors end at byte 21, and it at 20")  # fmt: skip
    (tmp_path / "m.data-00000-of-00001").rename(tmp_path / "m.data-00000-of-00002")
    assert said(tmp_path / "m.index", deep=False) == (
        names.PARTIAL, "m.data-00000-of-00001 is missing, which m.index names")  # fmt: skip


def test_an_index_of_tensorflow_is_cut_and_flipped_anywhere(tmp_path):
    whole = base64.b64decode(TF_INDEX)
    padding = range(len(whole) - 48 + 4, len(whole) - 8)  # between what the end of a table says and its last eight bytes
    for at in range(len(whole)):
        if at:
            tensorflow(tmp_path, index=whole[:at])
            assert said(tmp_path / "m.index", deep=False)[0] == names.PARTIAL
        if at not in padding:
            tensorflow(tmp_path, index=whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert said(tmp_path / "m.index", deep=True)[0] != names.COMPLETE


@given(st.binary(max_size=20_000))
def test_a_checksum_by_lanes_is_that_of_each_byte(data):
    big = data * 3
    with_lanes = crc32c.of([big])
    alone = crc32c.of(bytes([byte]) for byte in big)  # too short for lanes
    assert with_lanes == alone
    assert crc32c.of([b"123456789"]) == 0xE3069283  # RFC 3720, and any list of CRCs


@pytest.mark.parametrize(
    ("data", "wanted"), [(b"{U\x01a}", names.COMPLETE), (b"{U\x01a", names.PARTIAL), (b"[1}", names.CORRUPT)]
)
def test_ubjson(tmp_path, data, wanted):
    (tmp_path / "m_1.ubj").write_bytes(data)
    assert state(tmp_path / "m_1.ubj") == wanted


KINDS = st.sampled_from(["m.npz", "m.npy", "m.safetensors", "m.h5", "m.json", "m.pt", "m.pkl", "m.bin"])
HEADS = st.sampled_from(
    [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x89HDF\r\n\x1a\n", b"\x80\x04", b"\x10\0\0\0\0\0\0\0{"]
)


@settings(max_examples=400, deadline=None)
@given(
    name=KINDS, head=HEADS, body=st.binary(max_size=200), tail=st.sampled_from([b"", b".", b"}", b"PK\x05\x06" + b"\0" * 18])
)
def test_no_bytes_do_anything_but_be_judged(tmp_path_factory, name, head, body, tail):
    path = os.path.join(_fuzz_place(tmp_path_factory), name)
    with open(path, "wb") as file:
        file.write(head + body + tail)
    assert state(path) in (names.COMPLETE, names.PARTIAL, names.CORRUPT)


@settings(max_examples=400, deadline=None)
@given(which=st.integers(0, len(WHOLE) - 1), place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_one_changed_byte_is_judged(tmp_path_factory, which, place, value):
    write, name = WHOLE[which]
    home = _fuzz_place(tmp_path_factory)
    path = os.path.join(home, f"{which}-{name}")
    if not os.path.exists(path + ".whole"):
        write(path)
        os.rename(path, path + ".whole")
    with open(path + ".whole", "rb") as file:
        raw = bytearray(file.read())
    raw[int(place * len(raw))] = value
    with open(path, "wb") as file:
        file.write(raw)
    assert state(path) in (names.COMPLETE, names.PARTIAL, names.CORRUPT)


def _fuzz_place(tmp_path_factory):
    base = tmp_path_factory.getbasetemp() / "kinds"
    base.mkdir(exist_ok=True)
    return os.fspath(base)


# --- msgpack -----------------------------------------------------------------------------------------------------------
def packed_state():
    state = {
        "params": {f"layer_{n}": {"kernel": b"\1" * 300, "bias": [0.5, 1, -1, None, True]} for n in range(40)},
        "step": 70_000,
    }
    return msgspec.msgpack.encode(state)


@pytest.mark.parametrize("name", ["model.msgpack", "checkpoint_5", "checkpoint_5.0"])
def test_a_msgpack_that_was_cut_anywhere(tmp_path, name):
    whole, path = packed_state(), tmp_path / name
    path.write_bytes(whole)
    assert state(path, deep=False) == names.COMPLETE
    for end in (*range(1, 400), *range(len(whole) - 300, len(whole))):
        path.write_bytes(whole[:end])
        assert state(path, deep=False) == names.PARTIAL, end


@pytest.mark.parametrize("body", [packed_state() + b"\1", b"\x81\xa1a\xc1", b"\xc1"])
def test_a_msgpack_that_is_none(tmp_path, body):
    path = tmp_path / "model.msgpack"
    path.write_bytes(body)
    assert state(path, deep=False) == names.CORRUPT


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_msgpack_is_walked_to_its_end(tmp_path, value):
    path = tmp_path / "x.msgpack"
    path.write_bytes(msgspec.msgpack.encode(value))
    assert state(path, deep=False) == names.COMPLETE


def test_a_file_of_holes(tmp_path):
    path = tmp_path / "model.bin"
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    assert state(path, deep=False) == names.CORRUPT
