"""A training that really runs under `ckptrun train`, for the verbs that talk to it."""

from __future__ import annotations

from contextlib import contextmanager

from support import start_ckptrun, write_files

TRAIN = """\
import sys, time
import ckptrun
run = ckptrun.attach()
mode, total = sys.argv[1], int(sys.argv[2])

def save(step):
    with run.checkpoint(step) as folder:
        if mode in ("fails", "dies"):
            raise OSError("the GPU has left")
        (folder / "state.txt").write_text(str(step))
    print("saved", step, flush=True)

start = run.resume_step + 1 if run.resume_from else 0
print("ready at", start, flush=True)
for step in range(start, total):
    time.sleep(0.02)
    if mode == "deaf":
        continue
    if run.should_save(step, total=total, metrics={"loss": 1 / (step + 1)}):
        try:
            save(step)
        except OSError:
            if mode == "dies":
                raise
    if run.should_stop and mode != "fails":
        break
else:
    run.done()
"""
FOREVER = 10**6


@contextmanager
def training(here, mode="listens", *options, total=FOREVER):
    """`ckptrun train` of a script that is ready when the block begins; it saves every 25 steps.

    `mode`: listens | deaf (never looks at a request) | fails (cannot save, goes on) | dies (of a save that was asked for).
    """
    every = "25" if mode == "listens" else str(FOREVER)
    write_files(here, {"train.py": TRAIN})
    with start_ckptrun("train", "--run", "live", "--every", every, *options, "train.py", mode, str(total), cwd=here) as it:
        it.wait_for("^ready at ")
        yield it
