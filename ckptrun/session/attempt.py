"""The beginning of one attempt: its number, its directories, its environment, and everything about it on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names
from ckptrun.model import AttemptRecord, Checkpoint, Noun, Setting
from ckptrun.mounts import data as mounts
from ckptrun.policy.start import Recorded
from ckptrun.runs import control, documents, paths, provenance, records
from ckptrun.runs.records import RunRecord
from ckptrun.session import ending, environment, resuming, scheduler
from ckptrun.session import scene as scenes
from ckptrun.supervise.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckptrun.mounts.data import Mount
    from ckptrun.policy.resume import Resume
    from ckptrun.policy.start import Decision
    from ckptrun.runs.lease import Lease
    from ckptrun.runs.ledger import Ledger
    from ckptrun.session.scene import Scene

SIGNAL_MEANS_STOP = "stop"
_ROUNDS = 5  # of looks, until surely every task has seen what is asked
_LOOKS_A_SECOND = 100  # that all tasks together may take at the run's directory: each is a question to a file server


class Chosen(Noun, frozen=True, kw_only=True):
    """What was decided before an attempt gets its number."""

    decision: Decision  # may it start, and what to say
    plan: Resume  # from which checkpoint
    recorded: RunRecord | None  # run.yaml as it is
    run: RunRecord  # run.yaml as it shall be
    history: list[AttemptRecord]
    mounts: list[Mount] = []
    ranks: dict[str, str] = {}  # where the ranks of a command on several nodes find each other


class Begun(Noun, frozen=True, kw_only=True):
    """An attempt that has its number and may start."""

    chosen: Chosen
    number: int
    where: paths.AttemptPaths
    record: AttemptRecord
    given: environment.Given
    spec: Spec
    started: float
    lines: list[str] = []  # what was mounted where


def new_id() -> str:
    """A UUID (version 4) without the uuid module's import."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def local_directory(environ: dict[str, str]) -> str:
    """A new node-local directory (0700) for the request file and the socket.

    Not below XDG_RUNTIME_DIR or /dev/shm: both are emptied when the user logs out, under a training that goes on. A socket's path
    may be 107 bytes long, so a long TMPDIR is passed over.

    Raises:
        CannotCreate: neither TMPDIR nor /tmp can be written.
    """
    wanted = environ.get("TMPDIR", "")
    last: OSError | None = None
    for base in (wanted, "/tmp", "/var/tmp"):  # noqa: S108  # made new, ours, 0700
        if not base or len(base.encode()) > 70 or not os.path.isabs(base):
            continue
        try:
            return _make_private(base)
        except OSError as error:
            last = error
    why = last.strerror if last else "no such directory"
    raise errors.CannotCreate(
        f"a node-local directory cannot be made: {why}: {wanted or base}", "set TMPDIR to a directory on this machine"
    )


def _make_private(base: str) -> str:
    """A directory of a name that nobody can guess; `mkdir` fails where something is, be it a link."""
    path = os.path.join(base, f"ckptrun-{os.urandom(8).hex()}")
    os.mkdir(path, 0o700)
    return path


def begin(scene: Scene, chosen: Chosen, number: int, where: paths.AttemptPaths) -> Begun:
    """Fill a new attempt's directory and say exactly what will be started. Starts nothing."""
    started = float(scene.clock())
    local = local_directory(scene.environ)
    try:
        lines = _mount(scene, where, chosen)
        given = msgspec.structs.replace(
            given_to(scene, chosen, number, where, local, started), programs=install(scene, local)
        )
        argv = environment.command_of(scene.command, scene.config.on_resume, given)
        spec = spec_of(scene, given, argv, where, chosen.history)
        record = _record(scene, chosen.plan, given, argv, started)
    except BaseException:
        ending.remove_local(local)
        raise
    return Begun(
        chosen=chosen, number=number, where=where, record=record, given=given, spec=spec, started=started, lines=lines
    )


def install(scene: Scene, local: str) -> str:
    """Put the platform's programs into the node-local directory, which is returned; "" where there are none, or none can be run there."""
    programs = scene.place.programs() if scene.config.catch_requeue else {}
    for name, text in programs.items():
        path = os.path.join(local, name)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
            with open(fd, "w", encoding="ascii") as file:
                file.write(text)
            why = "" if os.access(path, os.X_OK) else "nothing can be run from there (noexec)"
        except OSError as error:
            why = f"{error.strerror}"
        if why:
            scene.say(f"warning: {path}: {why}: when the script calls {name}, ckptrun does not hear of it", level=-1)
            return ""
    return local if programs else ""


def _mount(scene: Scene, where: paths.AttemptPaths, chosen: Chosen) -> list[str]:
    output, why = model_output(scene, chosen.plan.chosen)
    lines = list(mounts.attach(where, chosen.mounts, output))
    return [*lines, why] if why else lines


def model_output(scene: Scene, resumed: Checkpoint | None) -> tuple[str | None, str]:
    """The output directory that becomes input/model, and a sentence where it is a guess.

    It is the output of the attempt that wrote what we resume from, not blindly of the attempt before: one that was stopped before it
    saved has an empty output. If that holds nothing, it is the newest output that is not empty.
    """
    if resumed is not None and resumed.attempt is not None:
        output = scene.paths.attempt(resumed.attempt).output
        if resuming.holds_something(output):
            return output, ""
    for number in reversed(paths.attempts(scene.paths)):
        output = scene.paths.attempt(number).output
        if resuming.holds_something(output):
            return (
                output,
                f"input/{names.INPUT_MODEL}: no checkpoint is recognised in it; it is the newest output that is not empty",
            )
    return None, ""


def given_to(
    scene: Scene, chosen: Chosen, number: int, where: paths.AttemptPaths, local: str, started: float
) -> environment.Given:
    """What the script will be told. `local` is the node-local directory."""
    config, resumed = scene.config, chosen.plan.chosen
    asked = config.given("every") or config.given("strategy")
    deadline, _ = scenes.end_of(scene, started)
    return environment.Given(
        run=scene.run,
        run_dir=scene.paths.dir,
        attempt=number,
        attempt_id=new_id(),
        checkpoint_dir=scene.paths.checkpoints,
        output_dir=where.output,
        input_dir=where.input,
        local_dir=local,
        resume_from=os.path.abspath(resumed.path) if resumed else "",
        resume_step=resumed.step if resumed else None,
        deadline=deadline,
        grace=scenes.grace_of(scene),
        every=config.every if asked else "",
        tracker_ids=chosen.run.tracker_ids if config.tracker_ids else {},
        ranks=chosen.ranks,
        array_task=scene.task.number,
        sweep=scene.task.point,
    )


def spec_of(
    scene: Scene, given: environment.Given, argv: list[str], where: paths.AttemptPaths, history: Sequence[AttemptRecord]
) -> Spec:
    """What the supervisor will be told."""
    config = scene.config
    exchange = (
        max(1.0, scene.group.size / _LOOKS_A_SECOND) if scene.group else 0.0
    )  # what a request may take to reach all tasks
    return Spec(
        argv=argv,
        env=environment.child_environment(scene.environ, given),
        cwd=scene.cwd,
        attempt=given.attempt,
        attempt_id=given.attempt_id,
        attempt_dir=where.dir,
        local_dir=given.local_dir,
        grace=given.grace,
        grace_given=config.given("grace"),
        save_signal=config.save_signal,
        save_signal_given=config.given("save_signal"),
        signal_means=config.signal_means or SIGNAL_MEANS_STOP,
        stall_timeout=config.stall_timeout,
        stdout_to_stderr=scene.json_out,
        verbosity=scene.verbosity,
        learned=ending.learned_from(history),
        label=scene.label,
        beat=exchange if scene.group else None,
        ahead=_ROUNDS * exchange,
    )


def _record(scene: Scene, plan: Resume, given: environment.Given, argv: list[str], started: float) -> AttemptRecord:
    return AttemptRecord(
        attempt=given.attempt,
        attempt_id=given.attempt_id,
        run=scene.run,
        command=list(scene.command),
        sweep=sweep_of(scene),
        argv=argv,
        cwd=scene.cwd,
        host=scene.me.host,
        pid=scene.me.pid,
        boot_id=scene.me.boot_id,
        cgroup=scene.me.cgroup,
        platform=scene.job.platform,
        job=scene.job.job,
        target=scene.job.target,
        node=scene.job.node,
        restart=scene.job.restart,
        automatic=scene.job.automatic,
        commit=provenance.commit(scene.cwd),
        script_digest=script_digest(scene),
        started=records.now_text(started),
        resumed_from=resuming.relative(scene, given.resume_from),
        resumed_step=given.resume_step,
        resume_why=plan.why,
        local_dir=given.local_dir,
    )


def script_digest(scene: Scene) -> str:
    """Identifies the script's text: the first argument of the command that is a file."""
    for argument in scene.command[:3]:
        path = os.path.join(scene.cwd, argument)
        if argument.endswith((".py", ".sh", ".jl", ".R", ".lua", ".pl", ".rb")) and os.path.isfile(path):
            return provenance.script_digest(path)
    return ""


def histories(scene: Scene) -> list[AttemptRecord]:
    """What earlier attempts left in their attempt.json, oldest first.

    One that was killed before it wrote it has none; one that is damaged is said and left out: it must not keep a run from starting.
    """
    found = []
    for number in paths.attempts(scene.paths):
        try:
            record = records.read_attempt(scene.paths.attempt(number))
        except documents.Unreadable as error:
            scene.say(f"warning: {error.message}; its history is not known", level=-1)
            continue
        if record is not None:
            found.append(record)
    return found


def recorded_of(record: RunRecord | None) -> Recorded:
    """What a start is compared with."""
    return Recorded(command=record.command, sweep=record.sweep) if record else Recorded()


def run_record(scene: Scene, recorded: RunRecord | None, *, fresh: bool) -> RunRecord:
    """What run.yaml should say from this start on."""
    settings = {name: Setting(value=value, source=source) for name, value, source in scene.config.explain()}
    keep = recorded is not None and not fresh
    return RunRecord(
        run=scene.run,
        created=recorded.created if recorded else records.now_text(scene.clock()),
        command=list(scene.command),
        sweep=sweep_of(scene),
        cwd=scene.cwd,
        parent=scene.config.from_ref or (recorded.parent if recorded and keep else ""),
        overrides=recorded.overrides if recorded else {},
        tracker_ids=recorded.tracker_ids if recorded and keep else tracker_ids(scene.run),
        settings=settings,
    )


def sweep_of(scene: Scene) -> dict[str, Any]:
    """The values of the sweep's task that this start is."""
    return scene.task.point.values if scene.task.point else {}


def tracker_ids(run: str) -> dict[str, str]:
    """Ids that keep all attempts of a run one run at a tracker; new ones when the run starts over."""
    return {"WANDB_RUN_ID": f"{run}-{os.urandom(4).hex()}", "WANDB_RESUME": "allow"}


def write_beginning(scene: Scene, begun: Begun, book: Ledger, held: Lease) -> None:
    """Put the beginning on disk and tell the user: what is later set aside first, then the records, then what will be done."""
    chosen = begun.chosen
    resuming.set_aside(scene, chosen.plan, book, held.require)
    control.reset(scene.paths)
    swept = _sweep(scene, begun.number, held) if begun.number > 1 else []
    if chosen.decision.clear_stop:
        control.clear_stopped(scene.paths)
    recorded, run = chosen.recorded, chosen.run
    if recorded is None or msgspec.structs.replace(run, version=recorded.version) != recorded:
        records.write_run(scene.paths, run)
    records.write_attempt(begun.where, begun.record)
    book.append("attempt_started", **started_event(begun), swept=swept)
    scene.say(opening(scene, begun))
    for sentence in [*scene.place.warnings(), *scheduler.too_short(begun.spec)]:
        scene.say(f"warning: {sentence}", level=-1)
    _warn_of_a_full_disk(scene, chosen.plan.chosen)
    for line in chosen.decision.notes:
        scene.say(line)
    for line in begun.lines:
        scene.say(line, level=0 if scene.config.data else 1)


def _warn_of_a_full_disk(scene: Scene, last: Checkpoint | None) -> None:
    if last is None or not last.size:
        return
    from ckptrun.policy import space  # noqa: PLC0415  # a first start has no last checkpoint

    try:
        disk = os.statvfs(scene.paths.checkpoints)
    except OSError:  # the first save will say more
        return
    sentence = space.warning(disk.f_bavail * disk.f_frsize, last.size, scene.paths.checkpoints)
    if sentence:
        scene.say(f"warning: {sentence}", level=-1)


def _sweep(scene: Scene, number: int, held: Lease) -> list[str]:
    """Move what killed saves of earlier attempts left into the trash, which is emptied once the command runs; what was moved."""
    from ckptrun.checkpoints import cleanup  # noqa: PLC0415  # a first attempt has nothing to sweep

    swept = cleanup.sweep(scene.paths.checkpoints, scene.paths.trash, number, held.require)
    for line in swept.left:
        scene.say(f"warning: {line}", level=-1)
    return swept.removed


def started_event(begun: Begun) -> dict[str, Any]:
    """The ledger's line for the beginning of an attempt."""
    record, plan = begun.record, begun.chosen.plan
    return {
        "attempt_id": record.attempt_id,
        "command": record.argv,
        "host": record.host,
        "pid": record.pid,
        "job": record.job,
        "resumed_from": record.resumed_from,
        "resumed_step": record.resumed_step,
        "why": plan.why,
        "passed": [{"name": entry.checkpoint.name, "why": entry.why} for entry in plan.passed],
        "mounts": begun.lines,
        "notes": begun.chosen.decision.notes,
    }


def opening(scene: Scene, begun: Begun) -> str:
    """The first line that a user sees: which run, which attempt, from where and why."""
    head, plan = f"run {scene.run}, attempt {begun.number}", begun.chosen.plan
    if plan.chosen is None:
        return f"{head}: {plan.why}"
    after = f"after step {plan.chosen.step}" if plan.chosen.step is not None else "where it was"
    return f"{head}: going on {after}, from {begun.record.resumed_from} ({plan.why})"
