"""A real Slurm of three nodes on this machine, private to one test session: own key, own ports, nothing in /etc or /var.

Everything lies below one short directory (a socket's path may be 107 bytes long) that every user may enter. The daemons
go into the background by themselves, so that they are no children of the tests; they are known by their pid files.

    cluster.py BASE PORT        ends the cluster there when stdin is closed, which is when the tests have ended, in whatever way
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import support
from software import Software
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel", "useradd")
INSTALL = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins"
NODES = 3  # of every partition
SPARE = 1  # more, in the partition `wide` only: where a job of three nodes can go when one of them is taken
GRACE = 6  # GraceTime of the partitions that have one, seconds
KILL_WAIT = 5  # the least that slurmd accepts
TICK = 2  # seconds between two looks at time limits; 30 are compiled into slurmctld
_FREEZER = "/sys/fs/cgroup/freezer"
_SEARCH = os.environ["PATH"] + ":/usr/sbin:/sbin"  # Debian keeps the daemons there
_DAEMON_ENV = {"PATH": _SEARCH, "LANG": "C.UTF-8"}

# difftime() of 2..30 s reads 30 s more: what slurmctld does every 30 s, it does every 2. Nothing else changes.
_TICK_C = """
#include <time.h>
double difftime(time_t a, time_t b) { double d = (double)a - (double)b; return d >= %d && d <= 30 ? d + 30 : d; }
"""

_CONF = """\
ClusterName=ckpt{port}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SrunPortRange={srun_first}-{srun_last}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool/%n
TmpFS={base}/tmp/%n
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmdPidFile={base}/run/%n.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/%n.log
SlurmctldDebug=info
SlurmdDebug=info
LogTimeFormat=iso8601_ms
PlugStackConfig={base}/etc/plugstack.conf
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
ReturnToService=1
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PriorityType=priority/basic
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,bf_window=60,bf_resolution=60,batch_sched_delay=0
KillWait={kill_wait}
MinJobAge=300
SlurmctldTimeout=10
SlurmdTimeout=15
MessageTimeout=10
TCPTimeout=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{extra}
{nodes}
PartitionName=main      Nodes={few} Default=YES DefaultTime=10 PriorityTier=10 PreemptMode=OFF
PartitionName=low       Nodes={few} DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=lowgrace  Nodes={few} DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
PartitionName=lowcancel Nodes={few} DefaultTime=10 PriorityTier=1 PreemptMode=CANCEL GraceTime={grace}
PartitionName=lowcut    Nodes={few} DefaultTime=10 PriorityTier=1 PreemptMode=CANCEL GraceTime=0
PartitionName=wide      Nodes=ALL DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=high      Nodes={few} DefaultTime=10 PriorityTier=100 PreemptMode=OFF
"""
_CGROUP_CONF = f"""\
CgroupPlugin=cgroup/v1
CgroupMountpoint={os.path.dirname(_FREEZER)}
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=no
ConstrainDevices=no
"""


def missing() -> str:
    """Why there can be no cluster here, "" if there can."""
    if os.getuid() != 0:
        return "a real Slurm needs root: slurmstepd becomes the user who submits"
    absent = [name for name in PROGRAMS if shutil.which(name, path=_SEARCH) is None]
    return f"a real Slurm needs {', '.join(absent)}: {INSTALL}" if absent else ""


class Cluster:
    """The cluster, and an ordinary user of it who has ckptrun."""

    def __init__(self, base: str, port: int) -> None:
        self.base, self.port = base, port
        self.nodes = [
            f"c{self.port}n{number}" for number in range(1, NODES + SPARE + 1)
        ]  # names in the freezer are the machine's
        self.conf = os.path.join(self.base, "etc", "slurm.conf")
        self.jobs = os.path.join(self.base, "jobs")
        self.software = Software(os.path.join(self.base, "software"))
        self.user = f"ckpt-{base[-8:]}"  # a user that another, killed one left behind is in nobody's way
        self.proctrack = (
            "cgroup" if os.access(_FREEZER, os.W_OK) and os.path.exists(f"{_FREEZER}/cgroup.procs") else "linuxproc"
        )
        self.took = 0.0  # seconds that start() needed, without those in which somebody on this machine had no core to run on
        self._extra: dict[str, str] = {}
        self._hastened: set[tuple[str, str]] = set()  # runs of jobs that need not wait

    # --- starting and stopping -------------------------------------------------------------------------------------------
    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Cluster]:
        """A new one; another process ends it after the block, or when this one is killed."""
        base = tempfile.mkdtemp(prefix="cks-", dir="/tmp")
        os.chmod(base, 0o755)
        port, reserved = _free_ports()
        guard = [sys.executable, __file__, base, str(port)]
        path = {"PYTHONPATH": os.path.dirname(support.__file__)}
        with (
            reserved,
            subprocess.Popen(guard, stdin=subprocess.PIPE, env={**os.environ, **path}, start_new_session=True) as ended,
        ):
            made = cls(base, port)
            made.start()
            yield made
        assert ended.returncode == 0, f"the cluster in {base} was not ended"

    def start(self) -> None:
        """Bring everything up; returns when all nodes are idle."""
        begun, crowded = time.monotonic(), _crowded()
        for name in ("etc", "run", "log", "state", "munge", "jobs", *(f"spool/{node}" for node in self.nodes)):
            os.makedirs(os.path.join(self.base, name))
        for node in self.nodes:  # PMIx makes a directory for each job there, which three nodes of one machine must not share
            os.makedirs(os.path.join(self.base, "tmp", node))
            os.chmod(os.path.join(self.base, "tmp", node), 0o1777)
        _account("useradd", "--no-create-home", "--home-dir", self.jobs, "--shell", "/bin/bash", self.user)
        self.own(self.jobs)
        self.software.install()
        self._configure()
        self._start_munge()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        wait_until(lambda: self._states() == ["idle"] * len(self.nodes), what="nodes idle")
        self.took = time.monotonic() - begun - (_crowded() - crowded)

    def stop(self) -> None:
        """End all jobs, all daemons and whatever they left; the user and the directory go too."""
        if self._pid("slurmctld"):
            self._root("scancel", "--user", self.user, check=False)
            self._root("scancel", "--signal=KILL", "--full", "--user", self.user, check=False)
        for node in self.nodes:
            self._end_daemon(node)
        self._end_daemon("slurmctld")
        self._end_daemon("munged")
        self._end_users_processes()
        for node in self.nodes:
            self._remove_cgroups(node)
        _account("userdel", self.user)
        shutil.rmtree(self.base, ignore_errors=True)

    def start_controller(self) -> None:
        """slurmctld, until it answers."""
        env = dict(_DAEMON_ENV, SLURM_CONF=self.conf)
        shim = os.path.join(self.base, "run", "tick.so")
        if os.path.exists(shim) or self._compile_tick(shim):
            env["LD_PRELOAD"] = shim
        self._daemon("slurmctld", env)
        wait_until(lambda: "UP" in self._root("scontrol", "ping", check=False), what="slurmctld answers")

    def end_controller(self, signum: int = signal.SIGKILL) -> None:
        """slurmctld goes away, by default as in a crash."""
        self._end_daemon("slurmctld", signum)

    @contextlib.contextmanager
    def controller_hangs(self) -> Iterator[None]:
        """slurmctld is there and does not answer."""
        pid = self._pid("slurmctld")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def munge_gone(self) -> Iterator[None]:
        """Nobody can prove who he is."""
        self._end_daemon("munged")
        try:
            yield
        finally:
            self._start_munge()

    def start_node(self, node: str) -> None:
        """One slurmd."""
        self._daemon("slurmd", dict(_DAEMON_ENV, SLURM_CONF=self.conf), "-N", node)

    def end_node(self, node: str, signum: int = signal.SIGKILL) -> None:
        """One slurmd goes away, by default as in a crash; its jobs' processes live on."""
        self._end_daemon(node, signum)

    def clear(self) -> None:
        """Every job ended, every node back, the usual configuration."""
        self.repair()
        if self._extra:
            self.configure()
        jobs = self._root("squeue", "--noheader", "--format=%A").split()
        if jobs:
            self._root("scancel", *jobs, check=False)
            self._root("scancel", "--signal=KILL", "--full", *jobs, check=False)  # not KillWait
            wait_until(lambda: not self._root("squeue", "--noheader", "--format=%A"), what="no jobs are left")
        self._end_users_processes()
        wait_until(self._idle, what="nodes idle")

    def repair(self) -> None:
        """Every daemon runs, and every node may be used again."""
        if not self._pid("slurmctld"):
            self.start_controller()
        for node in self.nodes:
            if not self._pid(node):
                self.start_node(node)
        self.resume()

    def resume(self) -> None:
        """Every node whose slurmd runs may be used again."""
        for node in [node for node in self.lost() if self._pid(node)]:
            self._root("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)

    def lost(self) -> list[str]:
        """The nodes that no job can be given."""
        return [node for node in self.nodes if self._states(node) not in (["idle"], ["mixed"], ["allocated"])]

    def configure(self, **extra: str) -> None:
        """Set lines of slurm.conf beyond the usual ones, and none else, and make everybody read them."""
        self._extra = extra
        self._configure()
        self._root("scontrol", "reconfigure")

    # --- what root does ----------------------------------------------------------------------------------------------------
    def admin(self, *command: str) -> str:
        """A command as the cluster's administrator; its stdout."""
        return self._root(*command)

    # --- what the user does ------------------------------------------------------------------------------------------------
    def run(
        self, *command: str, cwd: str = "", env: Mapping[str, str] | None = None, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """A command as the user, to its end."""
        ran = subprocess.run(
            command,
            cwd=cwd or self.jobs,
            env={**self.environment(), **(env or {})},
            user=self.user,
            group=self.user,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
        assert not check or ran.returncode == 0, (command, ran.returncode, ran.stdout, ran.stderr)
        return ran

    def environment(self) -> dict[str, str]:
        """What the user's shell has."""
        return {
            "PATH": f"{self.software.bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": self.jobs,
            "USER": self.user,
            "LOGNAME": self.user,
            "LANG": "C.UTF-8",
            "SLURM_CONF": self.conf,
            **({"LD_LIBRARY_PATH": self.software.libraries} if self.software.libraries else {}),
        }

    def folder(self) -> str:
        """A new directory of the user's."""
        path = tempfile.mkdtemp(prefix="job-", dir=self.jobs)
        self.own(path)
        return path

    def own(self, path: str) -> None:
        """Give a path to the user."""
        account = pwd.getpwnam(self.user)
        os.chown(path, account.pw_uid, account.pw_gid)

    def sbatch(self, script: str, *options: str, cwd: str, env: Mapping[str, str] | None = None) -> str:
        """Submit the text of a batch script from `cwd`; its job id. Output goes to `out` there, appended."""
        path = os.path.join(cwd, "job.sh")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script if script.startswith("#!") else f"#!/bin/bash\n{script}")
        self.own(path)
        ran = self.run("sbatch", "--parsable", "--output=out", "--open-mode=append", *options, path, cwd=cwd, env=env)
        return ran.stdout.strip().split(";")[0]

    def show(self, job: str) -> dict[str, str]:
        """The record of a job, or of one task of an array (`7_2`)."""
        return dict(re.findall(r"\b([\w:]+)=(\S*)", self.run("scontrol", "show", "job", "-o", job).stdout))

    def wait(self, job: str, *states: str, skip_delay: bool = True, timeout: float = 60.0) -> dict[str, str]:
        """The job's record once it is in one of `states`. A requeued job need not wait out cred_expire."""
        for record in self._records(job, timeout, skip_delay=skip_delay):
            if record["JobState"] in states:
                return record
        raise AssertionError(f"job {job} did not become {' or '.join(states)}: {self.show(job)}\n{self.tell(job)}")

    def wait_restart(self, job: str, count: int, timeout: float = 60.0, *, skip_delay: bool = True) -> dict[str, str]:
        """The job's record once it runs for the `count`-th time after its first."""
        for record in self._records(job, timeout, skip_delay=skip_delay):
            if record["JobState"] == "RUNNING" and record["Restarts"] == str(count):
                return record
        raise AssertionError(f"job {job} did not run again: {self.show(job)}\n{self.tell(job)}")

    def tell(self, job: str) -> str:
        """What the job wrote to its output."""
        path = os.path.join(self.show(job)["WorkDir"], "out")
        try:
            with open(path, encoding="utf-8", errors="backslashreplace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _records(self, job: str, timeout: float, *, skip_delay: bool) -> Iterator[dict[str, str]]:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            record = self.show(job)
            yield record
            waits = record["JobState"] == "PENDING" and record["Restarts"] != "0" and "JobHeld" not in record["Reason"]
            run = (job, record["Restarts"])
            if skip_delay and waits and run not in self._hastened and not self._is_ending(record["JobId"]):
                # Not at once: in the second in which the run before ended, slurmd takes the new one's credential for revoked.
                self.run("scontrol", "update", f"JobId={job}", "StartTime=now+1", check=False)
                self._hastened.add(run)
            time.sleep(0.1)

    def frozen(self, job: str) -> bool:
        """Whether the kernel holds all processes of a suspended job: Slurm sends TSTP, and freezes two seconds later."""
        record, uid = self.show(job), pwd.getpwnam(self.user).pw_uid
        top = os.path.join(_FREEZER, f"slurm_{record['NodeList']}", f"uid_{uid}", f"job_{job}")
        states = []
        for step in [name for name in os.listdir(top) if name.startswith("step_")]:
            with open(os.path.join(top, step, "freezer.state"), encoding="ascii") as file:
                states.append(file.read().strip())
        return set(states) == {"FROZEN"}

    # --- inside --------------------------------------------------------------------------------------------------------------
    def _is_ending(self, job: str) -> bool:
        """Whether a node still tidies up after a run of the job: it would take the next run's files for the last one's."""
        left = (os.path.join(self.base, "spool", node, f"job{int(job):05d}") for node in self.nodes if self._pid(node))
        return any(os.path.exists(path) for path in left)

    def _configure(self) -> None:
        host = socket.gethostname().split(".")[0]
        hardware = "CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=4096 State=UNKNOWN"
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.port + number} {hardware}"
            for number, node in enumerate(self.nodes, 1)
        ]
        text = _CONF.format(
            base=self.base,
            host=host,
            port=self.port,
            srun_first=self.port + 100,
            srun_last=self.port + 299,
            proctrack=self.proctrack,
            kill_wait=KILL_WAIT,
            grace=GRACE,
            extra="\n".join(f"{key}={value}" for key, value in self._extra.items()),
            nodes="\n".join(nodes),
            few=",".join(self.nodes[:NODES]),
        )
        for name, body in (("slurm.conf", text), ("cgroup.conf", _CGROUP_CONF), ("plugstack.conf", "")):
            path = os.path.join(self.base, "etc", name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(body)

    def _compile_tick(self, target: str) -> bool:
        compiler = shutil.which("cc")
        if compiler is None:
            return False
        with open(target + ".c", "w", encoding="utf-8") as file:
            file.write(_TICK_C % TICK)
        return (
            subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", target, target + ".c"], check=False).returncode == 0
        )

    def _start_munge(self) -> None:
        folder = os.path.join(self.base, "munge")
        os.chmod(folder, 0o711)
        key = os.path.join(folder, "key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(os.urandom(128))
        self._daemon(
            "munged",
            _DAEMON_ENV,
            "--force",
            f"--key-file={key}",
            f"--socket={folder}/socket",
            f"--seed-file={folder}/seed",
            f"--log-file={self.base}/log/munged.log",
            f"--pid-file={self.base}/run/munged.pid",
        )

    def _daemon(self, program: str, env: Mapping[str, str], *args: str) -> None:
        path = shutil.which(program, path=_SEARCH)
        assert path is not None
        quiet = subprocess.DEVNULL
        subprocess.run([path, *args], env=env, cwd="/", stdin=quiet, stdout=quiet, stderr=quiet, check=True, timeout=30)

    def _root(self, *command: str, check: bool = True) -> str:
        env = dict(_DAEMON_ENV, SLURM_CONF=self.conf)
        ran = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=60)
        assert not check or ran.returncode == 0, (command, ran.stdout, ran.stderr)
        return ran.stdout

    def _idle(self) -> bool:
        """Whether all nodes are; one that is taken for broken, or that returns with a job of before, is resumed until it is."""
        self.resume()
        return self._states() == ["idle"] * len(self.nodes)

    def _states(self, node: str = "") -> list[str]:
        which = [f"--nodes={node}"] if node else []
        command = ("sinfo", "--noheader", "--Node", "--partition=wide", "--format=%T", *which)
        return self._root(*command, check=False).split()

    def _pid(self, name: str) -> int:
        """The pid of a daemon of ours that runs, else 0: a number is used again, a command line tells."""
        try:
            with open(os.path.join(self.base, "run", f"{name}.pid"), encoding="ascii") as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/environ", "rb") as file:
                environ = file.read()
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read()
        except (OSError, ValueError):
            return 0
        return pid if os.fsencode(self.base) in environ + command else 0

    def _end_daemon(self, name: str, signum: int = signal.SIGTERM) -> None:
        pid = self._pid(name)
        if not pid:
            return
        os.kill(pid, signum)
        try:
            wait_until(lambda: not self._pid(name), timeout=10)
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self._pid(name), timeout=10)

    def _end_users_processes(self) -> None:
        uid = pwd.getpwnam(self.user).pw_uid
        for _ in range(3):  # what a process starts while it is being ended is ended in the next round
            for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]:
                try:
                    if os.stat(f"/proc/{pid}").st_uid == uid:
                        os.kill(pid, signal.SIGKILL)
                except (FileNotFoundError, ProcessLookupError):
                    continue

    def _remove_cgroups(self, node: str) -> None:
        top = os.path.join(_FREEZER, f"slurm_{node}")
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:  # a process that is just ending; an empty directory of the kernel's costs nothing
                pass


def _account(program: str, *args: str) -> None:
    """useradd or userdel: when two of them meet, the later one would sleep for a second."""
    with open("/etc/passwd", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        subprocess.run([program, *args], check=True, capture_output=True)


def _crowded() -> float:
    """Seconds since boot in which somebody had to wait for a core; always 0 where the kernel does not say."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as file:
            return int(re.search(r"some .*total=(\d+)", file.read())[1]) / 1e6  # type: ignore[index]
    except OSError:
        return 0.0


def _free_ports() -> tuple[int, socket.socket]:
    """A port P such that P and those of the nodes (P + 1 …) are free, below those that connections are given, and its reservation."""
    for port in range(17000 + os.getpid() % 30 * 400, 32000, 400):
        reserved = socket.socket()  # held as long as the cluster is there: another one may be starting beside it
        try:
            reserved.bind(("127.0.0.1", port + NODES + SPARE + 1))
            for number in range(NODES + SPARE + 1):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + number))
        except OSError:
            reserved.close()
            continue
        return port, reserved
    raise AssertionError("no free ports")


if __name__ == "__main__":
    sys.stdin.read()
    Cluster(sys.argv[1], int(sys.argv[2])).stop()
