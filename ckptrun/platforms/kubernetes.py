"""Kubernetes: a container of a pod. Its end and its reason are asked of the API server, where our service account may read pods.

Whoever owns the pod starts it again, by its exit code: nothing is requested here. A pod of an indexed Job is a task of an array.

The API server is asked about our own pod (and the Job that owns it) once at the start and once after each signal, in a child
process that nobody waits for: Python's TLS alone takes longer to load than ckptrun. Fields are those of the core/v1 and batch/v1
API; a pod's deletionTimestamp is the end of its grace, and a token says whose it is
(https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/).
"""

from __future__ import annotations

import base64
import os
import re
import signal
import sys
import time
from datetime import datetime  # noqa: TC003  # msgspec reads the types of fields

import msgspec

from ckptrun import names
from ckptrun.model import Group, Holder, Identity, JobIdentity, Noun
from ckptrun.platforms import ask, base, machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ckptrun.platforms.base import Restart, Why

NAME = "kubernetes"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"  # token, ca.crt and namespace of the pod's service account
FIRST_ANSWER_SECONDS = 0.5  # a start waits for no longer than this to hear its grace
PATIENCE = 2.0  # seconds that the API server has for an answer
_SLACK = 2.0  # seconds by which our clock may be behind that of whoever watches a deadline
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "busybox")

# Asks for a pod and the Job that owns it, prints {"status": …, "pod": …, "job": …}, and has ckptrun look at the answer at once,
# not at its next heartbeat: SIGCONT is harmless, and ckptrun looks at everything when it comes; by then the answer must be whole.
# A token is renewed every hour: it is read each time.
_ASK = """
import http.client, json, os, signal, ssl, sys
host, port, account, namespace, pod, patience = sys.argv[1:]
signal.setitimer(signal.ITIMER_REAL, float(patience))
with open(account + "/token") as file:
    headers = {"Authorization": "Bearer " + file.read().strip(), "Accept": "application/json"}
trusted = ssl.create_default_context(cafile=account + "/ca.crt")
server = http.client.HTTPSConnection(host, int(port), context=trusted)
def get(api, kind, name):
    server.request("GET", f"{api}/namespaces/{namespace}/{kind}/{name}", headers=headers)
    answer = server.getresponse()
    body = answer.read()
    return answer.status, json.loads(body) if answer.status == 200 else None
status, found = get("/api/v1", "pods", pod)
owners = [owner["name"] for owner in (found or {}).get("metadata", {}).get("ownerReferences", ()) if owner["kind"] == "Job"]
job = get("/apis/batch/v1", "jobs", owners[0])[1] if owners else None
print(json.dumps({"status": status, "pod": found, "job": job}), flush=True)
os.close(1), os.close(2)
os.kill(os.getppid(), signal.SIGCONT)
os._exit(0)
"""


# --- what the API server shows, as far as we look at it ------------------------------------------------------------------
class Owner(Noun, frozen=True, kw_only=True):
    """Who made a pod, and makes another one when it fails."""

    kind: str = ""
    name: str = ""


class Meta(Noun, frozen=True, kw_only=True, rename="camel"):
    """metadata."""

    name: str = ""
    owner_references: list[Owner] = []
    deletion_timestamp: datetime | None = None  # when its grace ends; None = nobody deletes it


class Spec(Noun, frozen=True, kw_only=True, rename="camel"):
    """spec of a pod; of a Job, as far as they are alike."""

    restart_policy: str = ""  # Always | OnFailure | Never
    termination_grace_period_seconds: float | None = None
    active_deadline_seconds: float | None = None


class Condition(Noun, frozen=True, kw_only=True):
    """One of status.conditions."""

    type: str = ""
    status: str = ""
    reason: str = ""


class Status(Noun, frozen=True, kw_only=True, rename="camel"):
    """status."""

    phase: str = ""  # Pending | Running | Succeeded | Failed | Unknown
    reason: str = ""
    start_time: datetime | None = None
    conditions: list[Condition] | None = None


class Thing(Noun, frozen=True, kw_only=True):
    """A pod or a Job."""

    metadata: Meta = Meta()
    spec: Spec = Spec()
    status: Status = Status()


class Seen(Noun, frozen=True, kw_only=True):
    """An answer: the HTTP status of the pod (403 = we may not ask), the pod, and its Job if we may read that as well."""

    status: int = 0
    pod: Thing | None = None
    job: Thing | None = None


class Name(Noun, frozen=True, kw_only=True):
    """Of a pod or a node."""

    name: str = ""


class Claims(Noun, frozen=True, kw_only=True):
    """What a service account's token says of the pod that it was made for."""

    pod: Name = Name()
    node: Name = Name()


class Token(Noun, frozen=True, kw_only=True):
    """The middle part of a token."""

    claims: Claims = msgspec.field(name="kubernetes.io", default=Claims())


# --- decisions (pure) --------------------------------------------------------------------------------------------------------
_DISRUPTIONS = {
    "PreemptionByScheduler": "the scheduler preempts the pod for one of a higher priority",
    "EvictionByEvictionAPI": "the pod is evicted, as when its node is drained",
    "TerminationByKubelet": "the node evicts the pod, or shuts down",
    "DeletionByTaintManager": "the node has a taint that the pod does not tolerate",
    "DeletionByPodGC": "the pod's node is gone",
}


def explain(seen: Seen | None, now: float) -> Why | None:
    """Why the pod is stopped, from what is seen of it after the signal; None = nothing is known."""
    if seen is None or seen.pod is None:
        return None
    pod, after = seen.pod, ", and no Job makes another" if remedy(seen.pod) else ""
    if disruption := _disruption(pod):
        sentence = _DISRUPTIONS.get(disruption, f"the pod is disrupted ({disruption})")
        return base.Why(cause=names.PREEMPTED, sentence=f"{sentence}{after}")
    passed = [whose for end, whose in _deadlines(seen) if end - _SLACK <= now]
    if passed or pod.status.reason == "DeadlineExceeded":
        return base.Why(
            cause=names.TIMED_OUT, sentence=f"{passed[0] if passed else 'activeDeadlineSeconds'} has passed{after}"
        )
    if pod.metadata.deletion_timestamp is not None:
        return base.Why(cause=names.PREEMPTED, sentence=f"the pod is being deleted{after}")
    return None


def end_of(seen: Seen | None, now: float) -> tuple[float | None, str]:
    """When the pod ends and whose word that is: the next end that has not passed, else the last that has."""
    if seen is None or seen.pod is None:
        return None, ""
    ends = _deadlines(seen)
    if seen.pod.metadata.deletion_timestamp is not None:
        ends.append((seen.pod.metadata.deletion_timestamp.timestamp(), "the end of the pod's grace"))
    to_come = [end for end in ends if end[0] > now]
    return min(to_come) if to_come else max(ends, default=(None, ""))


def remedy(pod: Thing) -> str:
    """What has to be done where nobody makes the pod again. An owner is a Job, mostly; restartPolicy is no help once a pod is deleted."""
    if pod.metadata.owner_references:
        return ""
    when = "ends" if pod.spec.restart_policy == "Never" else "is evicted or preempted"
    return f"when this pod {when}, nobody starts it again (restartPolicy: {pod.spec.restart_policy}, no Job owns it): have a Job make it"


def is_over(pod: Thing | None) -> bool | None:
    """Whether all of a pod's processes have ended. A pod that is gone from the server may live on, on a node that was lost."""
    if pod is None or pod.metadata.deletion_timestamp is not None:
        return None
    return {"Succeeded": True, "Failed": None if _disruption(pod) else True, "Running": False}.get(pod.status.phase)


def _disruption(pod: Thing) -> str:
    for condition in pod.status.conditions or ():
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return condition.reason or "DisruptionTarget"
    return ""


def _deadlines(seen: Seen) -> list[tuple[float, str]]:
    found = []
    for what, thing in (("pod", seen.pod), ("Job", seen.job)):
        if thing is not None and thing.spec.active_deadline_seconds is not None and thing.status.start_time is not None:
            end = thing.status.start_time.timestamp() + thing.spec.active_deadline_seconds
            found.append((end, f"activeDeadlineSeconds of the {what}"))
    return found


# --- the platform --------------------------------------------------------------------------------------------------------------
class Kubernetes:
    """A process inside a container of a pod."""

    def __init__(
        self,
        environ: Mapping[str, str],
        account: str = ACCOUNT,
        clock: Callable[[], float] = time.time,  # noqa: TID251  # platforms may
    ) -> None:
        self._environ, self._account, self._clock = environ, account, clock
        self._claims = claims(_read(os.path.join(account, "token")))
        self._question: ask.Question | None = None
        self._seen: Seen | None = None
        self._seen_since_signal = False

    def identity(self) -> Identity:
        """See `base.Platform`."""
        return base.identity()

    def job(self) -> JobIdentity:
        """The pod is our job. A person starts it, unless CKPTRUN_SUBMITTED in its spec says otherwise."""
        return JobIdentity(
            platform=NAME,
            job=self._pod(),
            cluster=self._namespace(),
            automatic=bool(self._environ.get(names.ENV_SUBMITTED)),
            node=self._environ.get("NODE_NAME") or self._claims.node.name,
            array_task=self._environ.get("JOB_COMPLETION_INDEX", ""),
        )

    def group(self) -> Group | None:
        """We are the only one: pods of an indexed Job are runs of their own."""
        return None

    def begin(self) -> None:
        """Ask about our pod."""
        self._question = self._ask(self._pod())

    def warnings(self) -> list[str]:
        """A shell that is process 1 gets the pod's SIGTERM and passes it to nobody; and who does not start us again."""
        self._hear(0.0)
        said = [remedy(self._seen.pod)] if self._seen is not None and self._seen.pod is not None else []
        if os.getppid() == 1 and machine.parent_name() in _SHELLS and not machine.parent_catches(signal.SIGTERM):
            said.append(
                f"Kubernetes signals process 1 of the container, which is {machine.parent_name()} and passes nothing on: "
                "write `command: [ckptrun, train, ...]` in the pod's spec, or `exec ckptrun train ...` in the shell's script"
            )
        return [sentence for sentence in said if sentence]

    def end_time(self) -> tuple[float | None, str]:
        """The end of a deadline, or of the grace once the pod is being deleted, as far as the API server has told."""
        self._hear(0.0)
        return end_of(self._seen, self._clock())

    def grace(self) -> float | None:
        """terminationGracePeriodSeconds; a start waits half a second to hear it."""
        self._hear(FIRST_ANSWER_SECONDS)
        return None if self._seen is None or self._seen.pod is None else self._seen.pod.spec.termination_grace_period_seconds

    def signalled(self) -> None:
        """A signal came: ask why. What was seen before says nothing about it."""
        self.close()
        self._seen_since_signal = False
        self._question = self._ask(self._pod())

    def why_stopped(self) -> Why | None:
        """Why the pod is stopped; waits until the API server has answered or is given up."""
        self._hear(PATIENCE)
        return explain(self._seen, self._clock()) if self._seen_since_signal else None

    def programs(self) -> dict[str, str]:
        """None: a pod has nothing that starts it again."""
        return {}

    def can_restart(self) -> bool:
        """Nobody is asked to here: whoever owns the pod sees the exit code."""
        return False

    def restart(self, exit_code: int, *, insist: bool, exclude: str = "") -> Restart:  # noqa: ARG002  # there is nobody to ask
        """Whoever owns the pod does it, by the exit code."""
        self._hear(PATIENCE)
        if self._seen is not None and self._seen.pod is not None and (needed := remedy(self._seen.pod)):
            return base.Restart(sentence=needed)
        return base.Restart(sentence=f"Kubernetes is not asked to start the pod again: its owner sees exit {exit_code}")

    def is_over(self, holder: Holder) -> bool | None:
        """Ask about the holder's pod, if it is another one of our namespace. May take 2 s."""
        if holder.platform != NAME or holder.cluster != self._namespace() or holder.job in ("", self._pod()):
            return None
        question = self._ask(holder.job)
        return None if question is None else is_over(_parse(ask.wait(question)).pod)

    def close(self) -> None:
        """Forget a question that nobody will hear the answer to."""
        if self._question is not None:
            self._question.drop()
            self._question = None

    # --- asking ----------------------------------------------------------------------------------------------------------------
    def _ask(self, pod: str) -> ask.Question | None:
        """Nothing is asked without an account, or for what is no name of a pod."""
        if (
            not _is_name(self._namespace())
            or not _is_name(pod)
            or not os.access(os.path.join(self._account, "token"), os.R_OK)
        ):
            return None
        environ = self._environ
        port = environ.get("KUBERNETES_SERVICE_PORT_HTTPS") or environ.get("KUBERNETES_SERVICE_PORT") or "443"
        given = [environ["KUBERNETES_SERVICE_HOST"], port, self._account, self._namespace(), pod, str(PATIENCE)]
        return ask.Question([sys.executable, "-I", "-S", "-c", _ASK, *given], environ, patience=PATIENCE)

    def _hear(self, timeout: float) -> None:
        answer = None if self._question is None else self._question.poll(timeout)
        if answer is None:
            return
        self._question = None
        seen = _parse(answer)
        if seen.pod is not None:
            self._seen, self._seen_since_signal = seen, True

    def _pod(self) -> str:
        """The pod's name; a hostname may be another one (an indexed Job's, a host network's), so that it comes last."""
        return self._environ.get("POD_NAME") or self._claims.pod.name or os.uname().nodename

    def _namespace(self) -> str:
        return self._environ.get("POD_NAMESPACE") or _read(os.path.join(self._account, "namespace")).strip()


def claims(token: str) -> Claims:
    """What a token says; nothing where it is none. Nobody's word is taken here but our own pod's, so that no signature is checked."""
    parts = token.split(".")
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(body, type=Token).claims
    except (IndexError, ValueError):
        return Claims()


def _parse(answer: ask.Answer) -> Seen:
    try:
        return msgspec.json.decode(answer.out, type=Seen)
    except msgspec.MsgspecError:  # it hung, was refused, or speaks another language
        return Seen()


def _is_name(text: str) -> bool:
    """A lowercase DNS subdomain, as pods and namespaces are called: nothing else gets into a request's path."""
    return len(text) <= 253 and re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", text) is not None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
