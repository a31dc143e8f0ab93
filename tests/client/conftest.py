"""A run's surroundings as ckptrun makes them for a script: the variables, a lease, a request file, a socket that is listened to."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile

import pytest
import support

from ckptrun import names
from ckptrun.client.place import Place
from ckptrun.client.run import Run
from ckptrun.policy.cadence import Every


class World:
    """One run with an attempt in it; `run()` attaches in this process, `script()` runs a script in another."""

    def __init__(self, root, attempt=1):
        self.root = os.fspath(root)
        self.dir = os.path.join(self.root, "runs", "digits")
        self.checkpoints = os.path.join(self.dir, names.CHECKPOINTS)
        os.makedirs(self.checkpoints)
        self.local = tempfile.mkdtemp(prefix="ckptrun-test-")  # a socket's path is short
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(self.local, "notify"))
        self.socket.setblocking(False)
        self.request_file = os.path.join(self.local, "request.json")
        self.begin(attempt)

    def begin(self, attempt, attempt_id=None):
        """The lease goes to this attempt."""
        self.attempt, self.attempt_id = attempt, attempt_id or f"id-of-{attempt}"
        os.makedirs(os.path.join(self.dir, names.ATTEMPTS, f"{attempt:04d}", names.OUTPUT))
        self.lease(self.attempt_id)

    def lease(self, attempt_id):
        beside = os.path.join(self.dir, "lease.new")
        with open(beside, "w") as file:
            json.dump({"format": 1, "attempt_id": attempt_id}, file)
        os.replace(beside, os.path.join(self.dir, names.LEASE_JSON))

    def env(self, **more):
        attempt = os.path.join(self.dir, names.ATTEMPTS, f"{self.attempt:04d}")
        given = {
            names.ENV: names.VERSION,
            names.ENV_RUN: "digits",
            names.ENV_RUN_DIR: self.dir,
            names.ENV_ATTEMPT: str(self.attempt),
            names.ENV_ATTEMPT_ID: self.attempt_id,
            names.ENV_CHECKPOINT_DIR: self.checkpoints,
            names.ENV_OUTPUT_DIR: os.path.join(attempt, names.OUTPUT),
            names.ENV_INPUT_DIR: os.path.join(attempt, names.INPUT),
            names.ENV_REQUEST_FILE: self.request_file,
            names.ENV_NOTIFY: os.path.join(self.local, "notify"),
        }
        return {**given, **{key: str(value) for key, value in more.items()}}

    def run(self, every="1000", agree=None, **more):
        return Run(Place(self.env(**more)), Every(every), agree=agree, signals=False)

    def script(self, text, **more):
        path = os.path.join(self.root, "script.py")
        support.write_files(self.root, {"script.py": text})
        return support.run([sys.executable, path], cwd=self.root, env=self.env(**more))

    def ask(self, action=names.SAVE, id="r1", **more):  # noqa: A002
        body = {"format": 1, "id": id, "attempt": self.attempt, "action": action, "reason": "SIGUSR2", **more}
        beside = self.request_file + ".new"
        with open(beside, "w") as file:
            json.dump(body, file)
        os.replace(beside, self.request_file)

    def answer(self):
        os.unlink(self.request_file)

    def heard(self, *keys):
        """The datagrams since the last call, those that have one of `keys`."""
        found = []
        while True:
            try:
                found.append(json.loads(self.socket.recv(4096)))
            except BlockingIOError:
                return [item for item in found if not keys or set(keys) & set(item)]

    def names(self):
        return sorted(os.listdir(self.checkpoints))

    def manifest(self, name):
        with open(os.path.join(self.checkpoints, name, names.MANIFEST)) as file:
            return json.load(file)

    @staticmethod
    def save(run, step, files=None, **more):
        """One save of `files` (name → bytes)."""
        with run.checkpoint(step, **more) as folder:
            for name, content in (files or {"state": b"x" * 100}).items():
                path = os.path.join(folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(content)
        return folder

    def close(self):
        self.socket.close()
        for name in os.listdir(self.local):
            os.unlink(os.path.join(self.local, name))
        os.rmdir(self.local)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()
