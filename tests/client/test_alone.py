"""Without ckptrun: ./checkpoints, signals, and what is resumed from. Real processes."""

import json
import os
import shutil
import signal
import sys

import pytest
import support

TRAIN = """
import os, sys, time, ckptrun
run = ckptrun.attach(every="{every}")
start = run.resume_step + 1 if run.resume_from else 0
print("from", run.resume_from.name if run.resume_from else None, "at", start, "attempt", run.attempt, flush=True)
if run.resume_from: assert (run.resume_from / "state").read_text() == str(start - 1)
for step in range(start, {total}):
    if run.should_save(step, total={total}):
        with run.checkpoint(step) as folder:
            (folder / "state").write_text(str(step))
        print("saved", step, flush=True)
    if run.should_stop:
        print("stopping", step, flush=True)
        break
    if {slow}: time.sleep(0.002)
else:
    run.done()
"""


def train(cwd, every="10", total=35, env=None):
    code = TRAIN.format(every=every, total=total, slow=False)
    return support.run([sys.executable, "-c", code], cwd=cwd, env=env)


def test_it_saves_and_resumes(tmp_path):
    first = train(tmp_path, total=25)
    assert "from None at 0 attempt 1" in first.stdout
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["latest", "step-00000010", "step-00000020", "step-00000024"]
    again = train(tmp_path)
    assert "from step-00000024 at 25 attempt 1" in again.stdout
    assert sorted(os.listdir(tmp_path)) == ["checkpoints"]


def test_the_environment_may_say_the_cadence(tmp_path):
    assert train(tmp_path, env={"CKPTRUN_EVERY": "7"}).stdout.split()[7::2] == ["7", "14", "21", "28", "34"]


def test_a_cadence_that_is_none_is_named(tmp_path):
    failed = train(tmp_path, env={"CKPTRUN_EVERY": "soon"})
    assert failed.returncode == 1
    assert "'soon' is not a cadence" in failed.stderr


def test_variables_of_a_run_without_ckptrun_around_are_not_obeyed(tmp_path):
    env = {"CKPTRUN_CHECKPOINT_DIR": str(tmp_path / "other"), "CKPTRUN_RESUME_FROM": "/nowhere", "CKPTRUN_ATTEMPT": "7"}
    assert "from None at 0 attempt 1" in train(tmp_path, env=env).stdout
    assert sorted(os.listdir(tmp_path)) == ["checkpoints"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_a_request_to_save_and_stop(tmp_path, signum):
    code = TRAIN.format(every="1000000", total=1000000, slow=True)
    with support.Started([sys.executable, "-c", code], cwd=tmp_path) as script:
        script.wait_for("^from ")
        script.signal(signum)
        script.signal(signum)
        saved = script.wait_for(r"^saved (\d+)$")[1]
        assert script.wait_for(r"^stopping (\d+)$")[1] == saved
        assert script.finish() == 0
    assert f"from step-{int(saved):08d} at" in train(tmp_path, total=int(saved) + 2).stdout
    manifest = json.loads((tmp_path / f"checkpoints/step-{int(saved):08d}/checkpoint.json").read_text())
    assert manifest["reason"] == "request"


@pytest.mark.parametrize(
    "before",
    [
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))",
        "signals = False",
    ],
)
def test_a_handler_of_the_scripts_own_is_kept(tmp_path, before):
    code = (
        "import signal, sys, time, ckptrun\nsignals = True\n" + before + "\n"
        "run = ckptrun.attach(signals=signals)\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)"
    )
    with support.Started([sys.executable, "-c", code], cwd=tmp_path) as script:
        script.wait_for("ready")
        script.signal(signal.SIGTERM)
        assert script.finish() == (3 if "exit" in before else -signal.SIGTERM)


def test_attach_in_another_thread_takes_no_signals(tmp_path):
    code = (
        "import threading, ckptrun\nout = []\nt = threading.Thread(target=lambda: out.append(ckptrun.attach()))\n"
        "t.start(); t.join(); print(out[0].should_save(1))"
    )
    assert support.run([sys.executable, "-c", code], cwd=tmp_path).stdout == "False\n"


def broken(folder, how):
    manifest = folder / "checkpoint.json"
    if how == "no manifest":
        manifest.unlink()
    elif how == "empty manifest":
        manifest.write_bytes(b"")
    elif how == "cut manifest":
        manifest.write_bytes(manifest.read_bytes()[:-30])
    elif how == "deep manifest":
        manifest.write_bytes(b"[" * 100_000)
    elif how == "later format":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 2}))
    elif how == "outside":
        body = json.loads(manifest.read_text())
        body["files"][0]["path"] = "../../x"
        manifest.write_text(json.dumps(body))
    elif how == "a list":
        manifest.write_text("[1]")
    elif how == "no files":
        manifest.write_text('{"format": 1, "created": ""}')
    elif how == "missing file":
        (folder / "state").unlink()
    elif how == "cut file":
        os.truncate(folder / "state", 0)
    elif how == "file":
        shutil.rmtree(folder)
        folder.write_text("")


HOW = [
    "no manifest",
    "empty manifest",
    "cut manifest",
    "deep manifest",
    "later format",
    "outside",
    "a list",
    "no files",
    "missing file",
    "cut file",
    "file",
]


@pytest.mark.parametrize("how", HOW)
def test_one_that_is_not_whole_is_passed_over_and_said(tmp_path, how):
    train(tmp_path, total=25)
    broken(tmp_path / "checkpoints/step-00000024", how)
    again = train(tmp_path, total=25)
    assert "from step-00000020 at 21" in again.stdout
    assert "step-00000024 is not used: " in again.stderr
    assert "step-00000024.a0001" in os.listdir(tmp_path / "checkpoints")  # the same step again: nothing is overwritten


def test_when_none_is_whole_it_begins_and_says_so(tmp_path):
    train(tmp_path, total=15)
    for name in ("step-00000010", "step-00000014"):
        broken(tmp_path / "checkpoints" / name, "no manifest")
    again = train(tmp_path, total=15)
    assert "from None at 0" in again.stdout
    assert "none of 2 checkpoints" in again.stderr


def test_what_cannot_be_read_is_not_taken_for_broken(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    train(tmp_path, total=15)
    os.chmod(tmp_path / "checkpoints/step-00000014", 0)
    code = "import os, ckptrun, ckptrun.client, json; os.setuid(65534); ckptrun.attach()"
    for path in [tmp_path, *tmp_path.parents]:
        if not os.stat(path).st_mode & 0o001:
            os.chmod(path, os.stat(path).st_mode | 0o011)
    failed = support.run([sys.executable, "-c", code], cwd=tmp_path)
    assert failed.returncode == 1
    assert "PermissionError" in failed.stderr


def test_the_same_step_of_another_process_and_the_higher_attempt(tmp_path):
    train(tmp_path, total=15)
    newer = tmp_path / "checkpoints/step-00000014.a0002"
    shutil.copytree(tmp_path / "checkpoints/step-00000014", newer)
    body = json.loads((newer / "checkpoint.json").read_text())
    (newer / "checkpoint.json").write_text(json.dumps({**body, "attempt": 2}))
    assert "from step-00000014.a0002 at 15" in train(tmp_path).stdout


def test_unfinished_ones_are_mentioned_and_left(tmp_path):
    (tmp_path / "checkpoints/.tmp-step-00000010-a0001-abcd").mkdir(parents=True)
    assert "1 unfinished in" in train(tmp_path).stderr
    assert ".tmp-step-00000010-a0001-abcd" in os.listdir(tmp_path / "checkpoints")


def test_output_and_input_have_places(tmp_path):
    code = "import ckptrun; run = ckptrun.attach(); print(run.output_dir, run.output_dir.is_dir(), run.input_dir)"
    said = support.run([sys.executable, "-c", code], cwd=tmp_path).stdout.split()
    assert said == [str(tmp_path / "output"), "True", str(tmp_path / "input")]


def test_a_place_of_the_scripts_own(tmp_path):
    code = (
        "import ckptrun, pathlib; run = ckptrun.attach(checkpoint_dir=pathlib.Path('kept'))\n"
        "with run.checkpoint(1) as folder: (folder / 'x').write_text('1')"
    )
    assert support.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
    assert sorted(os.listdir(tmp_path / "kept")) == ["latest", "step-00000001"]


def test_importing_and_attaching_loads_little(tmp_path):
    """What a script pays: no typing, json, logging, pathlib, socket or signal, and none of the wrapper's rooms."""
    code = (
        "import os, sys; before = set(sys.modules); import ckptrun; ckptrun.attach(signals=False)\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    env = {"CKPTRUN": "1", "CKPTRUN_CHECKPOINT_DIR": str(tmp_path)}
    loaded = set(
        support.run(
            [sys.executable, "-I", "-S", "-c", f"sys_path = {sys.path!r}; import sys; sys.path[:] = sys_path; {code}"],
            cwd=tmp_path,
            env=env,
        ).stdout.split()
    )
    ours = {name for name in loaded if name.startswith("ckptrun")}
    assert ours == {
        "ckptrun",
        "ckptrun.names",
        "ckptrun.units",
        "ckptrun.policy",
        "ckptrun.policy.cadence",
        *(
            f"ckptrun.client{rest}"
            for rest in (
                "",
                ".run",
                ".alone",
                ".asking",
                ".commit",
                ".contents",
                ".deciding",
                ".hashing",
                ".notify",
                ".place",
            )
        ),
    }
    assert loaded - ours <= {"__future__", "errno", "stat", "time"}
