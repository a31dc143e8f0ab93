"""Output: live, unbuffered, byte for byte, kept in the log; and no reader, paused, slow or dead, ever holds up a training."""

from __future__ import annotations

import hashlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from support import clean_env, kill_all, wait_until

from ckptrun.supervise import logfile

NOISE = """
import random
random.seed(4)
data = bytes(random.randrange(256) for _ in range(100_000)) + b"\\r 50%|#### |\\r\\x1b[31mred\\x1b[0m\\x00\\xff no newline at the end"
"""


@pytest.fixture
def piped(request):
    """Starts drivers whose stdout and stderr are the test's own business."""

    def start(world, *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options):
        argv, env = world.argv(*command, **options), clean_env()
        process = subprocess.Popen(
            argv, cwd=world.path, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
        request.addfinalizer(lambda: end(process))
        return process

    return start


def end(process):
    kill_all(
        lambda: (
            [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            if process.poll() is None
            else []
        )
    )
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


def test_binary_noise_without_a_newline_at_the_end(world, piped):
    body = NOISE + "os.write(1, data)\nos.write(2, data[::-1])"
    process = piped(world, *world.script(body))
    out, err = process.communicate(timeout=60)
    scope = {}
    exec(NOISE, scope)
    assert out == scope["data"]
    assert err == scope["data"][::-1]
    assert sorted(world.log()) == sorted(out + err)


def test_two_streams_into_one_keep_their_order(world, piped):
    body = "for n in range(2000): os.write(1 + n % 2, b'%d\\n' % n)"
    process = piped(world, *world.script(body), stderr=subprocess.STDOUT)
    out, _ = process.communicate(timeout=60)
    assert out.split() == [b"%d" % n for n in range(2000)]
    assert world.log() == out


def test_output_is_live(world, piped):
    process = piped(world, *world.script("say('first'); sys.stdin.read(1); say('second')"), stdin=subprocess.PIPE)
    assert os.read(process.stdout.fileno(), 100) == b"first\n"
    process.stdin.write(b"x")
    process.stdin.close()
    assert process.stdout.read() == b"second\n"
    assert process.wait(30) == 0


def test_stdin_passes_through_untouched(world, piped):
    process = piped(world, "cat", stdin=subprocess.PIPE)
    data = os.urandom(3_000_000)
    out, _ = process.communicate(data, timeout=60)
    assert out == data


def test_ckptruns_own_lines_start_on_a_line_of_their_own(world, piped):
    process = piped(world, *world.script("on('USR1', leave=0); os.write(2, b'50%'); rest()"))
    assert os.read(process.stderr.fileno(), 100) == b"50%"
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=60)
    assert err.startswith(b"\nckptrun: SIGUSR1: asked the script to save and stop")


BURST = """
chunk = bytes(range(256)) * 4096
for n in range(200):
    view = memoryview(chunk)
    while view:
        view = view[os.write(1, view):]
"""


def test_a_burst_of_200_mb_is_exact(world, piped):
    """Through a reader that is slower than the writer."""
    process = piped(world, *world.script(BURST))
    digest, total = hashlib.md5(), 0
    while data := os.read(process.stdout.fileno(), 1 << 20):
        digest.update(data)
        total += len(data)
        time.sleep(0.001)
    process.communicate(timeout=60)
    assert total == 200 << 20
    assert digest.digest() == hashlib.md5(bytes(range(256)) * 4096 * 200).digest()
    log = world.log()
    assert len(log) < (80 << 20) + 200
    assert log.startswith(bytes(range(256)) * 65536)
    left_out = int(re.search(rb"\[ckptrun: (\d+) bytes \([^)]*\) left out here\]\n", log)[1])
    assert left_out == (200 - 80) << 20
    assert log.endswith(bytes(range(256)) * 4096 * 64)
    assert sorted(name for name in os.listdir(world.path) if name.startswith("log")) == ["log.txt"]


def test_a_reader_that_stops_reading_holds_up_nothing(world, piped):
    body = """
line = b"x" * 1023 + b"\\n"
began = time.monotonic()
for n in range(8000):
    os.write(1, line)
tell(step=1); say("done in", time.monotonic() - began)
on('USR1', leave=0)
rest()
"""
    process = piped(world, *world.script(body))
    wait_until(lambda: b"done in" in world.log()[-100:])
    took = float(re.search(rb"done in ([\d.]+)", world.log())[1])
    assert 1.5 < took < 10  # patience with the reader, once
    out = b""
    while not select.select([process.stderr], [], [], 0)[0]:  # it reads again: first what had been kept for it
        if select.select([process.stdout], [], [], 0.1)[0]:
            out += os.read(process.stdout.fileno(), 1 << 16)
    assert len(out) >= 1 << 20
    said = os.read(process.stderr.fileno(), 1000).decode()
    assert re.search(r"ckptrun: [\d.]+ MB of stdout were not shown, as nobody read; they are only in log.txt", said)
    process.send_signal(signal.SIGUSR1)
    rest, _ = process.communicate(timeout=60)
    assert (out + rest).endswith(b"got USR1 %d\n" % int(re.search(rb"got USR1 (\d+)", rest)[1]))  # live again
    assert world.log().count(b"\n") == 8002


def test_a_reader_that_never_reads_again_does_not_keep_ckptrun(world, piped):
    process = piped(world, *world.script("os.write(1, b'y' * 3_000_000)"))
    assert process.wait(30) == 0
    assert len(world.log()) == 3_000_000
    assert "was not shown" in process.stderr.read().decode()


def test_a_dead_reader_is_not_an_error_of_the_training(world, piped):
    process = piped(
        world, *world.script("say('ready'); time.sleep(0.3); [say('line', n) for n in range(1000)]; sys.exit(5)")
    )
    assert os.read(process.stdout.fileno(), 100) == b"ready\n"
    process.stdout.close()
    assert process.wait(30) == 0
    assert world.ended()["child_exit"] == 5
    assert b"line 999" in world.log()


def test_our_descriptors_stay_as_they_were_given(world, piped):
    """O_NONBLOCK belongs to the open file, which the shell shares with us."""
    process = piped(world, *world.script("on('USR1', leave=0); say('ready'); rest()"), stdin=subprocess.PIPE)
    assert os.read(process.stdout.fileno(), 100) == b"ready\n"
    for fd in (0, 1, 2):
        with open(f"/proc/{process.pid}/fdinfo/{fd}") as file:
            flags = int(re.search(r"flags:\s*(\d+)", file.read())[1], 8)
        assert not flags & os.O_NONBLOCK
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=30)


def test_sockets_as_stdout(world, piped):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = piped(world, *world.script("os.write(1, b'z' * 3_000_000)"), stdout=theirs)
        theirs.close()
        got = b"".join(iter(lambda: ours.recv(1 << 16), b""))
        process.communicate(timeout=30)
    assert got == b"z" * 3_000_000


def test_a_full_disk_below_stdout(world, piped):
    with open("/dev/full", "wb") as full:
        process = piped(world, *world.script("[say('line', n) for n in range(100)]"), stdout=full)
        _, err = process.communicate(timeout=30)
    assert err.decode().count("cannot write to stdout: No space left on device") == 1
    assert world.log().count(b"\n") == 100


def test_stdout_and_stderr_may_be_closed(world):
    argv = world.argv(*world.script("say('hello'); os.write(2, b'there\\n')"))
    quoted = " ".join(f"'{word}'" for word in argv)
    subprocess.run(["sh", "-c", f"exec {quoted} <&- >&- 2>&-"], cwd=world.path, env=clean_env(), check=True, timeout=30)
    assert sorted(world.log().split()) == [b"hello", b"there"]


def test_with_json_the_childs_stdout_is_shown_on_stderr(world, piped):
    process = piped(world, *world.script("for n in range(500): os.write(1 + n % 2, b'%d\\n' % n)"), stdout_to_stderr=1)
    out, err = process.communicate(timeout=30)
    assert out == b""
    assert err.split() == [b"%d" % n for n in range(500)]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="a full disk needs a tmpfs, mounted by root")
def test_a_full_disk_below_the_log(world, piped):
    small = os.path.join(world.path, "small")
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
    try:
        command = world.script("os.write(1, b'a' * 300_000); time.sleep(0.3); say('end'); sys.exit(4)")
        process = piped(type(world)(small), *command)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0 or b"No space" in err  # the driver's own files lie there, too
        assert out == b"a" * 300_000 + b"end\n"
        assert err.decode().count("cannot write the log") == 1
    finally:
        subprocess.run(["umount", small], check=True)


# --- the log by itself -------------------------------------------------------------------------------------------------
def written(folder, data, head=10, tail=20, pieces=7):
    complaints = []
    log = logfile.LogFile(str(folder), complaints.append, head_bytes=head, tail_bytes=tail)
    for start in range(0, len(data), pieces):
        log.write(data[start : start + pieces])
    return log, complaints


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 29, 30, 31, 49, 50, 51, 69, 70, 71, 100, 999])
def test_the_log_keeps_the_beginning_and_the_end(tmp_path, size):
    data = bytes(n % 251 for n in range(size))
    log, complaints = written(tmp_path, data)
    log.close()
    text = (tmp_path / "log.txt").read_bytes()
    if size <= 30:
        assert text == data
    else:
        assert text == data[:10] + b"\n[ckptrun: %d bytes (%d B) left out here]\n" % (size - 30, size - 30) + data[-20:]
    assert os.listdir(tmp_path) == ["log.txt"]
    assert complaints == []


def test_a_join_that_was_cut_short_can_be_done_again(tmp_path):
    data = bytes(n % 251 for n in range(65))
    log, _ = written(tmp_path, data)
    log.abandon()
    saved = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    assert set(saved) == {"log.txt", "log.tail-0", "log.tail-1"}
    with open(tmp_path / "log.txt", "ab") as file:
        file.write(b"half of it")
    logfile.join(str(tmp_path), 10, 20)
    assert (tmp_path / "log.txt").read_bytes() == data[:10] + b"\n[ckptrun: left out here]\n" + data[-20:]


def test_a_log_that_cannot_be_made_is_said_once(tmp_path):
    log, complaints = written(tmp_path / "missing", b"x" * 100)
    log.close()
    assert len(complaints) == 1
    assert "No such file or directory" in complaints[0]


def test_bytes_that_a_full_disk_refused_are_counted(tmp_path, monkeypatch):
    complaints = []
    log = logfile.LogFile(str(tmp_path), complaints.append)
    real, full = os.write, [False]

    def write(fd, data):
        if full[0]:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    log.write(b"before")
    full[0] = True
    log.write(b"lost" * 10)
    full[0] = False
    log.write(b"after")
    log.close()
    assert (tmp_path / "log.txt").read_bytes() == b"before\n[ckptrun: 40 bytes could not be written here]\nafter"
    assert len(complaints) == 1


def test_threads_are_not_used(world):
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()")) as it:
        it.wait_for("ready")
        assert len(os.listdir(f"/proc/{it.pid}/task")) == 1
        it.signal(signal.SIGUSR1)
        it.finish()
    assert threading.active_count() >= 1
    assert sys.version_info >= (3, 10)
