"""`python -m ckptrun.checkpoints.emptying [--sync DIR]… TRASH…`: a process of its own that unlinks what lies in the trash.

Nobody waits for it: unlinking terabytes takes minutes. If it is killed, the next prune or start does the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ckptrun.checkpoints import trash, unlinking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SYNC = "--sync="


def begin(trashes: Iterable[str], directories: Iterable[str] = (), *, detached: bool = True) -> subprocess.Popen[bytes]:
    """Start it; the names in `directories` are made durable first. A detached one outlives us, our terminal and our signals.

    Raises:
        OSError: no process can be started; the trash is emptied another time.
    """
    syncs = [f"{_SYNC}{os.path.abspath(path)}" for path in directories]
    return subprocess.Popen(
        [sys.executable, "-m", __name__, *syncs, *map(os.path.abspath, trashes)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=detached,
    )


def main(args: Sequence[str]) -> int:
    """Sync, then unlink; 1 if something could not be."""
    os.nice(10)
    trashes = [path for path in args if not path.startswith(_SYNC)]
    try:
        for path in args:
            if path.startswith(_SYNC):
                unlinking.sync(path.removeprefix(_SYNC))
    except OSError:
        return 1  # what is not known to be moved is not unlinked
    left = [line for path in trashes for line in trash.empty(path)]
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
