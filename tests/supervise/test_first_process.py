"""ckptrun as process 1 of a container: signals that it has no handler for are ignored there, and all orphans are its children."""

from __future__ import annotations

import signal
import subprocess

import psutil
import pytest
import support

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
SCRIPT = """
import os, sys, time
def orphan(code):
    if (child := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            code()
        os._exit(0)
    os.waitpid(child, 0)
for number in range(5):
    orphan(lambda: os._exit(number))
print("orphans", flush=True)
if "leave" in sys.argv:
    orphan(lambda: time.sleep(600))
    sys.exit(3)
time.sleep(600)
"""


@pytest.fixture(scope="module", autouse=True)
def _namespaces():
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")


def start(tmp_path, *words):
    support.write_files(tmp_path, {"script.py": SCRIPT})
    command = support.ckptrun_argv("train", "--run", "r", *words)
    return support.Started([*UNSHARE, *command], cwd=tmp_path)


def first(container):
    """Process 1 of the container, as it is seen from outside."""
    return psutil.Process(container.pid).children()[0]


def zombies(process):
    found = []
    for each in process.children(recursive=True):
        try:
            found += [each] if each.status() == psutil.STATUS_ZOMBIE else []
        except psutil.NoSuchProcess:  # just now
            continue
    return found


def test_orphans_are_waited_for(tmp_path):
    with start(tmp_path, "script.py") as container:
        container.wait_for("^orphans")
        support.wait_until(lambda: zombies(first(container)), what="orphans are ours")
        first(container).send_signal(signal.SIGCONT)  # looks at everything, as at every heartbeat
        support.wait_until(lambda: not zombies(first(container)), timeout=5, what="no zombies")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_signals_from_outside_are_obeyed(tmp_path, number, code):
    with start(tmp_path, "--grace", "1s", "script.py") as container:
        container.wait_for("^orphans")
        first(container).send_signal(number)
        assert container.finish() == code, container.text


def test_nothing_is_left_when_the_command_ends(tmp_path):
    with start(tmp_path, "script.py", "leave") as container:
        assert container.finish() == 3, container.text
        assert "NOTHING IS SAVED" in container.text
