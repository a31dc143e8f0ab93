"""Makes directories of checkpoints from one line for each file: a path, what kind of file, its size or text, its time.

    step-10/.metadata    bytes    1152    3
    last.ckpt            link     epoch=3.ckpt

Kinds: zip, cut (a zip without its end), safetensors, hdf5, pickle, bytes, zeros, empty, text (a JSON string), link, hardlink, directory.
"""

import io
import json
import os
import zipfile

from ckptrun.checkpoints.kinds import crc32c

HERE = os.path.join(os.path.dirname(__file__), "layouts")
EPOCH = 1_700_000_000  # Unix seconds of time 0


def recorded():
    """The lines of each directory that was recorded, by its name."""
    trees, current = {}, []
    with open(os.path.join(HERE, "trees.txt"), encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("# "):
                current = trees.setdefault(line[2:], [])
            elif line:
                current.append(line)
    return {name: lines for name, lines in trees.items() if lines}


def plant(root, lines):
    """Make the files that the lines describe; a line without a kind is a whole zip, or a directory if it ends in /."""
    for line in lines:
        path, *rest = line.split("\t")
        kind, what, time = (*rest, "", "", "")[:3]
        if not kind:
            kind = "directory" if path.endswith("/") else "zip"
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full.rstrip("/")), exist_ok=True)
        _make(full, root, kind, what)
        if kind not in ("link", "directory"):
            os.utime(full, (EPOCH + float(time or 0),) * 2)


def _make(full, root, kind, what):
    if kind == "directory":
        os.makedirs(full, exist_ok=True)
    elif kind == "link":
        os.symlink(what, full)
    elif kind == "hardlink":
        os.link(os.path.join(root, what), full)
    else:
        with open(full, "wb") as file:
            file.write(_of_name(full, int(what or 400)) if kind == "bytes" else body(kind, what))


def _of_name(full, size):
    """Bytes that nobody can tell from those that the name promises."""
    name = os.path.basename(full)
    if name in ("_METADATA", "_CHECKPOINT_METADATA", "_sharding") or name.endswith(".ubj"):
        return b"{".ljust(size - 1) + b"}"
    return _table() if name.endswith(".index") else body("bytes", size)


def _table():
    """A table as TensorFlow writes it, of no tensor in one shard."""
    block = b"\0\0\2\x08\1" + b"\0\0\0\0\1\0\0\0"  # key "", value: one shard; one restart, at 0
    index = b"\0\0\2\0" + bytes([len(block)]) + b"\0\0\0\0\1\0\0\0"
    blocks = b"".join(
        part + b"\0" + crc32c.masked(crc32c.of([part + b"\0"])).to_bytes(4, "little") for part in (block, index)
    )
    handles = bytes([0, len(block), len(block) + 5, len(index)])  # the first is of what is not used
    return blocks + handles.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def body(kind, what=""):
    """The bytes of one file; `what` is its size, or the text."""
    return _BODIES[kind](what if kind == "text" else int(what or 400))


def _text(what):
    return json.loads(what).encode()


def _zip(size):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data/0", os.urandom(1) * max(size - 130, 1))
    return out.getvalue()


def _safetensors(size):
    size = max(size - 120, 8)
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode().ljust(112)
    return len(header).to_bytes(8, "little") + header + b"\1" * size


def _hdf5(size):
    head = b"\x89HDF\r\n\x1a\n" + bytes([2, 8, 8, 0]) + bytes(16) + size.to_bytes(8, "little")
    return head.ljust(size, b"\1")


_BODIES = {
    "text": _text,
    "zip": _zip,
    "cut": lambda size: _zip(2 * size)[:size],
    "safetensors": _safetensors,
    "hdf5": _hdf5,
    "pickle": lambda size: b"\x80\x04N".ljust(size - 1, b"0") + b".",
    "bytes": lambda size: b"\1" * size,
    "zeros": bytes,
    "empty": lambda _: b"",
}
