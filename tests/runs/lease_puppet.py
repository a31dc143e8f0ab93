"""A process that does to a run what it is told, line by line, and says what came of it.

    lease_puppet.py ROOT RUN '{"host": …, "boot_id": …, "nolock": true, "hasten": 1000, "uid": …}'

Identity fields replace this machine's own, which makes it another host. `nolock`: the filesystem has no flock. `hasten`: how
many seconds of waiting pass in one. `uid`: become that user first. `strict`: end
at the first error, as a start does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
import time

import filelock  # noqa: F401  # before the user changes, who may not be able to read it
import msgspec

from ckptrun import errors
from ckptrun.model import JobIdentity, Request
from ckptrun.platforms import base
from ckptrun.runs import control, durable, lease, ledger, paths, superseded


class Puppet:
    def __init__(self, root, name, options):
        self.run = paths.run_paths(root, name)
        identity = {key: options[key] for key in ("host", "boot_id", "pid_ns", "pid", "start_ticks") if key in options}
        self.me = msgspec.structs.replace(base.identity(), **identity)
        self.job = JobIdentity(**options.get("job", {}))
        self.hasten = options.get("hasten", 1)
        self.skipped = 0.0
        self.over = options.get("over")

    def monotonic(self):
        return time.monotonic() + self.skipped

    def sleep(self, seconds):
        time.sleep(seconds / self.hasten)
        self.skipped += seconds - seconds / self.hasten

    def create(self):
        paths.create(self.run)

    def acquire(self):
        self.lease = lease.acquire(
            self.run,
            self.me,
            self.job,
            clock=time.time,
            monotonic=self.monotonic,
            sleep=self.sleep,
            tell=lambda text: print("told", text, flush=True),
            is_over=lambda _: self.over,
        )
        return self.lease.previous_ended or "new"

    def begin(self):
        number = self.lease.next_attempt()
        paths.new_attempt(self.run, number)
        self.lease.take(number, f"id-{number}-{os.getpid()}")
        self.ledger = ledger.Ledger(self.run.ledger, self.lease.require, time.time, number)
        return number

    def held(self):
        return self.lease.held()

    def beat(self):
        return self.lease.beat(), self.lease.trouble

    def append(self, event):
        self.ledger.append(event, text="x" * 50)

    def stop(self):
        control.mark_stopped(self.run, by="puppet", now=time.time())

    def clear(self):
        control.clear_stopped(self.run)

    def reset(self):
        control.reset(self.run)

    def save(self, name):
        folder = os.path.join(self.run.checkpoints, name)
        os.mkdir(folder)
        durable.fsync_dir(self.run.checkpoints)

    def set_aside(self, *names):
        items = [os.path.join(self.run.checkpoints, name) for name in names]
        superseded.set_aside(self.run, items, "test", self.lease.require)

    def post(self, request_id, attempt):
        now = time.time()
        return control.post(self.run, Request(id=request_id, attempt=int(attempt), action="save", created=now))

    def take_inbox(self):
        notes = []
        return [request.id for request in control.take_inbox(self.run, 1, notes.append)], notes

    def release(self):
        self.lease.release()

    def all(self):
        """A whole start and its end."""
        self.create()
        why = self.acquire()
        control.reset(self.run)
        self.begin()
        self.append("one")
        self.append("two")
        self.beat()
        self.release()
        return why


def no_flock(_fd, _operation):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def become(uid):
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def answer(puppet, line):
    verb, *words = line.split()
    try:
        return f"ok {getattr(puppet, verb)(*words)}"
    except errors.CkptrunError as error:
        return f"error {error.exit_code} {error.message} | {error.hint}"


def main():
    root, name, text = sys.argv[1:]
    options = json.loads(text)
    if options.get("nolock"):
        fcntl.flock = no_flock
    if "umask" in options:
        os.umask(options["umask"])
    if "uid" in options:
        become(options["uid"])
    puppet = Puppet(root, name, options)
    print("ready", flush=True)
    for line in sys.stdin:
        text = answer(puppet, line)
        print(text, flush=True)
        if options.get("strict") and text.startswith("error"):
            break
    with contextlib.suppress(errors.CkptrunError, AttributeError):
        puppet.lease.release()


if __name__ == "__main__":
    main()
