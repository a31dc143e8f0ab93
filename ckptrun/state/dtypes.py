"""Kinds of numbers: by their names in numpy and torch, their width, and what they are called in safetensors and in .npy. PURE."""

from __future__ import annotations

from ckptrun.model import Noun

FLOAT, INTEGER, COMPLEX, OTHER = "float", "integer", "complex", "other"


class Dtype(Noun, frozen=True, kw_only=True):
    """One kind. `code` is safetensors' name and `array` .npy's, "" where there is none."""

    name: str
    kind: str
    width: int  # bytes
    code: str = ""
    array: str = ""


_TABLE = (
    Dtype(name="float64", kind=FLOAT, width=8, code="F64", array="f8"),
    Dtype(name="float32", kind=FLOAT, width=4, code="F32", array="f4"),
    Dtype(name="float16", kind=FLOAT, width=2, code="F16", array="f2"),
    Dtype(name="bfloat16", kind=FLOAT, width=2, code="BF16"),
    Dtype(name="float8_e4m3fn", kind=FLOAT, width=1, code="F8_E4M3"),
    Dtype(name="float8_e5m2", kind=FLOAT, width=1, code="F8_E5M2"),
    Dtype(name="float8_e8m0fnu", kind=OTHER, width=1, code="F8_E8M0"),
    Dtype(name="float8_e4m3fnuz", kind=OTHER, width=1, code="F8_E4M3FNUZ"),
    Dtype(name="float8_e5m2fnuz", kind=OTHER, width=1, code="F8_E5M2FNUZ"),
    Dtype(name="int64", kind=INTEGER, width=8, code="I64", array="i8"),
    Dtype(name="int32", kind=INTEGER, width=4, code="I32", array="i4"),
    Dtype(name="int16", kind=INTEGER, width=2, code="I16", array="i2"),
    Dtype(name="int8", kind=INTEGER, width=1, code="I8", array="i1"),
    Dtype(name="uint64", kind=INTEGER, width=8, code="U64", array="u8"),
    Dtype(name="uint32", kind=INTEGER, width=4, code="U32", array="u4"),
    Dtype(name="uint16", kind=INTEGER, width=2, code="U16", array="u2"),
    Dtype(name="uint8", kind=INTEGER, width=1, code="U8", array="u1"),
    Dtype(name="bool", kind=INTEGER, width=1, code="BOOL", array="b1"),
    Dtype(name="complex64", kind=COMPLEX, width=8, code="C64", array="c8"),
    Dtype(name="complex128", kind=COMPLEX, width=16, array="c16"),
)
BY_NAME = {each.name: each for each in _TABLE}
BY_CODE = {each.code: each for each in _TABLE if each.code}
BY_ARRAY = {each.array: each for each in _TABLE if each.array}
# What they are called by the types of torch's storages, torch/storage.py
BY_STORAGE = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
# Other names, as GoMLX has them, in small letters
_ALIASES = {"f8e4m3fn": "float8_e4m3fn", "f8e5m2": "float8_e5m2", "f64": "float64", "f32": "float32", "f16": "float16"}
_ALIASES.update({"bf16": "bfloat16", "s64": "int64", "s32": "int32", "s16": "int16", "s8": "int8", "u64": "uint64"})
_ALIASES.update({"u32": "uint32", "u16": "uint16", "u8": "uint8", "pred": "bool", "c64": "complex64", "c128": "complex128"})


def named(text: str) -> Dtype | None:
    """By any of its names, whatever the letters' size."""
    lower = text.lower()
    return BY_NAME.get(_ALIASES.get(lower, lower))
