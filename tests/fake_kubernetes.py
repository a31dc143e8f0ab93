"""A FAKE of the Kubernetes API server: HTTPS with a certificate of a CA of its own, the documented paths, the documented JSON.

There is no Kubernetes in it. It answers GET for one namespace's pods and Jobs to whoever brings the right token, and remembers
what it was asked.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "trainings"
POD = "digits-0-x7k2p"
JOB = "digits"
MISSING = "" if shutil.which("openssl") else "a fake API server needs openssl for its certificates"


def token(**pod: str) -> str:
    """A bound service account token, as one is mounted into a pod; its signature is none."""
    claims = {
        "aud": ["https://kubernetes.default.svc"],
        "exp": 1900000000,
        "iss": "https://kubernetes.default.svc",
        "kubernetes.io": {
            "namespace": NAMESPACE,
            "node": {"name": "node-7", "uid": "5e2f5c5e-51cb-4b0c-9a42-6ea1d9a8b0f3"},
            "pod": {"name": POD, "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33", **pod},
            "serviceaccount": {"name": "trainer", "uid": "9a1bd6ed-7b5c-4a3a-8c93-1c8a5d2f7e10"},
        },
        "sub": f"system:serviceaccount:{NAMESPACE}:trainer",
    }
    parts = [{"alg": "RS256", "kid": "x"}, claims]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*coded, "c2lnbmF0dXJl"])


def pod(name: str = POD, **changes: dict[str, Any]) -> dict[str, Any]:
    """A running pod of a Job, as `kubectl get pod -o json` shows it, shortened; `changes` are merged into metadata, spec, status."""
    owner = {
        "apiVersion": "batch/v1",
        "blockOwnerDeletion": True,
        "controller": True,
        "kind": "Job",
        "name": JOB,
        "uid": "4f0c6f0e-8a3a-4f1a-b7a5-5d8f7f3d0a11",
    }
    shown: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33",
            "creationTimestamp": "2026-11-20T18:00:00Z",
            "labels": {"batch.kubernetes.io/job-name": JOB, "job-name": JOB},
            "ownerReferences": [owner],
        },
        "spec": {
            "containers": [{"name": "train", "image": "train:1", "command": ["ckptrun", "train", "train.py"]}],
            "nodeName": "node-7",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 120,
        },
        "status": {
            "phase": "Running",
            "startTime": "2026-11-20T18:00:05Z",
            "qosClass": "Guaranteed",
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "lastProbeTime": None,
                    "lastTransitionTime": "2026-11-20T18:00:09Z",
                },
            ],
            "containerStatuses": [{"name": "train", "restartCount": 0, "state": {"running": {}}}],
        },
    }
    for part, values in changes.items():
        shown[part].update(values)
    return shown


def job(**spec: Any) -> dict[str, Any]:
    """A Job."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": JOB, "namespace": NAMESPACE},
        "spec": {"backoffLimit": 6, "completions": 1, "parallelism": 1, **spec},
        "status": {"active": 1, "startTime": "2026-11-20T18:00:00Z"},
    }


def disrupted(reason: str, status: str = "True") -> dict[str, Any]:
    """status.conditions of a pod that is about to be disrupted."""
    return {
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "DisruptionTarget", "status": status, "reason": reason, "message": "why, in words"},
        ]
    }


class FakeApi:
    """The server; `objects` is what it knows, by path, and may be changed; an object that is a number is an HTTP status."""

    def __init__(self, folder: str, *, readable: bool = True) -> None:
        self.account = os.path.join(folder, "account")
        self.asked: list[str] = []
        self.authorised: list[str] = []  # Authorization of each request
        self.objects: dict[str, dict[str, Any] | int] = {}
        os.makedirs(self.account)
        self._certify(folder)
        self.write("token", token())
        self.write("namespace", NAMESPACE)
        self.put(pod())
        self.put(job())
        self.readable = readable  # what RBAC says
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def environ(self) -> dict[str, str]:
        """What the kubelet puts into every container."""
        port = str(self._server.server_address[1])
        return {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": port,
            "KUBERNETES_SERVICE_PORT_HTTPS": port,
        }

    def put(self, thing: dict[str, Any]) -> None:
        """Know an object."""
        name = thing["metadata"]["name"]
        where = "/api/v1/namespaces/{}/pods/{}" if thing["kind"] == "Pod" else "/apis/batch/v1/namespaces/{}/jobs/{}"
        self.objects[where.format(NAMESPACE, name)] = thing

    def write(self, name: str, text: str) -> None:
        """A file of the service account."""
        with open(os.path.join(self.account, name), "w", encoding="ascii") as file:
            file.write(text)

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        """(HTTP status, body)"""
        self.asked.append(path)
        self.authorised.append(authorization)
        with open(os.path.join(self.account, "token"), encoding="ascii") as file:
            if authorization != f"Bearer {file.read()}":
                return 401, _failure(401, "Unauthorized")
        if not self.readable:
            return 403, _failure(403, "Forbidden")
        found = self.objects.get(path, 404)
        return (200, found) if isinstance(found, dict) else (found, _failure(found, "NotFound"))

    def _certify(self, folder: str) -> None:
        ca, key = os.path.join(self.account, "ca.crt"), os.path.join(folder, "ca.key")
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        _openssl("req", "-x509", *ec, "-subj", "/CN=kubernetes", "-keyout", key, "-out", ca)
        request, chain = os.path.join(folder, "server.csr"), os.path.join(folder, "server.pem")
        names = os.path.join(folder, "names")
        with open(names, "w", encoding="ascii") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:kubernetes.default.svc\n")
        _openssl(
            "req", *ec[:5], "-subj", "/CN=kube-apiserver", "-keyout", os.path.join(folder, "server.key"), "-out", request
        )
        _openssl(
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            ca,
            "-CAkey",
            key,
            "-set_serial",
            "2",
            "-days",
            "2",
            "-extfile",
            names,
            "-out",
            chain,
        )


@contextlib.contextmanager
def serving(folder: str, *, readable: bool = True) -> Iterator[FakeApi]:
    """The server, while it serves."""
    api = FakeApi(folder, readable=readable)
    thread = threading.Thread(target=api._server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        api._server.shutdown()
        thread.join()
        api._server.server_close()


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, thing = api.answer(self.path, self.headers.get("Authorization", ""))
            body = json.dumps(thing).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # a client that trusts somebody else, or is gone
                super().handle()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _failure(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code}


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
