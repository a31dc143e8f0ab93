"""HDF5 (.h5, .hdf5, Keras' .weights.h5): through h5py, where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckptrun import errors, names
from ckptrun.checkpoints.reading import Broken
from ckptrun.state import dtypes
from ckptrun.state.data import rechunked
from ckptrun.state.tensor import Contents, simple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 22  # bytes read at once


def contents(path: str) -> Contents:
    """All datasets of the file, under their paths with dots.

    Raises:
        Broken: it is damaged.
        UsageError: h5py is not installed.
    """
    tensors, refused = [], []
    with _file(path) as file:
        for name, dataset in _datasets(file, ""):
            known = dtypes.BY_ARRAY.get(dataset.dtype.str.lstrip("<|=")) if dataset.shape is not None else None
            if known is None:
                refused.append(f"{name} (numpy dtype {dataset.dtype})")
            else:
                tensors.append(
                    simple(name, known.name, dataset.shape, _Dataset(path, dataset.name, dataset.size * known.width))
                )
    return Contents(format="hdf5", tensors=tensors, refused=refused)


class _Dataset:
    whole = False

    def __init__(self, path: str, name: str, size: int) -> None:
        self.path, self.name, self.size = path, name, size

    def blocks(self) -> Iterator[bytes]:
        with _file(self.path) as file:
            yield from rechunked(_rows(file[self.name]), self.size, self.path)


def _rows(dataset: Any) -> Iterator[bytes]:
    """Row after row of the first axis, some at a time."""
    if not dataset.shape:
        yield dataset[()].tobytes()
        return
    rows = dataset.shape[0]
    at_once = max(1, _PIECE * rows // max(dataset.size * dataset.dtype.itemsize, 1))
    for first in range(0, rows, at_once):
        yield dataset[first : first + at_once].tobytes()


def _datasets(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Hard links only: soft and external ones may lead anywhere."""
    import h5py  # noqa: PLC0415  # as below

    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            continue
        item, name = group[key], f"{prefix}{key}"
        if isinstance(item, h5py.Dataset):
            yield name, item
        elif isinstance(item, h5py.Group) and name.count(".") < 64:
            yield from _datasets(item, f"{name}.")


def _file(path: str) -> Any:
    try:
        import h5py  # noqa: PLC0415  # only where there is such a file
    except ImportError:
        raise errors.UsageError(f"{path} is HDF5, which h5py reads, and that is not installed", "pip install h5py") from None
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise Broken(names.CORRUPT, f"{path} cannot be opened as HDF5: {error}") from error
