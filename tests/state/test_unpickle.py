"""Pickles that would run code do not, and those that would fill memory do not either."""

from __future__ import annotations

import collections
import datetime as dt
import os
import pickle
import pickletools
import struct
import zipfile

import pytest
import torch

from ckptrun import errors
from ckptrun.checkpoints.reading import Broken
from ckptrun.state import flat, reading, unpickle
from ckptrun.state.flat import Flat


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def load(data, **known):
    return unpickle.load(data, "x.pkl", known, lambda found: found)


def in_torch(path, data):
    """A file of torch.save whose pickle is `data`."""
    torch.save([torch.ones(2)], path)
    with zipfile.ZipFile(path) as archive:
        held = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in held.items():
            archive.writestr(name, data if name.endswith("data.pkl") else body)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_would_run_a_command_does_not(tmp_path, protocol):
    mark = tmp_path / "ran"
    evil = {
        "weights": [1.5],
        "bait": Evil(os.system, f"touch {mark}"),
        "other": Evil(exec, f"open({str(mark)!r}, 'w').close()"),
    }
    data = pickle.dumps(evil, protocol)
    pickle.loads(data)
    assert mark.exists()  # it would
    mark.unlink()
    in_torch(tmp_path / "a.pt", data)
    (tmp_path / "a.pkl").write_bytes(data)
    for name in ["a.pt", "a.pkl"] if protocol > 1 else ["a.pt"]:
        found = reading.one(str(tmp_path / name))
        exec_name = "builtins.exec" if protocol > 2 else "__builtin__.exec"
        assert found.refused == sorted([exec_name, "posix.system"])
        assert found.values == {"weights.0": 1.5}
    assert not mark.exists()


def text(name):
    return b"\x8c" + bytes([len(name)]) + name.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"cposix\nsystem\n(S'touch MARK'\ntR.",
        b"(S'touch MARK'\niposix\nsystem\n.",
        b"(cposix\nsystem\nS'touch MARK'\no.",
        b"\x80\x04" + text("posix") + text("system") + b"\x93(" + text("touch MARK") + b"tR.",
        b"\x80\x02cposix\nsystem\n(X\x0a\x00\x00\x00touch MARKt\x81.",  # NEWOBJ
        b"\x80\x04cposix\nsystem\n(" + text("touch MARK") + b"t}\x92.",  # NEWOBJ_EX
        b"\x80\x02cbuiltins\nobject\n)\x81(X\x01\x00\x00\x00acposix\nsystem\ndb.",  # BUILD
        b"\x80\x02cbuiltins\ngetattr\n(cposix\nsystem\nX\x08\x00\x00\x00__call__tR(X\x0a\x00\x00\x00touch MARKtR.",
        b"\x80\x02ccollections\nOrderedDict\n(cposix\nsystem\nX\x0a\x00\x00\x00touch MARKtR.",  # through what is known
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\nNX\x0a\x00\x00\x00touch MARK\x85NtR.",
    ],
)
def test_no_opcode_runs_anything(tmp_path, body, monkeypatch):
    monkeypatch.chdir(tmp_path)
    in_torch(tmp_path / "a.pt", body.replace(b"touch MARK", b"touch RAN_"))
    try:
        found = reading.one(str(tmp_path / "a.pt"))
        assert "posix.system" in found.refused
    except errors.IoFailure:
        pass
    assert sorted(os.listdir(tmp_path)) == ["a.pt"]


def test_extension_codes_and_buffers_from_outside_are_not_read():
    for body in (b"\x80\x02\x82\x01.", b"\x80\x05\x97."):
        with pytest.raises(Broken, match="is not read here"):
            load(body)


def test_what_cannot_be_made_is_named_and_looked_into(tmp_path):
    torch.save({"model": torch.nn.Linear(2, 2), "when": dt.datetime(2026, 11, 20)}, tmp_path / "a.pt")
    found = reading.one(str(tmp_path / "a.pt"))
    assert found.refused == ["datetime.datetime", "torch.nn.modules.linear.Linear"]
    assert [each.name for each in found.tensors] == ["model._parameters.weight", "model._parameters.bias"]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_things_come_out_as_they_went_in(protocol):
    plain = {
        "list": [1, -1, 1 << 70, 0.5, True, None, "ä\n", b"\0\xff"],
        "tuple": (1,), "two": (1, 2), "three": (1, 2, 3), "four": (1, 2, 3, 4), "none": (),
        "set": {1, 2}, "frozen": frozenset({3}), "array": bytearray(b"xy"), "complex": 1 + 2j,
        "ordered": collections.OrderedDict(a=1), "counter": collections.Counter("aab"),
    }  # fmt: skip
    plain["same"] = plain["list"]
    from ckptrun.state.pickled import KNOWN

    found, refused = unpickle.load(pickle.dumps(plain, protocol), "x", KNOWN, lambda found: found)
    assert (found, refused) == (plain, [])
    assert found["same"] is found["list"]


def bomb(levels):
    """Each list holds the one before twice: a few bytes a level, twice as many leaves."""
    item = [1]
    for _ in range(levels):
        item = [item, item]
    return pickle.dumps(item, 2)


def loop():
    item = []
    item.append(item)
    return pickle.dumps(item, 2)


@pytest.mark.parametrize("data", [bomb(60), loop(), pickle.dumps([[1] * 10_000] * 10_000, 2)], ids=["bomb", "loop", "wide"])
def test_what_refers_to_itself_ends(data, monkeypatch):
    monkeypatch.setattr(flat, "_MOST", 50_000)  # the million takes seconds
    with pytest.raises(Broken, match=r"a million parts|nested too deeply"):
        Flat(load(data)[0], "x")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",  # BINBYTES8
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x.",  # BYTEARRAY8
        b"\x80\x02X\xff\xff\xff\x7fabc.",  # BINUNICODE
        b"\x80\x02\x8b\xff\xff\xff\x7fabc.",  # LONG4
        b"\x80\x02]",  # no end
        b"\x80\x02.",
        b"\x80\x02\x85.",
        b"\x80\x02]t.",
        b"\x80\x02h\x07.",  # a memo that is not there
        b"\x80\x02}(]K\x01u.",  # a list as a key
        b"",
        b"garbage",
    ],
)
def test_broken_pickles_are_findings(data):
    with pytest.raises(Broken, match=r"x\.pkl is damaged"):
        load(data)


def test_a_memo_of_four_thousand_million_places_costs_nothing():
    """CPython's own unpickler would fill 64 GiB with it."""
    assert load(b"\x80\x02]r\xff\xff\xff\x7f.") == ([], [])


def test_every_opcode_is_either_read_or_refused():
    machine = unpickle._Machine({}, lambda found: found)
    known = {*unpickle._LITERALS, *unpickle._CONSTANTS, *unpickle._MEMO_PUT, *unpickle._MEMO_GET, *unpickle._IGNORED}
    names = {code.name for code in pickletools.opcodes}
    unread = {name for name in names - known if not hasattr(machine, f"_{name.lower()}")}
    assert unread == {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}
