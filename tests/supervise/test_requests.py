"""The request file, the inbox, the notify socket and the notices: what is asked of a script, and what its answers bring about."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from support import wait_until

# A script as `import ckptrun` would make it: hello, look at the file after each step, save, answer, stop when asked to.
TRAINER = """
tell(hello={"pid": os.getpid(), "goes_on": True, "rank": 0, "world": 1, "version": "0"})
seen = set()
for step in range(10**6):
    time.sleep(0.02)
    if step % 10 == 0:
        tell(step=step, total=10**6)
    asked = request()
    if step == 3:
        say("ready")
    if asked and asked["id"] not in seen:
        seen.add(asked["id"])
        tell(saving=step); time.sleep(SAVE)
        tell(checkpoint=f"step-{step:08d}", step=step, request=asked["id"], seconds=SAVE)
        say("saved for", asked["action"], asked["reason"])
        if asked["action"] == "save_and_stop":
            break
"""


def trainer(world, save=0.05):
    return world.script(f"SAVE = {save}\n{TRAINER}")


def test_the_request_file_says_everything(world):
    body = """
say('ready')
while not request(): time.sleep(0.01)
say(json.dumps(request())); print(oct(os.stat(os.environ["CKPTRUN_REQUEST_FILE"]).st_mode)); sys.exit(0)
"""
    with world.start(*world.script(body), grace=20) as it:
        it.wait_for("ready")
        before = time.time()
        it.signal(signal.SIGTERM)
        found = json.loads(it.wait_for(r"^\{.*\}")[0])
        it.wait_for("0o100600")
        it.finish()
    deadline = found.pop("deadline")
    assert found == {"format": 1, "id": "3-1", "attempt": 3, "action": "save_and_stop", "reason": "SIGTERM", "at_step": None}
    assert before + 19 < deadline < before + 22
    assert not os.path.exists(world.local("request.json"))
    published = [entry["request"] for entry in world.read("published.jsonl")]
    assert published[0]["id"] == "3-1"
    assert published[0]["cause"] == "preempted"
    assert published[-1] is None


def test_a_stale_request_does_not_reach_the_next_attempt(world):
    os.mkdir(os.path.dirname(world.local("x")))
    with open(world.local("request.json"), "w") as file:
        json.dump({"id": "2-1", "attempt": 2, "action": "save_and_stop"}, file)
    with world.start(*world.script("say('found', request())")) as it:
        it.wait_for("found None")
        it.finish()


def test_a_save_goes_on_and_a_stop_stops(world):
    with world.start(*trainer(world), beat=0.1) as it:
        wait_until(lambda: any("steps_per_second" in entry for entry in world.read("progress.jsonl")))
        world.ask("save")
        it.wait_for("saved for save ana@login1")
        wait_until(lambda: world.read("answers.jsonl"))
        wait_until(lambda: not os.path.exists(world.local("request.json")))
        world.ask("save_and_stop", request="asked-2", reason="maintenance")
        it.wait_for("saved for save_and_stop maintenance")
        it.finish()
    answers = world.read("answers.jsonl")
    assert [(each["id"], each["ok"]) for each in answers] == [("asked-1", True), ("asked-2", True)]
    ended = world.ended()
    assert [each["action"] for each in ended["requests"]] == ["save", "save_and_stop"]
    assert ended["requests"][1]["cause"] == "stopped"
    assert ended["checkpoints"] == [each["checkpoint"] for each in answers]
    assert ended["answered"]
    assert ended["step"] >= 0
    assert ended["total"] == 10**6
    assert ended["learned"]["step"] == pytest.approx(0.02, rel=2)
    assert 0.05 <= ended["learned"]["save"] < 1
    assert ended["learned"]["exit"] is not None
    assert [entry["by"] for entry in world.read("stopped.jsonl")] == ["ana@login1"]
    assert [entry["name"] for entry in world.ledger("checkpoint")] == ended["checkpoints"]
    progress = world.read("progress.jsonl")[-1]
    assert progress["steps_per_second"] > 5
    assert progress["last_checkpoint"] in ended["checkpoints"]


def test_the_inbox_is_looked_at_when_ckptrun_is_continued(world):
    """So that `ckptrun stop` on the same host need not wait for the next heartbeat."""
    with world.start(*trainer(world)) as it:
        it.wait_for("ready")
        world.ask("save")
        began = time.monotonic()
        it.signal(signal.SIGCONT)
        it.wait_for("saved for save")
        assert time.monotonic() - began < 5
        it.signal(signal.SIGTERM)
        it.finish()


def test_stop_now_from_the_inbox(world):
    with world.start(*world.script("say('ready'); rest()"), beat=0.1, grace=60) as it:
        it.wait_for("ready")
        world.ask("stop_now")
        it.finish(10)
    assert world.ended()["child_signal"] == signal.SIGTERM
    assert [(each["id"], each["ok"]) for each in world.read("answers.jsonl")] == [("asked-1", False)]


def test_two_requests_at_once(world):
    """A save and a stop, before the script has looked: the stronger is obeyed, both are answered."""
    with world.start(*trainer(world, save=0.2), beat=0.1) as it:
        it.wait_for("ready")
        world.ask("save", request="a")
        world.ask("save_and_stop", request="b")
        it.finish()
    assert {(each["id"], each["ok"]) for each in world.read("answers.jsonl")} == {("a", True), ("b", True)}


def test_a_signal_while_saving(world):
    with world.start(*trainer(world, save=0.6), beat=0.1) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR2)
        wait_until(lambda: any(entry.get("state") == "saving" for entry in world.read("progress.jsonl")))
        it.signal(signal.SIGTERM)
        it.wait_for("saved for save ")
        it.wait_for("saved for save_and_stop")
        it.finish()
    assert world.ended()["child_exit"] == 0
    assert len(world.ended()["checkpoints"]) == 2


def test_save_at_once_go_on_save_again_and_stop_before_the_end(world):
    """The lead is known: 12 s less 3 s of bookkeeping; a step, half as much again as a save, and the exit before it."""
    learned = json.dumps({"step": 0.1, "save": 1.0, "first_save": 1.0, "exit": 0.2})
    with world.start(*trainer(world), end=12, learned=learned) as it:
        it.wait_for("ready")
        it.signal(signal.SIGUSR1)
        it.wait_for("saved for save SIGUSR1")
        first = time.monotonic()
        it.wait_for("saved for save_and_stop SIGUSR1")
        assert time.monotonic() - first > 3
        it.finish()
    ended = world.ended()
    assert [(each["action"], each["cause"]) for each in ended["requests"]] == [
        ("save", "preempted"),
        ("save_and_stop", "preempted"),
    ]
    assert ended["answered"]
    assert ended["sent_signals"] == []


def test_a_time_limit_needs_no_signal(world):
    learned = json.dumps({"step": 0.1, "save": 0.3, "first_save": 0.3, "exit": 0.1})
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()"), end=5, learned=learned) as it:
        it.finish(15)
    ended = world.ended()
    assert [(each["action"], each["cause"], each["reason"]) for each in ended["requests"]] == [
        ("save_and_stop", "timed_out", "time limit")
    ]
    assert 1.0 < ended["ended"] - ended["started"] < 2.6  # 5 - 3 of bookkeeping - 1.5 * (0.1 + 0.3 + 0.1)


def test_a_time_limit_ends_who_does_not_listen(world):
    learned = json.dumps({"step": 0.1, "save": 0.3, "first_save": 0.3, "exit": 0.1})
    with world.start(*world.script("say('ready'); rest()"), end=4.5, learned=learned) as it:
        it.finish(15)
    ended = world.ended()
    assert ended["child_signal"] == signal.SIGTERM
    assert ended["ended"] - ended["started"] < 4.5


def test_a_stall(world):
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()"), stall_timeout=0.7) as it:
        it.wait_for("got USR1")
        it.finish()
    assert world.ended()["requests"][0]["cause"] == "stalled"


def test_output_is_no_stall(world):
    with world.start(*world.script("for n in range(12): say(n); time.sleep(0.25)"), stall_timeout=2) as it:
        it.finish()
    assert world.ended()["requests"] == []


def test_a_plain_script_is_answered_by_the_checkpoint_that_appears(world):
    body = f"""
say('ready')
while not request(): time.sleep(0.05)
open({world.path!r} + "/saved", "w").close()
while request(): time.sleep(0.05)
say('no more request')
"""
    with world.start(*world.script(body), beat=0.1) as it:
        it.wait_for("ready")
        world.ask("save")
        it.wait_for("no more request")
        it.finish()
    assert [(each["ok"], each["checkpoint"]) for each in world.read("answers.jsonl")] == [(True, "saved")]
    assert world.ended()["checkpoints"] == ["saved"]


def test_a_failed_save_is_said_loudly(world):
    body = """
tell(hello={"pid": os.getpid(), "goes_on": True, "rank": 0, "world": 1})
on('USR1', leave=None); say('ready')
while not request(): time.sleep(0.02)
tell(failed="step 5: No space left on device"); sys.exit(1)
"""
    with world.start(*world.script(body), beat=0.1, verbosity=-1) as it:
        it.wait_for("ready")
        world.ask("save_and_stop")
        it.finish()
    assert "ckptrun: NOT saved: step 5: No space left on device" in it.text
    assert "ckptrun: nothing was saved after the request to stop (step 5: No space left on device)" in it.text
    assert world.read("answers.jsonl")[0]["text"] == "not saved: step 5: No space left on device"


def test_done_is_heard(world):
    with world.start(*world.script("tell(done='all steps'); say('bye')")) as it:
        it.finish()
    assert world.ended()["done"] == "all steps"


def test_rubbish_on_the_socket_is_harmless(world):
    body = """
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    for data in (b"", b"{", b"[]", b"\\xff", b"[" * 4000, b'{"step": "x"}', b'{"hello": 3}', b'{"checkpoint": null, "seconds": "x"}'):
        notify.sendto(data, os.environ["CKPTRUN_NOTIFY"])
tell(step=7); say("sent")
"""
    with world.start(*world.script(body)) as it:
        it.wait_for("sent")
        it.finish()
    assert world.ended()["step"] == 7


# --- the lease -------------------------------------------------------------------------------------------------------------
def test_a_lost_lease_ends_the_tree_and_writes_nothing_more(world):
    lease = os.path.join(world.path, "lease")
    with open(lease, "w"):
        pass
    with world.start(*world.script("on('TERM'); on('USR1'); say('ready'); rest()"), beat=0.2, lease=lease) as it:
        it.wait_for("ready")
        before = world.read("ledger.jsonl")
        os.unlink(lease)
        it.finish(10)
    ended = world.ended()
    assert ended["lease_lost"]
    assert ended["child_signal"] == signal.SIGKILL
    assert "got TERM" not in it.text  # a handler could still save: not into a run that is somebody else's
    assert world.read("ledger.jsonl") == before


def test_a_holder_that_was_suspended_looks_before_it_writes(world):
    lease = os.path.join(world.path, "lease")
    with open(lease, "w"):
        pass
    body = "on('USR1')\nfor n in range(10**6): say('tick', n); time.sleep(0.01)"
    with world.start(*world.script(body), lease=lease) as it:
        it.wait_for("tick 5")
        os.kill(it.pid, signal.SIGSTOP)
        os.unlink(lease)
        time.sleep(0.2)
        log, ledger = world.log(), world.read("ledger.jsonl")
        it.signal(signal.SIGTERM)
        it.signal(signal.SIGCONT)
        it.finish(10)
    assert world.ended()["lease_lost"]
    assert world.read("ledger.jsonl") == ledger
    assert world.log() == log


def test_one_wake_up_in_ten_seconds(world):
    """Nothing happens: then we sleep. Voluntary switches of the supervisor, over three seconds between two beats."""
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()")) as it:
        it.wait_for("ready")
        wait_until(lambda: switches_in(it.pid, 0.3) == 0, timeout=5, what="what belongs to the start is done")
        assert switches_in(it.pid, 3) <= 1
        it.signal(signal.SIGTERM)
        it.finish()


def test_looks_at_what_the_script_writes_come_as_often_as_is_wanted(world):
    with world.start(*world.script("on('USR1', leave=0); say('ready'); rest()"), glance=0.05) as it:
        it.wait_for("ready")
        wait_until(lambda: len(world.read("glances.jsonl")) > 5, what="looks")
        assert not world.read("beats.jsonl"), "a look is no heartbeat"
        it.signal(signal.SIGTERM)
        it.finish()


def switches_in(pid, seconds):
    before = switches(pid)
    time.sleep(seconds)
    return switches(pid) - before


def switches(pid):
    with open(f"/proc/{pid}/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
