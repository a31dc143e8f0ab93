"""Saves, one for each of the steps in argv[1], and the proof of completion: what the crash tests strike. Says `ack NAME` after each."""

import json
import os
import pathlib
import sys

import xxhash

import ckptrun
import ckptrun.client.saving
from ckptrun.client.manifest import now_text

assert all((json, pathlib, xxhash, now_text))  # all that a save imports when it needs it

run = ckptrun.attach()
os.access("/ckptrun: the imports are done", os.F_OK)


def say(text):
    os.write(1, f"{text}\n".encode())


for step in map(int, sys.argv[1].split(",")):
    with run.checkpoint(step, metrics={"loss": 1 / step}) as folder:
        (folder / "state.pt").write_bytes(b"%d" % step * 500)
        (folder / "sub").mkdir()
        (folder / "sub" / "more").write_bytes(b"more")
        if len(sys.argv) > 2:  # another attempt takes the run over while this one saves
            beside = f"{sys.argv[2]}/lease.new"
            with open(beside, "w") as file:
                json.dump({"attempt_id": "the next attempt"}, file)
            os.replace(beside, f"{sys.argv[2]}/lease.json")
    say(f"ack step-{step:08d}")
run.done("all steps")
say("done")
