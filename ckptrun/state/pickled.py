"""What pickles of trainings may ask for, and what stands for it here. Everything else is refused, and its name told."""

from __future__ import annotations

import os
import struct
from math import prod
from typing import TYPE_CHECKING, Any

from ckptrun.model import Noun
from ckptrun.state import dtypes, unpickle
from ckptrun.state.data import Held, View, opened
from ckptrun.state.flat import Flat
from ckptrun.state.tensor import Contents, Tensor
from ckptrun.state.unpickle import Constant

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptrun.state.unpickle import Meaning

_OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before 1.6: torch/serialization.py, MAGIC_NUMBER
_SCALARS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b"}
_SCALARS.update({"u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?"})


class ArrayType:
    """numpy.dtype: its code, and the byte order that it is told afterwards."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = str(code).lstrip("<|="), "<"

    def build(self, state: Any) -> None:
        """Numpy's: (version, byte order, …)."""
        self.order = state[1]

    def known(self) -> dtypes.Dtype | None:
        """The kind, None where it is not read here."""
        return dtypes.BY_ARRAY.get(self.code) if self.order in ("<", "|", "=") else None


class Array(unpickle.Late):
    """numpy.ndarray: empty until it is told shape, dtype and bytes."""

    def build(self, state: Any) -> None:
        """Numpy's: (version, shape, dtype, is Fortran, bytes)."""
        _, shape, dtype, fortran, raw = state
        self.value = array(shape, dtype, raw, fortran=bool(fortran)) or ()


class StorageType(Noun, frozen=True, kw_only=True):
    """torch.FloatStorage and its kin; "" is UntypedStorage."""

    dtype: str


def array(shape: Any, dtype: Any, raw: Any, *, fortran: bool = False) -> Tensor | None:
    """An array whose bytes are in the pickle; None for one of objects, or of another kind that is not read."""
    kind = dtype.known() if isinstance(dtype, ArrayType) else None
    if kind is None or not isinstance(raw, (bytes, bytearray)):
        return None
    shape = tuple(int(side) for side in shape)
    if any(side < 0 for side in shape) or prod(shape) * kind.width != len(raw):
        raise ValueError("an array has other bytes than its shape needs")
    data: Any = Held(bytes(raw))
    if fortran and len(shape) > 1:
        data = View(data, kind.width, shape, [prod(shape[:axis]) for axis in range(len(shape))])
    return Tensor(name="", dtype=kind.name, shape=shape, bytes=data.size, data=data)


def contents(path: str) -> Contents:
    """The arrays and plain values of a plain pickle.

    Raises:
        Broken: it is damaged, or of the old format of torch, whose storages are not read here.
    """
    with opened(path) as file:
        if file.at(2, len(_OLD_TORCH)) == _OLD_TORCH:
            return Contents(
                format="torch before 1.6", refused=["torch.save's format before 1.6 (load it and save it again)"]
            )
        if file.size > unpickle.LARGEST:
            raise file.wrong(f"it has {file.size} bytes, more than a pickle of settings can")
        root, refused = unpickle.load(file.at(0, file.size), file.name, KNOWN, _no_storage)
    found = Flat(root, os.path.basename(path))
    return Contents(format="pickle", tensors=found.tensors, values=found.values, refused=refused)


def _no_storage(_: Any) -> Any:
    raise TypeError("it refers to something outside of it")


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    kind = dtype.known() if isinstance(dtype, ArrayType) else None
    if kind is None or kind.array not in _SCALARS:
        return unpickle.Foreign("numpy scalar")
    return struct.unpack(f"<{_SCALARS[kind.array]}", raw if isinstance(raw, bytes) else raw.encode("latin1"))[0]


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1" if encoding == "latin1" else "utf-8")


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: str = "C") -> Any:
    return array(shape, dtype, raw, fortran=order == "F")


def _a_dict(*arguments: Any) -> dict[Any, Any]:
    """OrderedDict, from nothing or from pairs as Python 2 wrote them."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], (list, tuple, dict)) else ()
    return dict(pairs)


def _container(make: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda items=(): make(items) if isinstance(items, (list, tuple, set, frozenset, dict)) else make(())


def _bytes(*arguments: Any) -> bytes:
    raw = arguments[0] if arguments else b""
    return raw.encode("latin1") if isinstance(raw, str) else bytes(raw) if isinstance(raw, (bytes, bytearray, list)) else b""


def _typed(function: Any, _type: Any, arguments: Any, _state: Any = None) -> Any:
    """torch._tensor._rebuild_from_type_v2: a subclass of a tensor is the tensor."""
    return unpickle.call(function, arguments)


def _torch() -> dict[str, Meaning]:
    """Those of torch that need no archive."""
    storages = {
        name: Constant(StorageType(dtype=dtypes.BY_STORAGE.get(name, ""))) for name in (*dtypes.BY_STORAGE, "UntypedStorage")
    }
    return {
        **{f"torch.{name}": Constant(name) for name in dtypes.BY_NAME},
        **{f"{module}.{name}": kind for module in ("torch", "torch.storage") for name, kind in storages.items()},
        "torch.Size": lambda sides=(): tuple(sides),
        "torch.device": lambda *parts: ":".join(map(str, parts)),
        "torch.nn.parameter.Parameter": lambda data=None, *_: data,
        "torch.Tensor": lambda *_: None,
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
        "torch._tensor._rebuild_from_type_v2": _typed,
        "torch.serialization._get_layout": lambda name: name,
    }


def _numpy() -> dict[str, Meaning]:
    core: dict[str, Meaning] = {
        "multiarray.scalar": _scalar,
        "multiarray._reconstruct": Array,
        "numeric._frombuffer": _from_buffer,
    }
    both = {f"{module}.{name}": make for module in ("numpy.core", "numpy._core") for name, make in core.items()}
    return {**both, "numpy.dtype": ArrayType, "numpy.ndarray": Array}


KNOWN: dict[str, Meaning] = {
    "collections.OrderedDict": _a_dict,
    "collections.defaultdict": lambda *_: {},
    "collections.Counter": _a_dict,
    "_codecs.encode": _encoded,
    **_numpy(),
    **_torch(),
}
for _module in ("builtins", "__builtin__"):
    KNOWN.update({f"{_module}.{kind.__name__}": _container(kind) for kind in (list, tuple, set, frozenset, dict)})
    KNOWN.update({f"{_module}.bytearray": _bytes, f"{_module}.bytes": _bytes, f"{_module}.complex": complex})
