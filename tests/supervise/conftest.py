"""A world for `supervise`: a directory, a driver that runs a command on it, puppets that say when they are ready."""

from __future__ import annotations

import json
import os
import sys

import pytest
from support import Started

DRIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "driver.py")

PRELUDE = """
import os, signal, socket, sys, time, json
def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\\n").encode())
def on(name, leave=None, role=""):
    def handler(number, frame):
        say("got", name, role or os.getpid())
        if leave is not None:
            os._exit(leave)
    signal.signal(getattr(signal, "SIG" + name), handler)
def rest():
    while True:
        time.sleep(1000)
def tell(**message):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(json.dumps(message).encode(), os.environ["CKPTRUN_NOTIFY"])
def request():
    try:
        return json.load(open(os.environ["CKPTRUN_REQUEST_FILE"]))
    except FileNotFoundError:
        return None
"""


class World:
    """What one driver runs on, and what it left."""

    def __init__(self, path: str) -> None:
        self.path = path

    def argv(self, *command: str, **options: object) -> list[str]:
        """The driver's command line."""
        return [sys.executable, DRIVER, self.path, *(f"{key}={value}" for key, value in options.items()), "--", *command]

    def start(self, *command: str, env: dict[str, str] | None = None, **options: object) -> Started:
        """`supervise` a command in the background."""
        return Started(self.argv(*command, **options), cwd=self.path, env=env)

    def script(self, body: str, name: str = "train.py") -> list[str]:
        """A Python puppet: its command line."""
        path = os.path.join(self.path, name)
        with open(path, "w") as file:
            file.write(PRELUDE + body)
        return [sys.executable, path]

    def read(self, name: str) -> list[dict]:
        """One of the files of JSON lines."""
        path = os.path.join(self.path, name)
        if not os.path.exists(path):
            return []
        with open(path) as file:
            return [json.loads(line) for line in file]

    def ledger(self, event: str) -> list[dict]:
        """All entries of one kind."""
        return [entry for entry in self.read("ledger.jsonl") if entry["event"] == event]

    def ended(self) -> dict:
        """What `supervise` returned."""
        with open(os.path.join(self.path, "ended.json")) as file:
            return json.load(file)

    def log(self) -> bytes:
        """The attempt's log, so far."""
        path = os.path.join(self.path, "log.txt")
        if not os.path.exists(path):
            return b""
        with open(path, "rb") as file:
            return file.read()

    def ask(self, action: str, request: str = "asked-1", **fields: object) -> None:
        """Drop a request into the inbox."""
        folder = os.path.join(self.path, "inbox")
        os.makedirs(folder, exist_ok=True)
        body = {"format": 1, "id": request, "attempt": 3, "action": action, "by": "ana@login1", **fields}
        with open(os.path.join(self.path, f"{request}.tmp"), "w") as file:
            json.dump(body, file)
        os.rename(file.name, os.path.join(folder, f"{request}.json"))

    def local(self, name: str) -> str:
        """A path in the node-local directory."""
        return os.path.join(self.path, "local", name)


@pytest.fixture
def world(tmp_path) -> World:
    """A fresh world; the path is short enough for a socket."""
    return World(str(tmp_path))
