"""Checkpoints to damage: ours, written by the client itself, and files of many kinds, written by the libraries that own them."""

from __future__ import annotations

import json
import os

import pytest

from ckptrun import names
from ckptrun.client.place import Place
from ckptrun.client.run import Run
from ckptrun.policy.cadence import Every


class Home:
    """The directories of a run, and a client that saves into them."""

    def __init__(self, root):
        self.root = root
        self.checkpoints = os.path.join(root, names.CHECKPOINTS)
        self.attempts = os.path.join(root, names.ATTEMPTS)
        self.trash = os.path.join(root, names.TRASH)
        os.mkdir(self.checkpoints)
        os.mkdir(self.attempts)

    def save(self, step, files=None, attempt=1, **more):
        with open(os.path.join(self.root, names.LEASE_JSON), "w") as file:
            json.dump({"attempt_id": str(attempt)}, file)
        env = {
            names.ENV: "1",
            names.ENV_RUN: "digits",
            names.ENV_RUN_DIR: self.root,
            names.ENV_ATTEMPT: str(attempt),
            names.ENV_ATTEMPT_ID: str(attempt),
            names.ENV_CHECKPOINT_DIR: self.checkpoints,
        }
        with Run(Place(env), Every(), agree=None, signals=False).checkpoint(step, **more) as folder:
            for name, body in (files or {"state": b"s" * 100, "sub/more": b"m" * 10}).items():
                os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
                (folder / name).write_bytes(body)
        return os.path.join(self.checkpoints, f"step-{step:08d}")

    def output(self, attempt, files, *, time=None):
        """Files in an attempt's output, as a script that knows nothing writes them."""
        place = os.path.join(self.attempts, f"{attempt:04d}", names.OUTPUT)
        for name, body in files.items():
            path = os.path.join(place, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(body)
            if time is not None:
                os.utime(path, (time, time))
        return place


@pytest.fixture
def home(tmp_path):
    return Home(os.fspath(tmp_path))
