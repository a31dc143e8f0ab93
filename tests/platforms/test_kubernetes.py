"""A pod's word for what happens to it, and asking for it. The API server is a fake (fake_kubernetes.py), TLS and tokens are real."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import fake_kubernetes as fake
import msgspec
import pytest
import support

from ckptrun import names, platforms
from ckptrun.model import Holder
from ckptrun.platforms import kubernetes
from ckptrun.platforms.kubernetes import Kubernetes, Seen, Thing
from ckptrun.platforms.slurm import Slurm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STARTED = datetime.fromisoformat("2026-11-20T18:00:05+00:00").timestamp()
NOW = STARTED + 1000
ALONE: dict[str, Any] = {"ownerReferences": []}
DELETED = {"deletionTimestamp": "2026-11-20T18:18:45Z", "deletionGracePeriodSeconds": 120}  # 120 s from NOW


def seen(pod: dict[str, Any] | None, job: dict[str, Any] | None = None) -> Seen:
    return msgspec.json.decode(msgspec.json.encode({"status": 200, "pod": pod, "job": job}), type=Seen)


def thing(shown: dict[str, Any]) -> Thing:
    return msgspec.json.decode(msgspec.json.encode(shown), type=Thing)


# --- why, when, and whether it is over: cases as data -----------------------------------------------------------------------
WHY = {
    "nothing is known": (None, None, ""),
    "may not be read": (None, None, ""),
    "a signal by hand": (fake.pod(), None, ""),
    "preempted": (
        fake.pod(status=fake.disrupted("PreemptionByScheduler"), metadata=DELETED),
        names.PREEMPTED,
        "higher priority",
    ),
    "evicted": (fake.pod(status=fake.disrupted("EvictionByEvictionAPI"), metadata=DELETED), names.PREEMPTED, "evicted"),
    "node pressure": (fake.pod(status=fake.disrupted("TerminationByKubelet")), names.PREEMPTED, "the node evicts"),
    "tainted": (fake.pod(status=fake.disrupted("DeletionByTaintManager"), metadata=DELETED), names.PREEMPTED, "taint"),
    "a reason of tomorrow": (fake.pod(status=fake.disrupted("Whatever")), names.PREEMPTED, "Whatever"),
    "a disruption that was called off": (fake.pod(status=fake.disrupted("PreemptionByScheduler", "False")), None, ""),
    "deleted": (fake.pod(metadata=DELETED), names.PREEMPTED, "is being deleted"),
    "past its deadline": (
        fake.pod(spec={"activeDeadlineSeconds": 999}),
        names.TIMED_OUT,
        "activeDeadlineSeconds of the pod",
    ),
    "the kubelet's own word": (fake.pod(status={"reason": "DeadlineExceeded"}), names.TIMED_OUT, "activeDeadlineSeconds"),
    "long before its deadline": (fake.pod(spec={"activeDeadlineSeconds": 5000}), None, ""),
    "deleted long before its deadline": (
        fake.pod(spec={"activeDeadlineSeconds": 5000}, metadata=DELETED),
        names.PREEMPTED,
        "is being deleted",
    ),
    "nobody starts it again": (
        fake.pod(metadata={**DELETED, **ALONE}),
        names.PREEMPTED,
        "is being deleted, and no Job makes another",
    ),
}


@pytest.mark.parametrize("case", WHY)
def test_the_pod_says_why(case: str) -> None:
    pod, cause, words = WHY[case]
    found = kubernetes.explain(seen(pod), NOW)
    assert (found.cause if found else None) == cause
    assert words in (found.sentence if found else "")


def test_a_jobs_deadline_is_one_too() -> None:
    both = seen(fake.pod(metadata=DELETED), fake.job(activeDeadlineSeconds=1004))
    found = kubernetes.explain(both, NOW)
    assert found is not None
    assert (found.cause, found.sentence) == (names.TIMED_OUT, "activeDeadlineSeconds of the Job has passed")


ENDS = [
    (fake.pod(), None, (None, "")),
    (fake.pod(spec={"activeDeadlineSeconds": 3600}), None, (3600, "activeDeadlineSeconds of the pod")),
    (fake.pod(), fake.job(activeDeadlineSeconds=3600), (3595, "activeDeadlineSeconds of the Job")),
    (
        fake.pod(spec={"activeDeadlineSeconds": 3600}),
        fake.job(activeDeadlineSeconds=7200),
        (3600, "activeDeadlineSeconds of the pod"),
    ),
    (fake.pod(metadata=DELETED), fake.job(activeDeadlineSeconds=7200), (1120, "the end of the pod's grace")),
    (fake.pod(metadata=DELETED, spec={"activeDeadlineSeconds": 999}), None, (1120, "the end of the pod's grace")),
    (fake.pod(spec={"activeDeadlineSeconds": 999}), None, (999, "activeDeadlineSeconds of the pod")),
]


@pytest.mark.parametrize(("pod", "job", "end"), ENDS)
def test_the_next_end_that_has_not_passed_counts(pod: Any, job: Any, end: tuple[float | None, str]) -> None:
    found, whose = kubernetes.end_of(seen(pod, job), NOW)
    assert (None if found is None else found - STARTED, whose) == end
    assert kubernetes.end_of(None, NOW) == (None, "")


@pytest.mark.parametrize(
    ("pod", "over"),
    [
        (fake.pod(), False),
        (fake.pod(status={"phase": "Succeeded"}), True),
        (fake.pod(status={"phase": "Failed"}), True),
        (
            fake.pod(status={"phase": "Failed", **fake.disrupted("DeletionByPodGC")}),
            None,
        ),  # its node is gone, not its processes
        (fake.pod(status={"phase": "Unknown"}), None),
        (fake.pod(metadata=DELETED), None),
        (None, None),
    ],
)
def test_a_pod_is_over_when_its_processes_are(pod: Any, over: bool | None) -> None:
    assert kubernetes.is_over(None if pod is None else thing(pod)) is over


@pytest.mark.parametrize(
    ("policy", "owner", "words"),
    [("Never", ALONE, "this pod ends, nobody"), ("Always", ALONE, "is evicted or preempted, nobody"), ("Never", {}, "")],
)
def test_what_a_pod_needs_to_be_started_again(policy: str, owner: dict[str, Any], words: str) -> None:
    assert words in (found := kubernetes.remedy(thing(fake.pod(metadata=owner, spec={"restartPolicy": policy}))))
    assert bool(found) == bool(words)


# --- who we are --------------------------------------------------------------------------------------------------------------
def test_a_container_of_a_pod_is_recognised_and_others_are_not(tmp_path: Path) -> None:
    inside = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    assert platforms.detect(inside).job().platform == "kubernetes"
    assert platforms.detect({"container": "docker"}).job().platform == "local"
    assert isinstance(platforms.detect({**inside, "SLURM_JOB_ID": "7"}), Slurm)
    (tmp_path / "token").write_text(fake.token())
    (tmp_path / "namespace").write_text(f"{fake.NAMESPACE}\n")
    job = Kubernetes({**inside, "JOB_COMPLETION_INDEX": "3"}, str(tmp_path)).job()
    assert (job.job, job.cluster, job.node, job.array_task, job.automatic) == (
        fake.POD,
        fake.NAMESPACE,
        "node-7",
        "3",
        False,
    )
    assert Kubernetes({**inside, names.ENV_SUBMITTED: "1"}, str(tmp_path)).job().automatic
    told = Kubernetes({**inside, "POD_NAME": "p", "POD_NAMESPACE": "n", "NODE_NAME": "m"}, str(tmp_path)).job()
    assert (told.job, told.cluster, told.node) == ("p", "n", "m")


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.e30.c", "..", "a.eyJrdWJlcm5ldGVzLmlvIjogN30.c"])
def test_a_token_that_says_nothing_is_no_trouble(token: str) -> None:
    assert kubernetes.claims(token).pod.name == ""


def test_without_an_account_nothing_is_asked_and_nothing_known(tmp_path: Path) -> None:
    place = Kubernetes({"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}, str(tmp_path / "none"))
    place.begin()
    place.signalled()
    assert (place.end_time(), place.grace(), place.why_stopped(), place.can_restart()) == ((None, ""), None, None, False)
    assert place.is_over(Holder(host="x", pid=1, boot_id="b", platform="kubernetes", job="p")) is None
    assert place.restart(75, insist=True).comes_back is False
    place.close()


# --- asking --------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake.FakeApi]:
    if fake.MISSING:
        pytest.skip(fake.MISSING)
    monkeypatch.setattr(kubernetes, "PATIENCE", support.PATIENCE)  # the machine may be slow
    with fake.serving(str(tmp_path)) as served:
        yield served


def placed(api: fake.FakeApi) -> Kubernetes:
    return Kubernetes(api.environ, api.account, clock=lambda: NOW)


def test_a_pod_is_asked_for_and_then_its_job(api: fake.FakeApi) -> None:
    api.put(fake.pod(spec={"activeDeadlineSeconds": 3600}))
    api.put(fake.job(activeDeadlineSeconds=1800))
    place = placed(api)
    place.begin()
    support.wait_until(lambda: place.grace() is not None, what="an answer")
    assert place.grace() == 120
    assert place.end_time() == (STARTED - 5 + 1800, "activeDeadlineSeconds of the Job")
    assert api.asked == [
        f"/api/v1/namespaces/{fake.NAMESPACE}/pods/{fake.POD}",
        f"/apis/batch/v1/namespaces/{fake.NAMESPACE}/jobs/{fake.JOB}",
    ]
    assert place.why_stopped() is None  # no signal has come


def test_why_is_asked_after_the_signal_and_not_known_from_before(api: fake.FakeApi) -> None:
    place = placed(api)
    place.begin()
    support.wait_until(lambda: place.grace() is not None, what="an answer")
    api.put(fake.pod(status=fake.disrupted("EvictionByEvictionAPI"), metadata=DELETED))
    place.signalled()
    found = place.why_stopped()
    assert found is not None
    assert (found.cause, found.sentence) == (names.PREEMPTED, "the pod is evicted, as when its node is drained")
    assert place.end_time() == (NOW + 120, "the end of the pod's grace")
    api.readable = False
    place.signalled()
    assert place.why_stopped() is None


def test_an_answer_wakes_ckptrun(api: fake.FakeApi) -> None:
    code = (
        "import select, signal, sys\nfrom ckptrun.platforms.kubernetes import Kubernetes\n"
        "from ckptrun.supervise.signals import Intake\n"
        f"place = Kubernetes({api.environ!r}, {api.account!r})\n"
        "with Intake() as intake:\n    place.begin()\n    assert intake.wait(60) and intake.take() == [signal.SIGCONT]\n"
        "assert place.grace() == 120"
    )
    done = support.run([sys.executable, "-c", code], cwd="/")
    assert done.returncode == 0, done.stderr


def test_a_service_account_that_may_not_read_pods_is_no_trouble(api: fake.FakeApi) -> None:
    api.readable = False
    place = placed(api)
    place.begin()
    place.signalled()
    assert place.why_stopped() is None
    assert (place.grace(), place.end_time()) == (None, (None, ""))
    assert api.asked


def test_the_token_is_shown_to_nobody_but_the_api_server(api: fake.FakeApi, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with fake.serving(str(tmp_path / "other")) as impostor:
        place = Kubernetes(impostor.environ, api.account)
        place.signalled()
        assert place.why_stopped() is None
        assert impostor.authorised == []


def test_a_token_that_was_renewed_is_read_anew(api: fake.FakeApi) -> None:
    place = placed(api)
    api.write("token", fake.token(uid="another"))
    place.signalled()
    place.why_stopped()
    assert place.grace() == 120


def test_a_server_that_does_not_answer_is_given_up(api: fake.FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = str(deaf.getsockname()[1])
        place = Kubernetes({**api.environ, "KUBERNETES_SERVICE_PORT_HTTPS": port}, api.account)
        begun = time.monotonic()
        place.begin()
        assert (place.grace(), place.end_time()) == (None, (None, ""))
        assert time.monotonic() - begun < 1
        place.signalled()
        assert place.why_stopped() is None
        assert time.monotonic() - begun < kubernetes.PATIENCE + 3


def test_another_pods_lease(api: fake.FakeApi) -> None:
    def holder(pod: str, namespace: str = fake.NAMESPACE) -> Holder:
        return Holder(host="x", pid=1, boot_id="b", platform="kubernetes", job=pod, cluster=namespace)

    api.put(fake.pod("digits-0-old", status={"phase": "Failed"}))
    place = placed(api)
    assert place.is_over(holder("digits-0-old")) is True
    assert place.is_over(holder("digits-0-gone")) is None
    assert place.is_over(holder("digits-0-old", "elsewhere")) is None
    asked = len(api.asked)
    assert place.is_over(holder("../../secrets/all")) is None
    assert place.is_over(holder(fake.POD)) is None
    assert len(api.asked) == asked


# --- as a container runs it -----------------------------------------------------------------------------------------------------
IN_A_POD = """
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
mount --bind "$1" /run/secrets/kubernetes.io/serviceaccount && shift && exec "$@"
"""
TRAIN = """
import time
import ckptrun
run = ckptrun.attach()
for step in range(100000):
    time.sleep(0.01)
    if run.should_save(step):
        with run.checkpoint(step) as folder:
            (folder / "state").write_text(str(step))
    if step == 3:
        print("going", flush=True)
    if run.should_stop:
        break
"""


def in_a_pod(account: str, *command: str) -> list[str]:
    """A command as process 1 of a pid namespace of its own, with an account where every pod has it."""
    return [*UNSHARE, "--mount", "sh", "-c", IN_A_POD, "sh", account, *command]


UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture(scope="module")
def namespaces() -> None:
    tried = subprocess.run([*in_a_pod("/tmp", "true")], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")


@pytest.mark.usefixtures("namespaces")
def test_an_evicted_pod_saves_within_its_grace_and_says_why(api: fake.FakeApi, tmp_path: Path) -> None:
    support.write_files(tmp_path, {"train.py": TRAIN})
    command = support.ckptrun_argv("train", "--run", "r", "train.py")
    with support.Started(in_a_pod(api.account, *command), cwd=tmp_path, env=api.environ) as pod:
        pod.wait_for("^going")
        first = support.psutil.Process(pod.pid).children()[0]  # process 1 of the container
        soon = datetime.fromtimestamp(time.time() + 25).astimezone().isoformat()
        api.put(fake.pod(status=fake.disrupted("EvictionByEvictionAPI"), metadata={"deletionTimestamp": soon}))
        first.send_signal(signal.SIGTERM)
        assert pod.finish() == 75
        assert "preempted: SIGTERM: the pod is evicted, as when its node is drained, answered by a checkpoint" in pod.text
    told = support.run_ckptrun("show", "r/1", cwd=tmp_path).stdout
    assert f"kubernetes job {fake.POD}" in told
    ledger = (tmp_path / "runs/r/ledger.jsonl").read_text()
    assert '"event":"attempt_ended"' in ledger.replace(" ", "")


@pytest.mark.usefixtures("namespaces")
def test_a_grace_that_is_shorter_than_ours_comes_nearer_at_once(api: fake.FakeApi, tmp_path: Path) -> None:
    slow = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('going', flush=True)\nwhile True: time.sleep(1)\n"
    support.write_files(tmp_path, {"slow.py": slow})
    command = support.ckptrun_argv("train", "--run", "r", "slow.py")
    with support.Started(in_a_pod(api.account, *command), cwd=tmp_path, env=api.environ) as pod:
        pod.wait_for("^going")
        soon = datetime.fromtimestamp(time.time() + 5).astimezone().isoformat()
        api.put(fake.pod(metadata={"deletionTimestamp": soon}))
        support.psutil.Process(pod.pid).children()[0].send_signal(signal.SIGTERM)
        support.wait_until(
            lambda: '"deadline"' in (tmp_path / "runs/r/ledger.jsonl").read_text(), timeout=4, what="the deadline"
        )


@pytest.mark.usefixtures("namespaces")
def test_a_shell_that_is_process_one_is_warned_of(tmp_path: Path) -> None:
    command = " ".join(support.ckptrun_argv("train", "--run", "r", "done.py")) + "; exit $?"
    support.write_files(tmp_path, {"done.py": "import sys\nsys.exit(3)\n"})
    done = support.run([*UNSHARE, "sh", "-c", command], cwd=tmp_path, env={"KUBERNETES_SERVICE_HOST": "127.0.0.1"})
    assert done.returncode == 3, done.stderr
    assert "Kubernetes signals process 1 of the container, which is sh and passes nothing on" in done.stderr
