"""Run directories made by the real rooms: leases are taken, checkpoints committed, ledgers appended, as a start does it."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import msgspec

from ckptrun import names, platforms
from ckptrun.checkpoints import manifest
from ckptrun.client.place import Place
from ckptrun.client.run import Run
from ckptrun.model import AttemptRecord, Setting
from ckptrun.policy.cadence import Every
from ckptrun.runs import documents, durable, holder, lease, ledger, paths, records


def me():
    return platforms.detect({}).identity()


def rewrite_holder(run, beaten=None, **fields):
    """What another machine, or an earlier time, would have written; `beaten`: so many seconds ago."""
    if beaten is not None:
        fields["heartbeat"] = f"{int((time.time() - beaten) * 1e9):020d}"
    held = msgspec.structs.replace(holder.read_holder(run.paths), **fields)
    durable.replace(run.paths.lease_json, documents.encode(held))


class Made:
    """One run in the making."""

    def __init__(self, root, name="digits", command=("train.py",), settings=None, sweep=None):
        self.paths = paths.run_paths(str(root), name)
        paths.create(self.paths)
        asked = {"every": Setting(value="10m", source="default"), **(settings or {})}
        created = records.now_text(time.time())
        records.write_run(
            self.paths,
            records.RunRecord(
                run=name, created=created, command=list(command), cwd=str(root), settings=asked, sweep=sweep or {}
            ),
        )

    @contextmanager
    def attempt(self, *, resumed=None, outcome=names.PREEMPTED, why="SIGTERM", exit_code=75, **ended):
        """An attempt that holds the lease as long as the block runs; with an outcome of "" nobody writes down its end."""
        held = lease.acquire(
            self.paths,
            me(),
            platforms.detect({}).job(),
            clock=time.time,
            monotonic=time.monotonic,
            sleep=time.sleep,
            tell=print,
            is_over=lambda _: None,
        )
        number = held.next_attempt()
        where = paths.new_attempt(self.paths, number)
        held.take(number, f"attempt-id-{number}")
        record = self._record(where, resumed)
        records.write_attempt(where, record)
        book = ledger.Ledger(self.paths.ledger, held.require, time.time, number)
        book.append(
            "attempt_started", host=record.host, pid=record.pid, why=record.resume_why, resumed_from=record.resumed_from
        )
        yield Attempt(self.paths, where, record, book)
        if outcome:
            record = msgspec.structs.replace(
                record, ended=records.now_text(time.time()), outcome=outcome, why=why, exit_code=exit_code, **ended
            )
            records.write_attempt(where, record)
            book.append("attempt_ended", outcome=outcome, proved="assumed", why=why)
        book.close()
        held.release()

    def _record(self, where, resumed):
        return AttemptRecord(
            attempt=where.number,
            attempt_id=f"attempt-id-{where.number}",
            run=self.paths.name,
            command=["train.py"],
            host=os.uname().nodename,
            pid=os.getpid(),
            started=records.now_text(time.time()),
            resumed_from=f"checkpoints/step-{resumed:08d}" if resumed is not None else "",
            resumed_step=resumed,
            resume_why="the newest" if resumed is not None else "no checkpoint yet",
        )


class Attempt:
    """What a script does in one attempt."""

    def __init__(self, run, where, record, book):
        self.run, self.where, self.record, self.book = run, where, record, book

    def save(self, step, files=None, **metrics):
        """Commit a checkpoint as a script does."""
        place = Place(
            {
                names.ENV: names.VERSION,
                names.ENV_RUN: self.run.name,
                names.ENV_RUN_DIR: self.run.dir,
                names.ENV_ATTEMPT: str(self.where.number),
                names.ENV_ATTEMPT_ID: self.record.attempt_id,
                names.ENV_CHECKPOINT_DIR: self.run.checkpoints,
                names.ENV_OUTPUT_DIR: self.where.output,
                names.ENV_INPUT_DIR: self.where.input,
            }
        )
        with Run(place, Every("10m"), agree=None, signals=False).checkpoint(step, metrics=metrics) as folder:
            for name, body in (files or {"state.bin": b"state"}).items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(body)
        return os.path.join(self.run.checkpoints, f"step-{step:08d}")


def age(run, seconds=3600.0):
    """As if every checkpoint of a run had been written so long ago, one minute after the other."""
    steps = sorted(name for name in os.listdir(run.checkpoints) if name.startswith(names.STEP_PREFIX))
    for number, name in enumerate(steps):
        folder = os.path.join(run.checkpoints, name)
        created = records.now_text(time.time() - seconds + 60 * number)
        manifest.rewrite(folder, msgspec.structs.replace(manifest.read(folder), created=created))
