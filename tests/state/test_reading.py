"""Every format against what its own library reads; the numbers byte for byte."""

from __future__ import annotations

import gzip
import json
import os
import random
import zipfile

import h5py
import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as torch_dcp
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from ckptrun import errors
from ckptrun.checkpoints.reading import Broken
from ckptrun.state import data, reading, tensor
from ckptrun.state.unpickle import LARGEST


def raw(found):
    return b"".join(found.data.blocks())


def expected(value):
    """The bytes of a torch or numpy tensor in C order."""
    if isinstance(value, torch.Tensor):
        flat = torch.clone(value.detach().reshape(-1), memory_format=torch.contiguous_format)
        return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return np.ascontiguousarray(value).tobytes()


def check(path, wanted):
    """The file has exactly these tensors: names, kinds, shapes and bytes."""
    found = reading.one(str(path))
    assert {each.name for each in found.tensors} == set(wanted)
    for each in found.tensors:
        value = wanted[each.name]
        assert each.dtype == str(value.dtype).removeprefix("torch.")
        assert each.shape == tuple(value.shape)
        assert each.bytes == each.data.size == value.nbytes
        assert raw(each) == expected(value), each.name
    return found


KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
KINDS += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64]


def of_every_kind():
    return {str(kind).removeprefix("torch."): torch.arange(-2, 10).reshape(3, 4).to(kind) for kind in KINDS}


def test_torch_kinds_views_and_shared_storages(tmp_path):
    base = torch.randn(5, 6)
    model = {
        **of_every_kind(),
        "t": base.t(),
        "view": base[1:4, ::2],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.empty(0, 3),
        "one": torch.tensor(3),
        "stretched": torch.ones(1).expand(4, 50),
        "base": base,
    }
    torch.save({"model": model, "step": 7, "nested": [{"lr": 0.5, "name": "adam", "odd": None}]}, tmp_path / "a.pt")
    found = check(tmp_path / "a.pt", {f"model.{name}": value for name, value in model.items()})
    assert found.values == {"step": 7, "nested.0.lr": 0.5, "nested.0.name": "adam", "nested.0.odd": None}
    assert (found.format, found.refused) == ("torch", [])
    shared = [each for each in found.tensors if each.name in ("model.base", "model.t", "model.view")]
    assert tensor.total(shared) == base.nbytes
    assert sum(each.bytes for each in shared) > base.nbytes


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_view_of_torch(tmp_path_factory, choice):
    draw = choice.draw
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    view = torch.arange(int(np.prod(shape)), dtype=torch.int32).reshape(shape)
    view = view.permute(draw(st.permutations(range(len(shape)))))
    for axis in range(view.dim()):
        begin = draw(st.integers(0, view.shape[axis]))
        view = view.narrow(axis, begin, draw(st.integers(0, view.shape[axis] - begin)))
        if view.shape[axis]:
            index = [slice(None)] * view.dim()
            index[axis] = slice(None, None, draw(st.integers(1, 3)))
            view = view[tuple(index)]
    path = tmp_path_factory.getbasetemp() / "view.pt"
    torch.save([view], path)
    check(path, {"0": view})


def test_an_optimizer_and_numpy_in_a_torch_file(tmp_path):
    layer = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(layer.parameters())
    layer(torch.ones(3)).sum().backward()
    adam.step()
    state = {"model": layer.state_dict(), "opt": adam.state_dict(), "rng": np.random.default_rng(1).bit_generator.state}
    state["array"], state["scalar"] = np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.float64(2.5)
    torch.save(state, tmp_path / "a.pt")
    moments = {
        f"opt.state.{index}.{name}": value
        for index, each in adam.state_dict()["state"].items()
        for name, value in each.items()
    }
    weights = {f"model.{name}": value for name, value in layer.state_dict().items()}
    found = check(tmp_path / "a.pt", {**weights, **moments, "array": state["array"]})
    assert (found.values["scalar"], found.values["opt.param_groups.0.lr"], found.refused) == (2.5, 0.001, [])
    assert found.values["rng.bit_generator"] == "PCG64"


def test_safetensors(tmp_path):
    kinds = {name: value for name, value in of_every_kind().items() if name != "complex64"}
    save_file(kinds, tmp_path / "a.safetensors", metadata={"format": "pt"})
    assert check(tmp_path / "a.safetensors", kinds).notes == {"format": "pt"}


def test_numpy(tmp_path):
    arrays = {"x": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(24).reshape(2, 3, 4)), "s": np.array(True)}
    large = {"large": np.random.default_rng(1).integers(0, 9, (1000, 777)).astype("i4")}
    np.savez(tmp_path / "a.npz", **arrays, **large)
    np.savez_compressed(tmp_path / "c.npz", **arrays, **large)
    np.save(tmp_path / "one.npy", arrays["f"])
    for name in ("a.npz", "c.npz"):
        assert check(tmp_path / name, {**arrays, **large}).format == "npz"
    assert check(tmp_path / "one.npy", {"one": arrays["f"]}).format == "npy"


def test_arrays_of_objects_are_named_and_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(2), o=np.array([{}], dtype=object), r=np.zeros(2, [("a", "i4")]))
    found = reading.one(str(tmp_path / "a.npz"))
    assert [each.name for each in found.tensors] == ["x"]
    assert found.refused == ["o (numpy dtype |O)", "r (numpy dtype [('a', '<i4')])"]


def test_hdf5(tmp_path):
    arrays = {
        "layer.w": np.arange(6.0).reshape(2, 3),
        "layer.big": np.arange(3_000_000, dtype="i4").reshape(3, -1),
        "step": np.int64(7),
    }
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in arrays.items():
            packed = {"compression": "gzip"} if name == "layer.big" else {}
            file.create_dataset(name.replace(".", "/"), data=value, **packed)
        file["text"] = "words"
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
    found = check(tmp_path / "a.h5", arrays)
    assert found.refused == ["text (numpy dtype object)"]


def test_hdf5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    h5py.File(tmp_path / "a.h5", "w").close()
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(errors.UsageError, match="h5py") as caught:
        reading.one(str(tmp_path / "a.h5"))
    assert caught.value.hint == "pip install h5py"


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_torch_distributed(tmp_path):
    state = {
        "model": {"w": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.bfloat16)},
        "step": 7,
        "name": "x",
    }
    torch_dcp.save(state, checkpoint_id=tmp_path / "step-10")
    wanted = {f"model.{name}": value for name, value in state["model"].items()}
    found = check(tmp_path / "step-10" / ".metadata", wanted)
    assert (found.values, found.refused) == ({"step": 7, "name": "x"}, [])


def test_a_tensor_of_torch_distributed_in_several_parts(tmp_path):
    """As many ranks write it: every rank its rows, or its columns."""
    from torch.distributed.checkpoint.filesystem import _StorageInfo
    from torch.distributed.checkpoint.metadata import (
        ChunkStorageMetadata,
        Metadata,
        MetadataIndex,
        TensorProperties,
        TensorStorageMetadata,
    )

    whole = torch.arange(24, dtype=torch.int16).reshape(4, 6)
    parts = {(0, 0): whole[:2, :4], (0, 4): whole[:2, 4:], (2, 0): whole[2:]}
    places, chunks = {}, []
    with open(tmp_path / "__0_0.distcp", "wb") as file:
        for begin, part in parts.items():
            at = file.tell()
            torch.save(part.clone(), file)
            places[MetadataIndex("w", torch.Size(begin))] = _StorageInfo("__0_0.distcp", at, file.tell() - at)
            chunks.append(ChunkStorageMetadata(torch.Size(begin), part.shape))
    about = TensorStorageMetadata(TensorProperties(dtype=torch.int16), whole.shape, chunks)
    with open(tmp_path / ".metadata", "wb") as file:
        __import__("pickle").dump(Metadata({"w": about}, None, places), file)
    check(tmp_path / ".metadata", {"w": whole})
    os.unlink(tmp_path / "__0_0.distcp")
    with pytest.raises(OSError, match="No such file"):
        raw(reading.one(str(tmp_path / ".metadata")).tensors[0])


@pytest.mark.parametrize("packed", [True, False])
def test_gomlx(tmp_path, packed):
    arrays = {
        "model.w": np.arange(600_000, dtype="f4").reshape(300, 2000),
        "model.b": np.ones(3, "f8"),
        "global_step": np.int64(9),
    }
    blob, variables = b"", []
    for name, value in arrays.items():
        where = {"Pos": len(blob), "Length": value.nbytes, "Dimensions": list(value.shape) or None}
        variables.append(
            {"ParameterName": "var:/" + name.replace(".", "/"), "DType": str(value.dtype).capitalize(), **where}
        )
        blob += value.tobytes()
    params = [{"Scope": "/", "Key": "lr", "Value": 0.1, "ValueType": "float64"}]
    params.append({"Scope": "/layers/0", "Key": "units", "Value": 64, "ValueType": "int"})
    name = "checkpoint-n0000001-20261120-181147-step-00000009"
    (tmp_path / f"{name}.json").write_text(json.dumps({"Params": params, "Variables": variables, "BinFormat": "gzip"}))
    (tmp_path / f"{name}.bin").write_bytes(b"gomlx_checkpoints\x04gzip" + gzip.compress(blob) if packed else blob)
    found = check(tmp_path / f"{name}.json", arrays)
    assert found.values == {"lr": 0.1, "layers.0.units": 64}
    assert raw(found.tensors[2]) == arrays["global_step"].tobytes()  # out of their order too
    assert raw(found.tensors[0]) == arrays["model.w"].tobytes()


def test_a_model_in_shards(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.zeros(3)}, tmp_path / "model-00002-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = reading.of(str(tmp_path), sorted(os.listdir(tmp_path)))
    assert [(each.name, each.file) for each in found.tensors] == [
        ("a", "model-00001-of-00002.safetensors"),
        ("b", "model-00002-of-00002.safetensors"),
    ]
    os.unlink(tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(errors.IoFailure, match="names b in model-00002"):
        reading.of(str(tmp_path), sorted(os.listdir(tmp_path)))


def test_names_that_two_files_have_are_told_apart(tmp_path):
    for rank in (0, 1):
        torch.save(
            {"w": torch.ones(rank + 1), "step": rank, "only": 1} if rank else {"w": torch.ones(1), "step": 0},
            tmp_path / f"rank{rank}.pt",
        )
    found = reading.of(str(tmp_path), ["rank0.pt", "rank1.pt"])
    assert [each.name for each in found.tensors] == ["rank0.pt:w", "rank1.pt:w"]
    assert found.values == {"rank0.pt:step": 0, "rank1.pt:step": 1, "only": 1}


def test_what_holds_no_tensors(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("hello")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "y")
    assert [reading.one(str(tmp_path / name)) for name in ("config.json", "notes.txt", "a.zip")] == [None] * 3


# --- what was made to hurt ----------------------------------------------------------------------------------------------
def remade(path, **members):
    """A torch file with some members replaced."""
    with zipfile.ZipFile(path) as archive:
        held = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", members.pop("method", zipfile.ZIP_STORED)) as archive:
        for name, body in held.items():
            archive.writestr(name, members.get(os.path.basename(name).replace(".", "_"), body))


def test_a_view_larger_than_its_storage_is_refused(tmp_path):
    torch.save([torch.ones(8)], tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        small = archive.read("a/data/0")[:16]
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        held = {info.filename: archive.read(info) for info in archive.infolist()}
    held["a/data/0"] = small
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name, body in held.items():
            archive.writestr(name, body)
    with pytest.raises(errors.IoFailure, match="reaches to byte 32 of the 16 of its storage"):
        reading.one(str(tmp_path / "a.pt"))


def test_one_number_stretched_to_terabytes_is_not_read(tmp_path):
    torch.save([torch.ones(1).expand(1 << 20, 1 << 20)], tmp_path / "a.pt")
    (found,) = reading.one(str(tmp_path / "a.pt")).tensors
    assert (found.bytes, tensor.total([found])) == (4 << 40, 4)
    with pytest.raises(Broken, match="said to be a view of 4"):
        next(found.data.blocks())


def test_a_packed_pickle_that_unpacks_to_too_much_is_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "a.pt")
    remade(tmp_path / "a.pt", data_pkl=bytes(LARGEST + 1), method=zipfile.ZIP_DEFLATED)
    assert os.path.getsize(tmp_path / "a.pt") < 1 << 20
    with pytest.raises(errors.IoFailure, match=r"its data.pkl would have 268435457 bytes"):
        reading.one(str(tmp_path / "a.pt"))


def test_numbers_of_the_other_endianness_are_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "a.pt")
    remade(tmp_path / "a.pt", byteorder=b"big")
    with pytest.raises(errors.IoFailure, match="big-endian"):
        reading.one(str(tmp_path / "a.pt"))


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(1 << 20))
    (found,) = reading.one(str(tmp_path / "a.npz")).tensors
    blocks = found.data.blocks()
    next(blocks)
    os.truncate(tmp_path / "a.npz", 2 * data.BLOCK)
    with pytest.raises(Broken, match="cut short"):
        list(blocks)


def test_damage_anywhere_is_an_error_and_never_a_fault(tmp_path):
    """Bytes changed, taken out and put in at random, in every format."""
    torch.save({"w": torch.randn(3, 4).t(), "n": np.arange(4), "lr": 0.1, "whole": torch.nn.Linear(2, 2)}, tmp_path / "a.pt")
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(50), f=np.asfortranarray(np.eye(3)))
    save_file({"a": torch.randn(3).bfloat16(), "b": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"k": "v"})
    chance = random.Random(20261120)
    whole = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    outcomes = set()
    for _ in range(600):
        path = chance.choice(list(whole))
        body = bytearray(whole[path])
        for _ in range(chance.choice([1, 1, 3])):
            at, how = chance.randrange(len(body)), chance.random()
            body[at : at + (how < 0.8) * chance.choice([1, 1, 9])] = chance.randbytes(1 if how > 0.2 else 5)
        path.write_bytes(body)
        try:
            for each in reading.one(str(path)).tensors if reading.one(str(path)) else ():
                raw(each)
            outcomes.add("read")
        except (errors.IoFailure, Broken):
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
