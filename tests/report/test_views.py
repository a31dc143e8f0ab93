import math
import os

import msgspec
import pytest

from ckptrun import names, units
from ckptrun.model import AttemptRecord, Checkpoint, FileEntry, Holder, Manifest, Series, Setting
from ckptrun.policy import roles
from ckptrun.report import listing, overview, standing, story, tales
from ckptrun.report.listing import Listing
from ckptrun.runs.control import Progress, Stopped
from ckptrun.runs.paths import RunPaths
from ckptrun.runs.records import RunRecord

NOW = units.from_rfc3339("2026-11-20T18:30:00Z")
RUN = RunPaths(dir="/data/runs/digits-3f9a1c")


def checkpoint(step, **fields):
    name = fields.pop("name", "") or f"step-{step:08d}"
    directory = fields.pop("directory", RUN.checkpoints)
    settings = {
        "path": os.path.join(directory, name),
        "layout": "own",
        "attempt": 1,
        "time": NOW - 1000 + (step or 0),
        "size": 1_234_567,
        "files": [f"{name}/state.npz", f"{name}/checkpoint.json"],
        **fields,
    }
    return Checkpoint(name=name, directory=directory, step=step, **settings)


FOUND = [
    checkpoint(100, metrics={"loss": 0.51234, "acc": 0.875}, epoch=1, pinned=True),
    checkpoint(200, metrics={"loss": 0.25, "acc": 0.93}, epoch=2, attempt=2),
    checkpoint(300, metrics={"loss": math.nan, "acc": 0.5}, epoch=3, attempt=2),
    checkpoint(400, attempt=3, state=names.CORRUPT, reason="state.npz has 1000 of 1234000 bytes", epoch=4, size=1000),
    checkpoint(
        500, attempt=3, state=names.PARTIAL, reason="checkpoint.json is missing", name=".tmp-step-00000500-ab12", size=0
    ),
]


def listed(found):
    best = roles.best(found)
    marked = roles.marked(found, latest=roles.latest(found), best=best.checkpoint, resumed={FOUND[1].path})
    series = Series(directory=RUN.checkpoints, layout="own", run="digits-3f9a1c", latest="step-00000300", checkpoints=marked)
    return Listing(
        title="digits-3f9a1c",
        base=RUN.dir,
        run="digits-3f9a1c",
        checkpoints=marked,
        series=[series],
        metric=best.metric,
        best=best.why if best.checkpoint else "",
    )


def test_checkpoints(page):
    listing.show(listed(FOUND), page, NOW)
    page.check("checkpoints")


def test_plain_steps_need_no_name_where_it_is_narrow(page):
    listing.show(listed(FOUND[:3]), page, NOW)
    page.check("steps")


ODD = [
    checkpoint(
        None, name="model.pt", directory="/data/runs/digits-3f9a1c/attempts/0002/output", layout="single", files=["model.pt"]
    ),
    checkpoint(7, name="größe 模型\x1b[31m\n.pt", directory="/elsewhere/ckpts", attempt=None, time=NOW + 60),
    checkpoint(8, name="caf\udce9.pt", directory="/data/runs/digits-3f9a1c/attempts/0002/output", metrics={"a\tb": 1e-9}),
]


def test_odd_names_and_places(page):
    listing.show(listed(ODD), page, NOW)
    page.check("odd")


def test_nothing(page):
    listing.show(listed([]), page, NOW)
    page.check("nothing")


def test_the_document():
    document = msgspec.json.decode(msgspec.json.encode(listing.document([listed(FOUND)])))
    assert document["format"] == 1
    [series] = document["series"]
    assert {key: value for key, value in series.items() if key != "checkpoints"} == {
        "directory": "/data/runs/digits-3f9a1c/checkpoints",
        "layout": "own",
        "run": "digits-3f9a1c",
        "pointer": None,
        "latest": "step-00000300",
        "best": None,
    }
    assert [item["step"] for item in series["checkpoints"]] == [100, 200, 300, 400, 500]
    third = series["checkpoints"][2]
    assert third == {
        "name": "step-00000300",
        "path": "/data/runs/digits-3f9a1c/checkpoints/step-00000300",
        "files": ["step-00000300/state.npz", "step-00000300/checkpoint.json"],
        "step": 300,
        "epoch": 3,
        "metrics": {"loss": None, "acc": 0.5},
        "nonfinite": {"loss": "nan"},
        "time": "2026-11-20T18:18:20.000Z",
        "size": 1234567,
        "state": "complete",
        "reason": "",
        "roles": ["latest"],
        "pinned": False,
        "attempt": 2,
    }


# --- runs --------------------------------------------------------------------------------------------------------------
HOLDER = Holder(host="node1", pid=4711, boot_id="b", job="77", platform="slurm", attempt=3)
RECORD = AttemptRecord(
    attempt=3,
    attempt_id="id-3",
    run="digits-3f9a1c",
    command=["train.py", "--name", "a b"],
    argv=["/usr/bin/python3", "train.py", "--name", "a b"],
    cwd="/home/ana/digits",
    host="node1",
    platform="slurm",
    job="77",
    restart=2,
    automatic=True,
    commit="0123abc+",
    started="2026-11-20T18:11:47.250Z",
    resumed_from="checkpoints/step-00000200",
    resumed_step=200,
    resume_why="the newest of 2 complete checkpoints",
)
ENDED = msgspec.structs.replace(
    RECORD,
    ended="2026-11-20T18:21:47.250Z",
    outcome=names.PREEMPTED,
    why="SIGTERM, answered by a checkpoint; the command ended with 143",
    notice="SIGTERM",
    request="3-1",
    child_signal=15,
    exit_code=75,
    last_step=330,
    steps_gained=100,
    steps_lost=30,
    checkpoints=["step-00000300"],
    saves=[0.2, 1.5],
)
PROGRESS = Progress(
    attempt=3,
    state="saving",
    step=330,
    total=1000,
    epoch=3.3,
    steps_per_second=2.5,
    deadline=NOW + 120,
    deadline_from="Slurm job 77",
    last_save=NOW - 42,
    last_save_step=300,
    started=NOW - 1093,
)


def seen(**fields):
    settings = {
        "run": RUN,
        "now": NOW,
        "state": overview.ENDED,
        "attempts": 3,
        "newest": FOUND[2],
        "size": 3_700_000,
        **fields,
    }
    return overview.Overview(**settings)


RUNNING = seen(state=overview.RUNNING, holder=HOLDER, heard=3.0, record=RECORD, progress=PROGRESS, every="100")
SILENT = seen(state=overview.SILENT, holder=HOLDER, heard=400.0, record=RECORD)
AFTER = seen(record=ENDED, progress=PROGRESS)
COMPLETE = seen(
    record=msgspec.structs.replace(ENDED, outcome=names.COMPLETED, why="the script said that it is done", proved=True)
)
WORDLESS = seen(record=RECORD, stopped=Stopped(by="ana@login1", when="2026-11-20T18:25:00.000Z", reason="node needed"))
NEW = seen(state=overview.NEW, attempts=0, newest=None, size=0)
TROUBLED = seen(record=None, newest=None, size=0, troubles=["lease.json is damaged (unexpected end of data)"])
ALL = {
    "running": RUNNING,
    "silent": SILENT,
    "after": AFTER,
    "complete": COMPLETE,
    "wordless": WORDLESS,
    "new": NEW,
    "troubled": TROUBLED,
}


def test_runs(page):
    page.table(standing.COLUMNS, [standing.row(each) for each in ALL.values()])
    page.check("runs")


def test_status_of_several(page):
    swept = msgspec.structs.replace(RUNNING, sweep={"lr": 0.001, "optimizer": "adamw"})
    waiting = seen(state=overview.NEW, attempts=0, newest=None, size=0, sweep={"lr": 0.01, "optimizer": "sgd"})
    why = "job 12_4 is pending (Priority), estimated to start in 4m 10s"
    page.table(
        standing.NOW,
        [
            standing.now(swept, job="12_3"),
            standing.now(waiting, queued=why, job="12_4"),
            *(standing.now(each) for each in (SILENT, AFTER, COMPLETE, WORDLESS, TROUBLED)),
        ],
    )
    page.check("now")


@pytest.mark.parametrize("name", list(ALL))
def test_status(page, name):
    page.pairs(standing.block(ALL[name]))
    page.check(f"status-{name}")


def test_what_programs_are_told_of_a_run():
    fields = msgspec.json.decode(msgspec.json.encode(overview.fields(RUNNING)))
    assert fields == {
        "run": "digits-3f9a1c",
        "directory": "/data/runs/digits-3f9a1c",
        "state": "running",
        "attempt": 3,
        "attempts": 3,
        "outcome": None,
        "reason": None,
        "step": 330,
        "total": 1000,
        "epoch": 3.3,
        "steps_per_second": 2.5,
        "time_left": 267.6,
        "started": "2026-11-20T18:11:47.250Z",
        "ended": None,
        "deadline": "2026-11-20T18:32:00.000Z",
        "last_save": "2026-11-20T18:29:18.000Z",
        "checkpoint": "step-00000300",
        "next_save": None,
        "next_save_step": 400,
        "size": 3700000,
        "host": "node1",
        "pid": 4711,
        "job": "77",
        "heard": 3.0,
        "stopped": None,
        "sweep": None,
        "troubles": [],
    }
    assert overview.fields(SILENT)["reason"] == "not heard of for 6m 40s"
    assert overview.fields(AFTER)["outcome"] == "preempted"
    assert overview.fields(NEW)["attempt"] is None


@pytest.mark.parametrize(
    ("every", "said", "due"),
    [
        ("100", {"last_save_step": 300}, (None, 400)),
        ("100", {"last_save_step": None}, (None, 400)),  # 300 lies there
        ("250", {"last_save_step": None}, (None, 500)),
        ("10m", {"last_save": NOW - 42}, (NOW + 558, None)),
        ("10m", {"last_save": None, "started": NOW - 700}, (NOW - 100, None)),
        ("2epochs", {}, (None, None)),
        ("10m", {"next_save": 5.0}, (5.0, None)),
        ("10m", {"step": None}, (None, None)),  # a script that says nothing asks nobody when to save
        ("", {}, (None, None)),
    ],
)
def test_when_it_saves_next(every, said, due):
    progress = msgspec.structs.replace(PROGRESS, **said)
    assert msgspec.structs.replace(RUNNING, every=every, progress=progress).next_save == due


# --- stories -----------------------------------------------------------------------------------------------------------
LEDGER = [
    {"time": "2026-11-20T18:11:47.300Z", "event": "ledger", "attempt": 0, "format": 1, "version": "0.1.0"},
    {"time": "2026-11-20T18:11:47.300Z", "event": "setting_aside", "attempt": 3, "label": "fallback", "checkpoints": [{"path": "/r/checkpoints/step-00000250", "why": "corrupt: state.npz has 10 of 20 bytes"}]},
    {"time": "2026-11-20T18:11:47.400Z", "event": "set_aside", "attempt": 3, "label": "fallback", "moved": ["superseded/0001-fallback/step-00000250"]},
    {"time": "2026-11-20T18:11:47.500Z", "event": "attempt_started", "attempt": 3, "host": "node1", "pid": 4711, "job": "77", "resumed_from": "checkpoints/step-00000200", "why": "the newest of 2 complete checkpoints"},
    {"time": "2026-11-20T18:12:00.000Z", "event": "checkpoint", "attempt": 3, "name": "step-00000300", "step": 300, "request": "", "seconds": 0.2},
    {"event": "unreadable", "line": 6, "text": '{"time": "20'},
    {"time": "2026-11-20T18:20:00.000Z", "event": "signal", "attempt": 3, "signal": "SIGTERM"},
    {"time": "2026-11-20T18:20:00.010Z", "event": "notice", "attempt": 3, "reason": "SIGTERM", "cause": "preempted", "why": "save once, now"},
    {"time": "2026-11-20T18:20:00.020Z", "event": "request", "attempt": 3, "id": "3-1", "action": "save_and_stop", "reason": "SIGTERM", "cause": "preempted", "deadline": 1795199400.5},
    {"time": "2026-11-20T18:20:00.030Z", "event": "delivered", "attempt": 3, "signal": "SIGUSR1", "pid": 12, "to": "python train.py (12)", "request": "3-1"},
    {"time": "2026-11-20T18:20:01.000Z", "event": "save_failed", "attempt": 3, "text": "no space left on device"},
    {"time": "2026-11-20T18:20:02.000Z", "event": "hummed", "attempt": 3, "tune": "la", "times": [1, 2], "how": {"loud": True}, "nothing": None},
    {"time": "2026-11-20T18:20:02.000Z", "event": "checkpoint", "attempt": 3},
    {"time": "2026-11-20T18:20:30.000Z", "event": "ending", "attempt": 3, "signal": "SIGTERM", "to": ["bash (11)", "python train.py (12)"]},
    {"time": "2026-11-20T18:20:30.100Z", "event": "command_ended", "attempt": 3, "exit": None, "signal": 15},
    {"time": "2026-11-20T18:21:47.250Z", "event": "attempt_ended", "attempt": 3, "outcome": "timed_out", "proved": "assumed", "why": "the time limit", "notes": ["a note"]},
    {"time": "2026-11-20T19:00:00.000Z", "event": "attempt_closed", "attempt": 4, "number": 3, "outcome": "killed", "why": "it ended without a word"},
    {"time": "2026-11-20T19:00:00.000Z", "event": "attempt_started", "attempt": 4},
]  # fmt: skip


def test_what_happened(page):
    page.table(story.COLUMNS, story.rows(story.of_attempt(LEDGER, 3)))
    page.check("story")


def test_an_attempt(page):
    page.pairs(tales.attempt(ENDED, NOW))
    page.check("attempt")


def test_an_attempt_that_runs(page):
    page.pairs(tales.attempt(RECORD, NOW, runs=True))
    page.check("attempt-running")


def test_a_run(page):
    asked = RunRecord(
        run="digits-3f9a1c",
        created="2026-11-20T17:00:00.000Z",
        command=["train.py", "--name", "a b"],
        cwd="/home/ana/digits",
        tracker_ids={"WANDB_RUN_ID": "digits-3f9a1c-00112233"},
        settings={
            "every": Setting(value="100", source="option"),
            "grace": Setting(value=90.0, source="ckptrun.yaml:3"),
            "data": Setting(value=["../mnist:mnist", "x:y"], source="environment CKPTRUN_TRAIN_DATA"),
            "time_limit": Setting(value=None, source="default"),
            "tracker_ids": Setting(value=True, source="default"),
        },
    )
    page.pairs(tales.run(asked))
    page.heading("settings")
    page.table(tales.SETTINGS, tales.settings(asked.settings))
    page.heading("attempts")
    page.table(tales.ATTEMPTS, tales.attempts([msgspec.structs.replace(ENDED, attempt=2), RECORD], NOW))
    page.check("run")


def test_a_checkpoint(page):
    manifest = Manifest(
        format=1,
        created="2026-11-20T18:15:00.000Z",
        files=[
            FileEntry(path="state.npz", size=1_234_000, xxh3_128="0" * 32),
            FileEntry(path="sub/rng.bin", size=567, xxh3_128="f" * 32),
        ],
        run="digits-3f9a1c",
    )
    item = msgspec.structs.replace(
        FOUND[1], roles=["latest", "best"], request="3-1", why_saved="request", seconds=0.25, parent="step-00000100"
    )
    page.pairs(tales.checkpoint(item, manifest, [3, 4], NOW))
    page.heading("files")
    page.table(tales.FILES, tales.files(item, manifest))
    page.check("checkpoint")


def test_a_checkpoint_without_a_manifest(page):
    page.pairs(tales.checkpoint(FOUND[3], None, [], NOW))
    page.table(tales.FILES, tales.files(FOUND[3], None))
    page.check("checkpoint-broken")
