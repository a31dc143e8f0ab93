import signal
import subprocess

import pytest
from liverun import training
from runmaker import Made
from support import ckptrun_argv, clean_env, run_ckptrun, start_ckptrun

NOISE = bytes(range(256)) + b"\r 10%\r 20%\x1b[0m\nlast line without its end"


@pytest.fixture
def here(tmp_path):
    run = Made(tmp_path / "runs", "digits")
    for text in (NOISE, b"one\ntwo\nthree\n"):
        with run.attempt() as attempt, open(attempt.where.log, "wb") as log:
            log.write(text)
    Made(tmp_path / "runs", "new")
    return tmp_path


def logs(here, *args):
    """The bytes."""
    done = subprocess.run(
        ckptrun_argv("logs", *args), cwd=here, env=clean_env(), capture_output=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["digits"], b"one\ntwo\nthree\n"),
        (["digits/1"], NOISE),
        (["runs/digits/attempts/0001"], NOISE),
        (["-n", "2", "digits"], b"two\nthree\n"),
        (["--lines", "1", "digits/1"], b"last line without its end"),
        (["-n", "0", "digits"], b""),
        (["-f", "digits/1"], NOISE),
        (["-f", "-n", "1", "digits/2"], b"three\n"),
    ],
)
def test_bytes_come_untouched(here, args, text):
    assert logs(here, *args) == (0, text, "")


def test_what_a_task_on_another_node_wrote(here):
    folder = here / "runs" / "digits" / "attempts" / "0002" / "tasks" / "0003"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_bytes(b"from n3\n")
    assert logs(here, "--task", "3", "digits") == (0, b"from n3\n", "")
    assert logs(here, "-f", "--task", "3", "digits/2") == (0, b"from n3\n", "")
    assert logs(here, "--task", "0", "digits") == (0, b"one\ntwo\nthree\n", "")
    code, _, said = logs(here, "--task", "1", "digits")
    assert (code, "attempt 2 has no task 1" in said) == (2, True)


def test_no_attempt_yet(here):
    assert logs(here, "new") == (0, b"", "no attempt was made yet\n")


@pytest.mark.parametrize("ref", ["digits/7", "nothing", "digits@latest"])
def test_what_is_not_there(here, ref):
    assert logs(here, ref)[0] == 2


def test_following_through_new_attempts_until_the_run_ends(tmp_path):
    with training(tmp_path, total=150) as it, start_ckptrun("logs", "-f", "live", cwd=tmp_path) as following:
        it.wait_for("^saved 25")
        it.signal(signal.SIGTERM)
        assert it.finish() == 75
        following.wait_for("^--- attempt 1 preempted; waiting for the next one")
        with training(tmp_path, total=150) as again:
            following.wait_for("^--- attempt 2 ---")
            assert again.finish() == 0
        following.wait_for("^saved 149")
        assert following.finish() == 0
        written = [(tmp_path / f"runs/live/attempts/000{number}/log.txt").read_text() for number in (1, 2)]
        ours = [line for line in following.text.splitlines(keepends=True) if not line.startswith("---")]
        assert "".join(ours) == "".join(written)


def test_ctrl_c_leaves_without_touching_the_run(tmp_path):
    with training(tmp_path) as it, start_ckptrun("logs", "-f", "live", cwd=tmp_path) as following:
        following.wait_for("^saved ")
        following.signal(signal.SIGINT)
        assert following.finish() == 130
        it.wait_for("^saved 5")
        assert it.process.poll() is None


def test_the_log_that_kill_9_left(tmp_path):
    with training(tmp_path) as it:
        it.wait_for("^saved 25")
        it.kill_tree()
    done = run_ckptrun("logs", "live", cwd=tmp_path)
    assert done.stdout.startswith("ready at 0\nsaved 25\n")


def test_nobody_reads_to_the_end(here):
    with subprocess.Popen(
        ckptrun_argv("logs", "digits"), cwd=here, env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as it:
        it.stdout.close()
        assert it.stderr.read() == b""
        assert it.wait() == 141
