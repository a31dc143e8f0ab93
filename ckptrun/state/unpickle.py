"""Pickles, read without running anything that they ask for: an interpreter of their opcodes (pickletools) that imports nothing.

A pickle's GLOBAL names a function or class. Those in `known` stand for functions of ours; any other becomes `Foreign`: it is never
looked up and never called, and its name is told. So a pickle can neither run code nor use more memory than its bytes are worth.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any

from ckptrun import names
from ckptrun.checkpoints.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    Meaning: TypeAlias = "Callable[..., Any] | Constant"

LARGEST = 256 << 20  # bytes: tensors' numbers are not in it
_FAILURES = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


class Known:
    """A function or class of which we know what it would make."""

    def __init__(self, name: str, make: Callable[..., Any]) -> None:
        self.name, self.make = name, make


class Constant:
    """A name that stands for a value and is not called."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Late:
    """An object that is told what it is after it was made; `value` is what it stands for, () until then."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = ()

    def build(self, state: Any) -> None:
        """What __setstate__ would be given."""
        self.value = state


class Foreign(Late):
    """Something that only foreign code could make. What it was told of itself can be looked into; nothing of it is run."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def load(data: bytes, name: str, known: Mapping[str, Meaning], persistent: Callable[[Any], Any]) -> tuple[Any, list[str]]:
    """What the pickle holds, and the names of all that was refused. `name` is the file's, for sentences.

    Raises:
        Broken: it is no whole pickle.
    """
    machine = _Machine(known, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
    except Broken:
        raise
    except _FAILURES as error:
        raise Broken(names.CORRUPT, f"{name} is damaged: its pickle is not one: {error}") from error
    return machine.result, sorted(machine.refused)


class _Mark:
    pass


_MARK = _Mark()
_IGNORED = ("PROTO", "FRAME", "READONLY_BUFFER")
_MEMO_PUT = ("PUT", "BINPUT", "LONG_BINPUT")
_MEMO_GET = ("GET", "BINGET", "LONG_BINGET")
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
# opcodes whose argument is the value; pickletools has read it, and no more than the file holds
_LITERALS = (  # noqa: SIM905  # easier to read without quotes
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
).split()


class _Machine:
    """The stack, the memo, and one method for each opcode that does more than push."""

    def __init__(self, known: Mapping[str, Meaning], persistent: Callable[[Any], Any]) -> None:
        self.known, self.persistent = known, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.refused: set[str] = set()
        self.result: Any = None

    def step(self, opcode: str, argument: Any) -> None:
        """One opcode."""
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode]())
        elif opcode in _MEMO_PUT:
            self.memo[int(argument)] = self.stack[-1]
        elif opcode in _MEMO_GET:
            self.stack.append(self.memo[int(argument)])
        elif opcode not in _IGNORED:
            handler = getattr(self, f"_{opcode.lower()}", None)
            if handler is None:
                raise ValueError(f"{opcode} is not read here")
            handler(argument)

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _stop(self, _: Any) -> None:
        self.result = self.stack.pop()

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    # --- containers
    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _tuple1(self, _: Any) -> None:
        self._tuple_of(1)

    def _tuple2(self, _: Any) -> None:
        self._tuple_of(2)

    def _tuple3(self, _: Any) -> None:
        self._tuple_of(3)

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _dict(self, _: Any) -> None:
        self.stack.append(_pairs(self._since_mark()))

    def _frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(self._since_mark()))

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _additems(self, _: Any) -> None:
        items = self._since_mark()
        if isinstance(self.stack[-1], set):
            self.stack[-1].update(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._since_mark())

    # --- what would be calls
    def _global(self, argument: Any) -> None:
        self.stack.append(self._named(str(argument).replace(" ", ".", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._named(f"{module}.{name}"))

    def _inst(self, argument: Any) -> None:
        arguments = tuple(self._since_mark())
        self._call(self._named(str(argument).replace(" ", ".", 1)), arguments)

    def _obj(self, _: Any) -> None:
        function, *arguments = self._since_mark()
        self._call(function, tuple(arguments))

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._call(function, arguments)

    def _newobj(self, _: Any) -> None:
        self._reduce(None)

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()  # keyword arguments: nothing that we know has any
        self._reduce(None)

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        build = getattr(self.stack[-1], "build", None)
        if build is not None:
            build(state)

    def _persid(self, argument: Any) -> None:
        self.stack.append(self.persistent(argument))

    def _binpersid(self, _: Any) -> None:
        self.stack.append(self.persistent(self.stack.pop()))

    # --- helpers
    def _named(self, name: str) -> Any:
        meaning = self.known.get(name)
        if isinstance(meaning, Constant):
            return meaning.value
        if meaning is not None:
            return Known(name, meaning)
        self.refused.add(name)
        return Foreign(name)

    def _call(self, function: Any, arguments: Any) -> None:
        if isinstance(function, Known):
            self.stack.append(call(function, arguments))
        else:
            self.stack.append(Foreign(function.name if isinstance(function, Foreign) else "something"))

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _tuple_of(self, count: int) -> None:
        items = self.stack[-count:]
        if len(items) < count:
            raise ValueError("the stack is empty")
        del self.stack[-count:]
        self.stack.append(tuple(items))

    def _extend(self, items: Iterable[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _update(self, flat: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(_pairs(flat))


def call(function: Any, arguments: Any) -> Any:
    """What a known function makes of its arguments; something foreign where it, or one of them, is."""
    if not isinstance(function, Known):
        return Foreign(getattr(function, "name", "something"))
    if not isinstance(arguments, tuple):
        raise TypeError(f"{function.name} is not given a tuple of arguments")
    return function.make(*arguments)


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
