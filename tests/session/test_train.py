"""`ckptrun train` as a user types it: every outcome with its code, what continues from where, and what is refused."""

import json
import os
import signal
import subprocess
import sys

import pytest
import support

PLAIN = """\
import os, sys, time
print("resume", os.environ.get("CKPTRUN_RESUME_FROM", "nothing"), flush=True)
os.chdir(os.environ["CKPTRUN_OUTPUT_DIR"])
exec(sys.argv[1])
"""
CLIENT = """\
import sys, time
import ckptrun
run = ckptrun.attach()
start = run.resume_step + 1 if run.resume_from else 0
print("start", start, flush=True)
until, forever = int(sys.argv[1]), "forever" in sys.argv
step = start
while forever or step < until:
    if run.should_save(step, total=None if forever else until):
        with run.checkpoint(step) as folder:
            (folder / "state.txt").write_text(str(step))
        print("saved", step, flush=True)
    if run.should_stop:
        break
    if forever:
        print("step", step, flush=True)
        time.sleep(0.01)
    if "fail" in sys.argv:
        sys.exit(3)
    step += 1
else:
    run.done()
"""


@pytest.fixture
def here(tmp_path):
    support.write_files(tmp_path, {"plain.py": PLAIN, "client.py": CLIENT})
    return tmp_path


def train(here, *args, **more):
    return support.run_ckptrun("train", "--run", "r", *args, cwd=here, **more)


def attempt(here, number, run="r"):
    return json.loads((here / "runs" / run / "attempts" / f"{number:04d}" / "attempt.json").read_text())


def events(here, run="r"):
    return [json.loads(line) for line in (here / "runs" / run / "ledger.jsonl").read_text().splitlines()]


# --- outcomes and codes ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("program", "code", "outcome", "child"),
    [
        ("print('hello')", 0, "completed", 0),
        ("sys.exit(3)", 3, "failed", 3),
        ("sys.exit(75)", 1, "failed", 75),
        ("sys.exit(93)", 1, "failed", 93),
        ("os.kill(os.getpid(), 9)", 137, "killed", None),
        ("os.kill(os.getpid(), 15)", 143, "killed", None),
        ("1/0", 1, "failed", 1),
    ],
)
def test_how_it_ends_by_itself(here, program, code, outcome, child):
    done = train(here, "plain.py", program)
    assert done.returncode == code, done.stderr
    record = attempt(here, 1)
    assert (record["outcome"], record.get("child_exit")) == (outcome, child)
    assert record["exit_code"] == code


def test_the_childs_preemption_code(here):
    done = train(here, "--child-preempt-code", "85", "--preempt-exit-code", "99", "plain.py", "sys.exit(85)")
    assert done.returncode == 99
    assert attempt(here, 1)["outcome"] == "preempted"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_asked_to_stop_it_saves_and_ends_with_75_and_goes_on(here, signum):
    with support.start_ckptrun("train", "--run", "r", "client.py", "0", "forever", cwd=here) as it:
        it.wait_for(r"^step 3$")
        it.signal(signum)
        saved = int(it.wait_for(r"^saved (\d+)$")[1])
        assert it.finish() == 75
    assert attempt(here, 1)["outcome"] == "preempted"
    again = train(here, "--changed", "client.py", str(saved + 3))
    assert again.returncode == 0, again.stderr
    assert f"start {saved + 1}\n" in again.stdout
    assert attempt(here, 2)["resumed_step"] == saved


def test_ctrl_c_is_a_stop_by_the_user(here):
    with support.start_ckptrun("train", "--run", "r", "client.py", "0", "forever", cwd=here) as it:
        it.wait_for(r"^step 3$")
        it.signal(signal.SIGINT)
        assert it.finish() == 130
    assert attempt(here, 1)["outcome"] == "stopped"
    refused = train(here, "client.py", "0", "forever", env={"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"})
    assert refused.returncode == 93, refused.stderr
    assert "stopped by" in refused.stderr


def test_a_save_that_did_not_happen_is_said(here):
    with support.start_ckptrun(
        "train", "--run", "r", "--grace", "1s", "plain.py", "print('up', flush=True); time.sleep(99)", cwd=here
    ) as it:
        it.wait_for("^up$")
        it.signal(signal.SIGUSR1)
        assert it.finish() == 75
        assert "NOTHING IS SAVED" in it.text


def test_save_and_exit_zero_after_a_request_is_not_complete(here):
    program = "import signal; signal.signal(signal.SIGUSR1, lambda *a: (open('ckpt.json', 'w').write('{}'), sys.exit(0)));print('up', flush=True)\nwhile 1: time.sleep(1)"
    with support.start_ckptrun("train", "--run", "r", "plain.py", program, cwd=here) as it:
        it.wait_for("^up$")
        it.signal(signal.SIGUSR1)
        assert it.finish() == 75
    assert attempt(here, 1)["outcome"] == "preempted"


# --- complete ----------------------------------------------------------------------------------------------------------
def test_a_complete_run_is_left_alone_until_it_is_reopened(here):
    assert train(here, "client.py", "3").returncode == 0
    assert attempt(here, 1)["proved"]
    again = train(here, "client.py", "3")
    assert again.returncode == 0
    assert "is complete (proved" in again.stderr
    assert "start" not in again.stdout
    reopened = train(here, "--again", "client.py", "3")
    assert "start 3" in reopened.stdout


def test_done_when(here):
    done = train(here, "--done-when", "step>=2", "client.py", "3", "fail")
    assert (done.returncode, attempt(here, 1)["outcome"]) == (3, "failed")
    done = support.run_ckptrun(
        "train",
        "--run",
        "s",
        "--done-when",
        "file:yes",
        "plain.py",
        f"open({str(here / 'yes')!r}, 'w'); sys.exit(5)",
        cwd=here,
    )
    assert done.returncode == 0
    assert attempt(here, 1, "s")["proved"]


# --- from where --------------------------------------------------------------------------------------------------------
def test_fresh_sets_everything_aside_and_deletes_nothing(here):
    train(here, "client.py", "3")
    fresh = train(here, "--fresh", "client.py", "3")
    assert "start 0" in fresh.stdout
    kept = [name for _, names, _ in os.walk(here / "runs/r/superseded") for name in names]
    assert "step-00000002" in kept


def test_fresh_counts_once_for_a_job_whose_command_line_comes_back_with_every_requeue(here):
    train(here, "client.py", "3")
    job = {"SLURM_JOB_ID": "7"}
    fresh = train(here, "--fresh", "--every", "1", "client.py", "3", "fail", env=job)
    assert (fresh.returncode, "start 0" in fresh.stdout) == (3, True), fresh.stderr
    requeued = train(here, "--fresh", "--every", "1", "client.py", "3", "fail", env={**job, "SLURM_RESTART_COUNT": "1"})
    assert "start 0" in requeued.stdout, requeued.stderr  # nothing was saved
    saved = train(here, "--changed", "--every", "1", "client.py", "3", env=job)
    assert saved.returncode == 0, saved.stderr
    again = train(here, "--fresh", "--every", "1", "client.py", "3", env={**job, "SLURM_RESTART_COUNT": "2"})
    assert "is complete" in again.stderr


def test_rewind_takes_an_earlier_step_and_sets_later_ones_aside(here):
    train(here, "--every", "1", "client.py", "5")
    rewound = train(here, "--again", "--every", "1", "--resume-at", "2", "client.py", "5")
    assert "start 3" in rewound.stdout, rewound.stderr
    missing = train(here, "--again", "--resume-at", "77", "client.py", "5")
    assert missing.returncode == 2
    assert "complete steps:" in missing.stderr


def test_from_another_runs_checkpoint_and_then_from_its_own(here):
    support.run_ckptrun("train", "--run", "base", "client.py", "4", cwd=here)
    branched = train(here, "--from", "base", "client.py", "6")
    assert "start 4" in branched.stdout, branched.stderr
    assert train(here, "--again", "--from", "base", "client.py", "6").stdout.startswith("start 6")


def test_a_damaged_newest_is_set_aside_with_its_reason(here):
    train(here, "--every", "1", "client.py", "4")
    newest = here / "runs/r/checkpoints/step-00000003/state.txt"
    newest.write_text("9")
    again = train(here, "--changed", "client.py", "5")
    assert "start 3" in again.stdout
    assert "step-00000003 is not used: corrupt" in again.stderr
    started = [entry for entry in events(here) if entry["event"] == "attempt_started"][-1]
    assert started["passed"][0]["name"] == "step-00000003"
    assert not newest.exists()


def test_the_model_mount_is_the_output_with_the_newest_checkpoint_not_the_attempt_before(here):
    write = "open('ckpt-1.json', 'w').write('{}'); sys.exit(1)"
    train(here, "plain.py", write)
    train(here, "--changed", "plain.py", "sys.exit(1)")
    third = train(here, "--changed", "plain.py", "print(os.listdir(os.environ['CKPTRUN_INPUT_DIR'] + '/model'))")
    assert "ckpt-1.json" in third.stdout, third.stderr


# --- refusals ----------------------------------------------------------------------------------------------------------
def test_another_command_under_the_same_name_is_refused(here):
    train(here, "client.py", "3")
    refused = train(here, "client.py", "4")
    assert refused.returncode == 2
    assert "'3', now it is '4'" in refused.stderr
    assert train(here, "--changed", "client.py", "4").returncode == 0


def test_the_second_of_two_starts_ends_with_69_and_says_who_has_it(here):
    with support.start_ckptrun("train", "--run", "r", "client.py", "0", "forever", cwd=here) as it:
        it.wait_for(r"^step 1$")
        second = train(here, "client.py", "0", "forever")
        assert second.returncode == 69
        assert str(it.pid) in second.stderr
        it.signal(signal.SIGTERM)
        assert it.finish() == 75


def test_a_root_that_cannot_be_written(here):
    (here / "file").write_text("")
    refused = support.run_ckptrun("train", "--root", "file/runs", "plain.py", "pass", cwd=here)
    assert refused.returncode == 73
    assert "file" in refused.stderr


# --- restarting --------------------------------------------------------------------------------------------------------
def test_self_restarts_until_a_crash_loop_is_seen(here):
    looped = train(here, "--restart-by", "self", "--every", "1", "client.py", "9", "fail")
    assert looped.returncode == 93, looped.stderr
    assert "crash loop" in looped.stderr


def test_self_restarts_until_it_is_complete(here):
    program = "n = int(os.environ['CKPTRUN_ATTEMPT']); print('try', n); sys.exit(n < 3)"
    looped = train(here, "--restart-by", "self", "plain.py", program)
    assert looped.returncode == 0, looped.stderr
    assert [f"try {n}" in looped.stdout for n in (1, 2, 3)] == [True] * 3


def test_a_killed_ckptrun_is_closed_by_the_next_start_and_its_child_does_not_live_on(here):
    with support.start_ckptrun("train", "--run", "r", "client.py", "0", "forever", cwd=here) as it:
        it.wait_for(r"^step 3$")
        tree = it.tree()
        it.process.kill()
        it.process.wait()
        again = train(here, "--changed", "client.py", "3")
        assert again.returncode == 0, again.stderr
        support.wait_until(
            lambda: not any(p.is_running() and p.status() != "zombie" for p in tree[1:]), what="the child ends"
        )
    assert attempt(here, 1)["outcome"] == "killed"
    assert "without a word" in attempt(here, 1)["why"]


# --- what is said ------------------------------------------------------------------------------------------------------
def test_json_is_one_document_and_the_childs_output_is_on_stderr(here):
    done = train(here, "--json", "client.py", "3")
    document = json.loads(done.stdout)
    assert (document["outcome"], document["exit_code"], document["attempt"]) == ("completed", 0, 1)
    assert "start 0" in done.stderr


def test_dry_run_writes_nothing_and_says_everything(here):
    plan = train(here, "--dry-run", "--json", "client.py", "3")
    assert plan.returncode == 0, plan.stderr
    document = json.loads(plan.stdout)
    assert os.path.samefile(document["command"][0], sys.executable)
    assert document["resume_from"] is None
    assert document["signals"]
    assert not (here / "runs").exists()
    text = train(here, "--dry-run", "client.py", "3").stdout
    assert "resume     nothing" in text


def test_quiet_says_nothing_when_all_is_well(here):
    assert train(here, "-q", "client.py", "3").stderr == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_disk_that_is_nearly_full_is_said_at_the_start_and_a_save_that_fills_it_loses_nothing(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        big = CLIENT.replace("write_text(str(step))", "write_bytes(bytes(700_000))")
        support.write_files(tmp_path, {"client.py": big})
        assert train(tmp_path, "client.py", "1").returncode == 0
        full = train(tmp_path, "--changed", "client.py", "2")
        assert "only " in full.stderr
        assert "the last checkpoint takes 700 kB" in full.stderr
        assert full.returncode == 1
        assert "No space left on device" in full.stderr
        assert os.listdir(tmp_path / "runs/r/checkpoints/step-00000000")
        plan = train(tmp_path, "--dry-run", "--changed", "client.py", "2")
        assert "/checkpoints/step-00000000\n" in plan.stdout
    finally:
        subprocess.run(["umount", tmp_path], check=True)
