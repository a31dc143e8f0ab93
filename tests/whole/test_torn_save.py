"""A script that rewrites its one file in place is ended in the middle of that: the earlier attempt's output is taken."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import psutil
import pytest
import support

SCRIPT = os.path.join(support.EXAMPLES, "digits_plain.py")
# 2048 hidden units make a file of 50 MB, written in many pieces: time enough to stop the script between two of them.
COMMAND = [
    *(
        "train",
        "--run",
        "it",
        "--grace",
        "2s",
        "--on-resume",
        "--resume {resume_from}",
        SCRIPT,
        "--out",
        "{output_dir}/state.npz",
    ),
    *("--hidden", "2048", "--log-every", "1", "--save-every", "2", "--steps", "1000", "--step-seconds", "0.3"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", ["KILL", "TERM"])
def test_an_end_in_the_middle_of_a_save_falls_back_to_the_earlier_output(end, tmp_path):
    first, second = (tmp_path / "runs" / "it" / "attempts" / number / "output" / "state.npz" for number in ("0001", "0002"))
    with support.start_ckptrun(*COMMAND, cwd=tmp_path) as it:
        it.wait_for(r"^saved step 1$")  # the next save is more than half a second away
        it.kill_tree()
    with np.load(first) as saved:
        assert saved["step"] == 1

    with support.start_ckptrun(*COMMAND, cwd=tmp_path) as it:
        it.wait_for(r"^continuing after step 1$")
        script = freeze_in_the_middle(it, second, first.stat().st_size)
        if (
            end == "TERM"
        ):  # to everybody, as schedulers do: when ckptrun wakes the script, it ends before it writes another byte
            script.terminate()
            it.signal(signal.SIGTERM)
            assert it.finish() == 75, it.text
        else:
            it.kill_tree()
    assert 0 < second.stat().st_size < first.stat().st_size

    with support.start_ckptrun(*COMMAND, cwd=tmp_path) as it:
        it.wait_for(r"state\.npz is not used: partial: .*cut short")
        it.wait_for(r"from attempts/0001/output/state\.npz")
        it.wait_for(r"^continuing after step 1$")
    assert list((tmp_path / "runs" / "it" / "superseded").rglob("state.npz")), "the torn one is kept"


def freeze_in_the_middle(it, path, full):
    """SIGSTOP to the script while `path` is there but not all of it; it goes on, and the next save is tried, if that came too late."""
    script = next(process for process in it.tree()[1:] if SCRIPT in process.cmdline())
    end = time.monotonic() + support.PATIENCE
    while time.monotonic() < end:
        if 0 < size(path) < full:
            script.suspend()
            support.wait_until(lambda: script.status() == psutil.STATUS_STOPPED)
            if size(path) < full:
                return script
            script.resume()
        time.sleep(0.001)
    raise AssertionError(f"never seen half written; it said:\n{it.text}")


def size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


IN_PLACE = """
import os, sys, time
path = os.path.join(os.environ["CKPTRUN_CHECKPOINT_DIR"], "ckpt.json")
start = int(open(path).read().split('"step": ')[1].split("}")[0]) + 1 if os.path.exists(path) else 0
print(f"starting at {start}", flush=True)
for step in range(start, 10**6):
    time.sleep(0.1)
    text = '{"pad": "%s", "step": %d}' % ("x" * 100_000, step)
    with open(path, "w") as file:
        file.write(text[:50_000])
        file.flush()
        if os.path.exists("tear"):
            print("in the middle", flush=True)
            time.sleep(1000)
        file.write(text[50_000:])
    print(f"saved {step}", flush=True)
"""


@pytest.mark.timeout(300)
def test_a_script_with_one_file_of_a_fixed_name_goes_on_from_the_version_before(tmp_path):
    """As nanoGPT does: always the same ckpt.pt, looked for under its own name. The copy is put back there."""
    support.write_files(tmp_path, {"train.py": IN_PLACE})
    command = ("train", "-v", "--run", "it", "train.py")
    with support.start_ckptrun(*command, cwd=tmp_path) as it:
        it.wait_for("copied aside: attempts/0001/copies/0001/ckpt.json")
        copied = [int(line.split()[1]) for line in it.text.splitlines() if line.startswith("saved ")]
        (tmp_path / "tear").touch()
        it.wait_for("in the middle")
        it.kill_tree()
    (tmp_path / "tear").unlink()
    with support.start_ckptrun(*command, cwd=tmp_path) as it:
        it.wait_for(r"checkpoints/ckpt\.json is not used: partial|checkpoints/ckpt\.json is not used: corrupt")
        it.wait_for("put back from attempts/0001/copies/")
        start = int(it.wait_for(r"^starting at (\d+)$")[1])
    assert 0 < start <= len(copied) + 1
    assert list((tmp_path / "runs" / "it" / "superseded").rglob("ckpt.json")), "the torn one is kept"
