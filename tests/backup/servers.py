"""Real servers on 127.0.0.1: one that speaks S3 (moto's), one that speaks SSH (OpenSSH's), with keys made for the test."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import psutil
import pytest
import support

SECRET = "s3cr3t-w0rd"


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def answers(port):
    with socket.socket() as it:
        return it.connect_ex(("127.0.0.1", port)) == 0


class S3:
    """An S3 server with one bucket; `env` is what a client needs."""

    def __init__(self, port, log):
        self.url = "s3://bucket/backups"
        self._log = log
        self.env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "key-of-the-test",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def sent(self, key):
        """How often each part of an object was sent."""
        with open(self._log) as file:
            lines = [line for line in file if f"PUT /bucket/{key}?" in line and "partNumber=" in line]
        return Counter(int(re.search(r"partNumber=(\d+)", line)[1]) for line in lines)

    def client(self):
        import botocore.session

        keys = {"aws_access_key_id": "key-of-the-test", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        return botocore.session.get_session().create_client("s3", endpoint_url=self.env["AWS_ENDPOINT_URL"], **keys)


@contextmanager
def s3_server(log):
    port = free_port()
    program = os.path.join(os.path.dirname(sys.executable), "moto_server")
    with (
        open(log, "w") as file,
        subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=file, stderr=file) as server,
    ):
        try:
            support.wait_until(lambda: answers(port), what="moto's server")
            found = S3(port, log)
            found.client().create_bucket(Bucket="bucket")
            yield found
        finally:
            server.kill()


class Ssh:
    """An SSH server; `home` is what a client's HOME must be to know it and to be known."""

    def __init__(self, port, home, pid):
        self.process = psutil.Process(pid)
        self.home = str(home)
        self.port = port
        self.env = {"HOME": self.home, "SSH_AUTH_SOCK": None}

    def url(self, path):
        return f"sftp://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


@contextmanager
def ssh_server(place):
    """sshd as this user, with a host key and a user key of its own."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.skip("sshd is not installed")
    port = free_port()
    ssh = place / ".ssh"
    ssh.mkdir(mode=0o700)
    for name in ("host", "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / name], check=True)
    (ssh / "authorized_keys").write_text((ssh / "id_ed25519.pub").read_text())
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {(ssh / 'host.pub').read_text()}")
    config = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {ssh}/host",
        f"AuthorizedKeysFile {ssh}/authorized_keys",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        f"PidFile {ssh}/pid",
        "Subsystem sftp internal-sftp",
    ]
    (ssh / "config").write_text("\n".join(config) + "\n")
    os.makedirs("/run/sshd", exist_ok=True) if os.geteuid() == 0 else None
    with open(ssh / "log", "w") as log, subprocess.Popen([sshd, "-D", "-e", "-f", ssh / "config"], stderr=log) as server:
        try:
            support.wait_until(lambda: answers(port), what="sshd")
            yield Ssh(port, place, server.pid)
        finally:
            server.kill()
