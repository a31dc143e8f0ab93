"""One save: `with run.checkpoint(step) as folder:`. The block writes into the folder; leaving it is the commit."""

from __future__ import annotations

import os
import pathlib
import time

from ckptrun.client import commit, early, manifest
from ckptrun.client.notify import clipped, say, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any

    from ckptrun.client.contents import File
    from ckptrun.client.early import Early
    from ckptrun.client.notify import Notify
    from ckptrun.client.place import Place

WORTH_A_THREAD = 32 << 20  # bytes of the save before: smaller states are hashed in no time


class Saving:
    """A save from the moment its folder exists to the acknowledgement.

    When the block or the commit raises, the folder is removed, one line says so, and the exception goes on to the caller.
    When this attempt has saved this very step already, the block still gets a folder, which is discarded: that checkpoint stands.
    """

    def __init__(
        self,
        place: Place,
        notify: Notify,
        fields: Mapping[str, Any],
        ended: Callable[[str, int], None],
        *,
        large: bool = False,
    ) -> None:
        self._step = fields["step"]
        self._place = place
        self._notify = notify
        self._fields = fields  # of the manifest: step, epoch, metrics, reason, request
        self._ended = ended  # told the checkpoint's name, "" when nothing was saved, and its size
        self._large = large  # worth a thread that hashes while the block writes
        self._folder = ""
        self._early: Early | None = None
        self._size = 0
        self._began = 0.0

    def __enter__(self) -> pathlib.Path:
        self._began = time.monotonic()
        self._notify.send(saving=self._step)
        try:
            commit.require_lease(self._place)
            self._folder = commit.open_folder(self._place, self._step)
            self._early = early.start(self._folder) if self._large and not self._place.rank else None
        except BaseException as error:
            self._failed(error)
            raise
        return pathlib.Path(self._folder)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            self._failed(error)
        elif self._place.rank:
            self._leave_it_to_rank_0()
        else:
            self._commit()

    def _commit(self) -> None:
        try:
            name = commit.saved_already(self._step, self._place)
            if name:
                self._drop()
            else:
                name = commit.commit(self._folder, self._step, self._place, self._describe, self._early)
        except BaseException as error:
            self._failed(error)
            raise
        seconds = round(time.monotonic() - self._began, 3)
        self._notify.send(checkpoint=name, step=self._step, request=self._fields["request"], seconds=seconds)
        self._ended(name, self._size)

    def _describe(self, files: list[File]) -> bytes:
        self._size = sum(file.size for file in files)
        fields = {key: value for key, value in self._fields.items() if key != "metrics"}
        fields.update(
            run=self._place.run,
            attempt=self._place.attempt,
            attempt_id=self._place.attempt_id,
            seconds=round(time.monotonic() - self._began, 3),
            parent=manifest.escape(self._place.parent),
        )
        now = time.time()  # noqa: TID251  # the script's side is where the clock is looked at
        return manifest.encode(files, fields, unix=now, metrics=self._fields["metrics"])

    def _failed(self, error: BaseException) -> None:
        self._notify.send(failed=clipped(f"step {self._step}: {told(error)}"))
        left = self._discard()
        say(f"step {self._step} was not saved: {told(error)}" + (f" ({left})" if left else ""))
        self._ended("", 0)

    def _leave_it_to_rank_0(self) -> None:
        wrote = sorted(os.listdir(self._folder))
        self._drop()
        if wrote:
            say(
                f"rank {self._place.rank}: rank 0's folder is the checkpoint; {len(wrote)} written here not kept: {', '.join(wrote[:3])}"
            )
        self._ended("", 0)

    def _drop(self) -> None:
        """Remove a folder that is not needed."""
        left = self._discard()
        if left:
            say(left)

    def _discard(self) -> str:
        if self._early is not None:
            self._early.join()
        return commit.discard(self._folder) if self._folder else ""
