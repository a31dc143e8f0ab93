"""The fast CRC-32 is zlib's."""

import sys
import zlib

from hypothesis import given
from hypothesis import strategies as st

from ckptrun.checkpoints.kinds import crc


@given(st.binary(), st.binary())
def test_it_is_zlib_s(first, second):
    add = crc.crc32()
    assert add is not zlib.crc32, "the extra `fast` is among those of the tests"
    assert add(memoryview(second), add(first, 0)) == zlib.crc32(first + second)


def test_without_the_extra_zlib_s_own_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    assert crc.crc32.__wrapped__() is zlib.crc32
