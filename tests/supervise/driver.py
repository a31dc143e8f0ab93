"""Runs `supervise` on a ground of plain files, so that tests drive it with signals and read what it did.

    driver.py WORLD [key=value …] -- COMMAND…

WORLD is a directory: log.txt and the request file's directory `local` are made in it, `ledger.jsonl`, `answers.jsonl`, `progress.jsonl`
are written as it goes, `ended.json` at the end, `inbox/*.json` is read. Keys are those of Spec, and end=SECONDS (time limit from now),
lease=FILE (lost when the file is gone), beat=SECONDS and linger=SECONDS.
"""

from __future__ import annotations

import json
import os
import sys
import time

from ckptrun.supervise.signals import Intake

INTAKE = Intake()
INTAKE.__enter__()

import msgspec  # noqa: E402

from ckptrun import errors  # noqa: E402
from ckptrun.model import Checkpoint, Learned, Request  # noqa: E402
from ckptrun.supervise import loop, machine  # noqa: E402
from ckptrun.supervise.spec import Spec  # noqa: E402


class FileGround:
    def __init__(self, world, options):
        self.world, self.options = world, options
        self.until = time.time() + float(options["end"]) if "end" in options else None

    def _append(self, name, /, **fields):
        with open(os.path.join(self.world, name), "a") as file:
            file.write(json.dumps({"at": time.time(), **fields}) + "\n")

    def clock(self):
        return time.time()

    def beat(self):
        self._append("beats.jsonl")
        return "lease" not in self.options or os.path.exists(self.options["lease"])

    def glance(self):
        self._append("glances.jsonl")
        return float(self.options["glance"]) if "glance" in self.options else None

    def inbox(self):
        found = []
        folder = os.path.join(self.world, "inbox")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found.append(msgspec.json.decode(file.read(), type=Request))
            os.unlink(path)
        return found

    def news(self):
        return []

    def elsewhere(self):
        return 0

    def end_elsewhere(self):
        pass

    def pass_on(self, action, reason, cause):
        pass

    def end_time(self):
        return self.until, "time limit"

    def saved_since(self, unix_time):
        path = os.path.join(self.world, "saved")
        if os.path.exists(path) and os.stat(path).st_mtime >= unix_time:
            return Checkpoint(name="saved", path=path, directory=self.world, layout="single", step=7)
        return None

    def publish(self, request):
        self._append("published.jsonl", request=msgspec.to_builtins(request))

    def answer(self, request_id, ok, text, checkpoint):
        self._append("answers.jsonl", id=request_id, ok=ok, text=text, checkpoint=checkpoint)

    def mark_stopped(self, by):
        self._append("stopped.jsonl", by=by)

    def record(self, event, /, **fields):
        self._append("ledger.jsonl", event=event, **fields)

    def progress(self, fields):
        self._append("progress.jsonl", **fields)


def main():
    split = sys.argv.index("--")
    world, pairs, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1 :]
    options = dict(pair.split("=", 1) for pair in pairs)
    local = os.path.join(world, "local")
    os.makedirs(local, mode=0o700, exist_ok=True)
    env = dict(os.environ)
    env.update(
        CKPTRUN="0",
        CKPTRUN_RUN_DIR=world,
        CKPTRUN_ATTEMPT="3",
        CKPTRUN_ATTEMPT_ID="id-of-attempt-3",
        CKPTRUN_REQUEST_FILE=os.path.join(local, "request.json"),
        CKPTRUN_NOTIFY=os.path.join(local, "notify"),
        PYTHONUNBUFFERED="1",
    )
    kinds = {"grace": float, "term_to_kill": float, "stall_timeout": float, "save_signal": int, "verbosity": int}
    spec = {
        key: kinds.get(key, str)(value) for key, value in options.items() if key in Spec.__struct_fields__ and key != "beat"
    }
    for key in ("grace_given", "save_signal_given", "stdout_to_stderr"):
        spec[key] = options.get(key) == "1"
    if "learned" in options:
        spec["learned"] = msgspec.json.decode(options["learned"], type=Learned)
    if "beat" in options:
        loop.BEAT = float(options["beat"])
    if "linger" in options:
        machine.LINGER_SECONDS = float(options["linger"])
    spec = {"argv": command, "env": env, "cwd": os.getcwd(), "attempt": 3, "attempt_id": "id-of-attempt-3", **spec}
    try:
        ended = loop.run(Spec(attempt_dir=world, local_dir=local, **spec), FileGround(world, options), INTAKE)
    except errors.CkptrunError as error:
        os.write(2, f"error: {error.message}\nhint: {error.hint}\n".encode())
        raise SystemExit(error.exit_code) from None
    with open(os.path.join(world, "ended.json"), "wb") as file:
        file.write(msgspec.json.encode(ended))


if __name__ == "__main__":
    main()
