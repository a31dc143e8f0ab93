"""Counts to 12 and saves every third step; the first attempt fails at step 5, the second is told to leave at step 8."""

import json
import os
import signal
import time

import ckptrun

run = ckptrun.attach()
attempt = int(os.environ["CKPTRUN_ATTEMPT"])
state, start = {"sum": 0}, 0
if run.resume_from:
    state, start = json.loads((run.resume_from / "state.json").read_text()), run.resume_step + 1
for step in range(start, 12):
    state["sum"] += step
    if (attempt, step) == (1, 5):
        raise SystemExit(3)
    if (attempt, step) == (2, 8):
        os.kill(os.getppid(), signal.SIGUSR1)
        while not run.should_save(step) and not run.should_stop:
            time.sleep(0.01)
        with run.checkpoint(step, metrics={"sum": state["sum"], "loss": float("nan")}) as folder:
            (folder / "state.json").write_text(json.dumps(state))
    elif run.should_save(step, metrics={"sum": state["sum"]}):
        with run.checkpoint(step, metrics={"sum": state["sum"]}) as folder:
            (folder / "state.json").write_text(json.dumps(state))
    if run.should_stop:
        break
else:
    with open(os.path.join(os.environ["CKPTRUN_OUTPUT_DIR"], "sum.txt"), "w") as file:
        file.write(f"{state['sum']}\n")
    run.done("counted")
