"""A training whose every step is recorded: state is a chain of hashes, so that a lost or doubled step shows in the end.

puppet.py STEPS SECONDS [--save-seconds S]

A step takes SECONDS, until there is a file `hurry`.
"""

import argparse
import hashlib
import json
import os
import time

import ckptrun


def main() -> None:
    options = parse()
    run = ckptrun.attach()
    state, start = b"", 0
    if run.resume_from:
        state, start = (run.resume_from / "state").read_bytes(), run.resume_step + 1
    say(options, event="start", step=start, node=os.environ.get("SLURMD_NODENAME", ""))
    for step in range(start, options.steps):
        pause(options)
        state = hashlib.sha256(state + str(step).encode()).digest()
        say(options, event="step", step=step)
        if run.should_save(step, total=options.steps):
            with run.checkpoint(step) as folder:
                time.sleep(options.save_seconds)
                (folder / "state").write_bytes(state)
            say(options, event="saved", step=step)
        if run.should_stop:
            say(options, event="stopped", step=step)
            break
    else:
        (run.output_dir / "final").write_bytes(state)
        run.done()
        say(options, event="done", step=options.steps)


def pause(options: argparse.Namespace) -> None:
    time.sleep(0 if os.path.exists("hurry") else options.seconds)


def say(options: argparse.Namespace, **event: object) -> None:
    line = {"attempt": int(os.environ.get("CKPTRUN_ATTEMPT", "0")), "time": time.time(), **event}
    with open(options.log, "a") as file:
        file.write(json.dumps(line) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("steps", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--save-seconds", type=float, default=0)
    parser.add_argument("--log", default="steps.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    main()
