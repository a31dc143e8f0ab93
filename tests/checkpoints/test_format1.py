"""A checkpoint that the first released format wrote (format1/): every later version reads it, to the last field and byte.

It is never regenerated. A change that fails here needs a new format number and a reader for both.
"""

import math
import os

from ckptrun import names
from ckptrun.checkpoints import manifest, scan, verify
from ckptrun.model import FileEntry

HOME = os.path.join(os.path.dirname(__file__), "format1")


def test_its_manifest_is_read_to_the_last_field():
    found = manifest.read(os.path.join(HOME, "step-00000120"))
    assert found.format == 1
    assert (found.step, found.epoch, found.created) == (120, 1.5, "2026-11-20T19:38:05.250Z")
    assert (found.run, found.attempt, found.attempt_id) == ("digits-3f9a1c", 3, "0f8fad5b-d9cb-469f-a165-70867728950e")
    assert (found.reason, found.request, found.parent) == ("every", "", "step-00000100")
    assert found.metrics == {"loss": 0.25, "grad": None, "best": None}
    assert found.nonfinite == {"grad": "nan", "best": "-inf"}
    assert found.seconds >= 0
    assert found.files[0] == FileEntry(path="empty", size=0, xxh3_128="99aa06d3014798d86001c324468d497f")
    assert [entry.path for entry in found.files] == ["empty", "state.json", "rank 0/öpt.bin"]


def test_it_is_found_and_whole():
    (found,) = scan.scan_run(HOME, "")
    assert (found.step, found.attempt, found.state, found.time) == (120, 3, names.COMPLETE, 1795203485.25)
    assert math.isnan(found.metrics["grad"])
    assert verify.deep(found) == (names.COMPLETE, "")
