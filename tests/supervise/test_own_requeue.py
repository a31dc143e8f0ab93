"""A script that asks to be requeued: what it leaves in the node-local directory is found at once, and ends it."""

from __future__ import annotations

import os
import signal

import pytest
from support import wait_until

from ckptrun import names
from ckptrun.supervise.events import RequeueAsked
from ckptrun.supervise.requestfile import requeue_asked

# As `platforms.slurm.shim` does it, in Python; the shell is tested with it.
ASK = """
def ask():
    with open(os.path.join(os.path.dirname(os.environ["CKPTRUN_NOTIFY"]), "requeue"), "w") as file:
        file.write("scontrol requeue 7")
    os.kill(os.getppid(), signal.SIGCONT)
"""


def test_one_that_goes_on_is_ended(world):
    with world.start(*world.script(f"{ASK}\non('TERM', 0)\nask(); say('ready'); rest()"), grace=1) as it:
        it.wait_for("the script asked to be requeued: it has 1.0 s to end by itself")
        it.wait_for("got TERM")
        it.finish()
    ended = world.ended()
    assert [(each["action"], each["cause"], each["reason"]) for each in ended["requests"]] == [
        (names.SAVE_AND_STOP, "preempted", names.BY_SCRIPT)
    ]
    assert world.ledger("requeue_asked")[0]["words"] == "scontrol requeue 7"
    assert not os.path.exists(world.local("requeue"))


@pytest.mark.parametrize("wake", ["", "os.kill = lambda *_: None"])
def test_one_that_ends_at_once_has_asked_all_the_same(world, wake):
    with world.start(*world.script(f"{ASK}\n{wake}\nask(); sys.exit(255)")) as it:
        it.finish()
    assert [each["reason"] for each in world.ended()["requests"]] == [names.BY_SCRIPT]


def test_a_handler_that_asks_is_signalled_once(world):
    body = f"{ASK}\ndef handler(*_):\n    say('saved'); ask()\nsignal.signal(signal.SIGUSR1, handler); say('ready'); rest()"
    with world.start(*world.script(body), grace=20) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.wait_for("5.0 s to end by itself")
        it.finish()
    assert it.text.count("saved\n") == 1
    assert [each["reason"] for each in world.ended()["requests"]] == ["SIGUSR1", names.BY_SCRIPT]
    assert len(world.ledger("delivered")) == 1


def test_a_handler_that_asks_after_every_save_goes_on_after_a_plain_one(world):
    body = f"{ASK}\ndef handler(*_):\n    say('saved'); ask(); say('asked')\nsignal.signal(signal.SIGUSR1, handler); say('ready'); rest()"
    with world.start(*world.script(body), signal_means="save") as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR2)
        it.wait_for("asked")
        wait_until(lambda: world.ledger("requeue_asked"))
        it.signal(signal.SIGQUIT)
        it.finish()
    assert [entry["goes_on"] for entry in world.ledger("requeue_asked")] == [True]
    assert [each["cause"] for each in world.ended()["requests"]][-1] == "stopped"


def test_what_was_asked_is_heard_once(tmp_path):
    assert requeue_asked(str(tmp_path)) is None
    (tmp_path / "requeue").write_bytes(b"scontrol requeue \xff\n")
    assert requeue_asked(str(tmp_path)) == RequeueAsked("scontrol requeue \\xff")
    assert requeue_asked(str(tmp_path)) is None


def test_a_link_is_not_followed(tmp_path):
    os.symlink("/etc/passwd", tmp_path / "requeue")
    with pytest.raises(OSError, match="symbolic links"):
        requeue_asked(str(tmp_path))
